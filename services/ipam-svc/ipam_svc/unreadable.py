"""The blocks that this release cannot read, by this replica's readings. Pure.

Another release may have written them, or somebody by hand. Whatever they hold stays held.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from danm_api.codec.ip_block import block_name
from danm_api.model.ip_block import UnreadableBlock
from danm_api.names import NetworkUid
from ipam_svc.address_space import BLOCK_SIZE, Version, block_network


class UnreadableBlocks:
    """By network and name; usually there is none."""

    def __init__(self) -> None:
        """Know of none."""
        self._by_name: defaultdict[NetworkUid, dict[str, UnreadableBlock]] = defaultdict(dict)

    def __len__(self) -> int:
        """Return how many there are."""
        return sum(map(len, self._by_name.values()))

    def all(self) -> Iterator[UnreadableBlock]:
        """Yield each of them."""
        for blocks in self._by_name.values():
            yield from blocks.values()

    def note(self, block: UnreadableBlock) -> None:
        """Remember one, in place of an earlier reading of it."""
        self._by_name[block.network_uid][block.name] = block

    def drop(self, uid: NetworkUid, name: str) -> None:
        """Forget one: it is gone, or can be read."""
        blocks = self._by_name.get(uid, {})
        blocks.pop(name, None)
        if not blocks:
            self._by_name.pop(uid, None)

    def named(self, uid: NetworkUid, name: str) -> UnreadableBlock | None:
        """Return the one of a name."""
        return self._by_name[uid].get(name) if uid in self._by_name else None

    def at(self, uid: NetworkUid, version: Version, start: int) -> UnreadableBlock | None:
        """Return the one in the place of a block."""
        # Every reservation asks; a name takes longer to be made than to be looked up.
        if uid not in self._by_name:
            return None
        return self._by_name[uid].get(block_name(uid, block_network(version, start)))

    def of(self, uid: NetworkUid, version: Version | None = None) -> Sequence[UnreadableBlock]:
        """Return those of a network, in the order of names; of one family with ``version``.

        One without a place may hold addresses of either family.
        """
        if uid not in self._by_name:
            return ()
        return [
            block
            for _, block in sorted(self._by_name[uid].items())
            if version is None or block.cidr is None or block.cidr.version == version
        ]

    def out_of_use(self, uid: NetworkUid, version: Version) -> str:
        """Return a clause, after a semicolon, for whoever finds a family full; empty for none."""
        odd = self.of(uid, version)
        if not odd:
            return ""
        more = f" and {len(odd) - 1} more" if len(odd) > 1 else ""
        return f"; {BLOCK_SIZE * len(odd)} are out of use, since {odd[0].reason}{more}"
