"""What this replica knows of all blocks: from its watch, its own writes and consistent lists.

It may be behind the API server, so it only says where to look. Who holds an address is decided by
the write that the committer makes on what it read here (DESIGN, "One linearisation point").
"""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from danm_api.model.ip_block import Cooling, Held, IPBlock, UnreadableBlock
from danm_api.names import Namespace, NetworkName, NetworkUid, NodeName
from danm_api.record.entries import OwnerKey, has_expired, held_entries
from ipam_svc.address_space import BLOCK_SIZE, VERSIONS, AddressSpace, Version
from ipam_svc.contention import Contention
from ipam_svc.cursors import Cursors
from ipam_svc.owners import Owners
from ipam_svc.readings import (
    BlockId,
    block_id,
    difference,
    free_numbers,
    is_newer,
    place_of,
)
from ipam_svc.unreadable import UnreadableBlocks


@dataclass(slots=True)
class _Family:
    """One network's blocks of one family: ``open_starts`` are those that may have space, sorted."""

    blocks: dict[int, IPBlock] = field(default_factory=dict)
    open_starts: list[int] = field(default_factory=list)


class Ledger:
    """The blocks, indexed by network, by owner and by node.

    Attributes:
        contention: Blocks that are better left to another replica.
        unreadable: Blocks that exist and cannot be used.
        doubt_count: How often the API server's history was found to have gone back.
    """

    def __init__(self, *, now: Callable[[], datetime]) -> None:
        """Start empty."""
        self._now = now
        self._families: dict[tuple[NetworkUid, Version], _Family] = {}
        self._uids: dict[tuple[Namespace, NetworkName], set[NetworkUid]] = {}
        self._owners = Owners()
        self._by_uid: dict[str, BlockId] = {}
        self._by_node: dict[NodeName, set[BlockId]] = {}
        self._node_revisions: Counter[NodeName] = Counter()
        self._network_revisions: dict[NetworkUid, int] = {}
        # Counted over all: a network that has no block any more is forgotten, and may come again.
        self._changes = 0
        self._pending: Counter[BlockId] = Counter()
        # Until the block changes; every reservation asks. Of open blocks only.
        self._rooms: dict[BlockId, tuple[AddressSpace, int]] = {}
        self.contention: Contention[BlockId] = Contention(now=now)
        self._cursors = Cursors()
        # Read before the API server's history went back: anything read since then is newer.
        self._doubtful: set[BlockId | None] = set()
        self.unreadable = UnreadableBlocks()
        self.doubt_count = 0

    # What is known.

    def get(self, uid: NetworkUid, version: Version, start: int) -> IPBlock | None:
        """Return the newest known form of a block."""
        family = self._families.get((uid, version))
        return None if family is None else family.blocks.get(start)

    def at_version(self, uid: str, resource_version: str) -> IPBlock | None:
        """Return a block that is known in exactly this version of the object with this UID."""
        identity = self._by_uid.get(uid)
        block = None if identity is None or self.doubts(*identity) else self.get(*identity)
        if block is None or (block.uid, block.resource_version) != (uid, resource_version):
            return None
        return block

    def blocks_of(self, uid: NetworkUid) -> list[IPBlock]:
        """Return a network's blocks, IPv4 first, in the order of addresses."""
        found: list[IPBlock] = []
        for version in VERSIONS:
            family = self._families.get((uid, version))
            if family is not None:
                found += [family.blocks[start] for start in sorted(family.blocks)]
        return found

    def networks(self) -> set[NetworkUid]:
        """Return the networks that have blocks."""
        return {uid for uid, _ in self._families}

    def all_blocks(self) -> Iterator[IPBlock]:
        """Yield every block."""
        for family in self._families.values():
            yield from family.blocks.values()

    def uids_of(self, namespace: Namespace, network: NetworkName) -> set[NetworkUid]:
        """Return the UIDs under which a DanmNet of this name has blocks."""
        return set(self._uids.get((namespace, network), ()))

    def networks_in(self, namespace: Namespace) -> list[tuple[NetworkName, NetworkUid]]:
        """Return the networks of a namespace that have blocks, in order."""
        return sorted(
            (network, uid)
            for (where, network), uids in self._uids.items()
            if where == namespace
            for uid in uids
        )

    def held_by(self, uid: NetworkUid, key: OwnerKey) -> list[Held]:
        """Return the entries of an owner on a network."""
        return self._owners.of(uid, key)

    def held_by_any(self, uid: NetworkUid, key: OwnerKey) -> Sequence[Held]:
        """Return the entries of an owner's every interface on a network."""
        return self._owners.of_all_interfaces(uid, key)

    def dead_doubles(self, uid: NetworkUid) -> list[Held]:
        """Return the entries of a network whose owner has a newer one; see ``owners``."""
        return self._owners.dead_doubles(uid)

    def nodes(self) -> list[NodeName]:
        """Return the nodes that have entries."""
        return list(self._by_node)

    def node_blocks(self, node: NodeName) -> list[IPBlock]:
        """Return the blocks with entries of a node."""
        found = (self.get(*identity) for identity in sorted(self._by_node.get(node, ())))
        return [block for block in found if block is not None]

    def node_revision(self, node: NodeName) -> int:
        """Return a number that changes with the entries of a node."""
        return self._node_revisions[node]

    def network_revision(self, uid: NetworkUid) -> int:
        """Return a number that changes with the entries of a network; 0 without blocks."""
        return self._network_revisions.get(uid, 0)

    # What becomes known.

    def observe(self, block: IPBlock) -> None:
        """Take in one reading of a block, unless a later one is known."""
        identity = block_id(block)
        known = self.get(*identity)
        odd = self.unreadable.named(block.network_uid, block.name)
        if identity not in self._doubtful and any(
            earlier is not None and not is_newer(block, earlier) for earlier in (known, odd)
        ):
            return
        self._doubtful.discard(identity)
        if odd is not None:
            self.unreadable.drop(odd.network_uid, odd.name)
        self._index(identity, known, block)

    def observe_unreadable(self, block: UnreadableBlock) -> None:
        """Take in that a block cannot be read, unless a later reading is known."""
        identity = place_of(block)
        known = None if identity is None else self.get(*identity)
        odd = self.unreadable.named(block.network_uid, block.name)
        if block == odd or (
            identity not in self._doubtful
            and any(earlier is not None and is_newer(earlier, block) for earlier in (known, odd))
        ):
            return
        if identity is not None:
            self._doubtful.discard(identity)
            if known is not None:
                self._index(identity, known, None)
        self.unreadable.note(block)
        self._count_change(block.network_uid)

    def forget(self, block: IPBlock | UnreadableBlock) -> None:
        """Drop a block that is gone; another object of its name stays."""
        odd = self.unreadable.named(block.network_uid, block.name)
        if odd is not None and odd.uid == block.uid:
            self.unreadable.drop(block.network_uid, block.name)
            self._count_change(block.network_uid)
        identity = place_of(block)
        known = None if identity is None else self.get(*identity)
        if identity is not None and known is not None and known.uid == block.uid:
            self._doubtful.discard(identity)
            self._index(identity, known, None)

    def observe_listed(self, block: IPBlock | UnreadableBlock, *, as_of: int) -> None:
        """Take in one block of a consistent list, which is of a resourceVersion.

        It is so, even where a later version was known: then etcd was restored from a backup.
        """
        for known in self._known(block):
            if is_newer(known, block) and int(known.resource_version) <= as_of:
                self.forget(known)
        if isinstance(block, IPBlock):
            self.observe(block)
        else:
            self.observe_unreadable(block)

    def forget_unlisted(self, uid: NetworkUid, names: Container[str], *, as_of: int) -> None:
        """Drop what such a list of a network lacks, unless it was created after the list."""
        present: list[IPBlock | UnreadableBlock] = [*self.blocks_of(uid), *self.unreadable.of(uid)]
        for known in present:
            older = int(known.resource_version) <= as_of
            if known.name not in names and (older or place_of(known) in self._doubtful):
                self.forget(known)

    def newest_version(self, uid: NetworkUid) -> int:
        """Return the highest resourceVersion among a network's blocks; 0 without any."""
        return max((int(block.resource_version) for block in self.blocks_of(uid)), default=0)

    def doubts(self, uid: NetworkUid, version: Version, start: int) -> bool:
        """Say whether a block has not been read again since ``doubt_everything``."""
        return (uid, version, start) in self._doubtful

    def doubt_everything(self) -> None:
        """Note that the API server's history went back: etcd was restored from a backup.

        What is known may never have happened; the next reading of each block replaces it.
        """
        self._doubtful = {block_id(block) for block in self.all_blocks()}
        self._doubtful |= {place for each in self.unreadable.all() if (place := place_of(each))}
        self.doubt_count += 1

    # Where to look next.

    def cursor(self, uid: NetworkUid, space: AddressSpace) -> int:
        """Return the number behind which the next search begins.

        A replica that has just started goes on behind the address handed out last.
        """
        known = self._cursors.find(uid, space)
        if known is not None:
            return known
        family = self._families.get((uid, space.version))
        blocks = () if family is None else family.blocks.values()
        held = (entry for block in blocks for entry in held_entries(block))
        return self._cursors.begin(uid, space, held)

    def move_cursor(self, uid: NetworkUid, version: Version, number: int) -> None:
        """Note the address handed out last."""
        self._cursors.move(uid, version, number)

    def add_pending(self, uid: NetworkUid, version: Version, start: int, count: int) -> None:
        """Count a request that queues for a block (or, with -1, that does not any more)."""
        identity = (uid, version, start)
        self._pending[identity] += count
        if self._pending[identity] <= 0:
            del self._pending[identity]

    def open_starts(self, uid: NetworkUid, version: Version) -> list[int]:
        """Return the starts of blocks that may have space, sorted."""
        family = self._families.get((uid, version))
        return [] if family is None else family.open_starts

    def count_unopened(self, uid: NetworkUid, space: AddressSpace) -> int:
        """Return how many addresses of a space no block can have taken, at least."""
        family = self._families.get((uid, space.version))
        opened = 0 if family is None else len(family.blocks)
        return space.total - BLOCK_SIZE * (opened + len(self.unreadable.of(uid, space.version)))

    def room(self, uid: NetworkUid, space: AddressSpace, start: int) -> int:
        """Return how many addresses of a space are free in a block."""
        block = self.get(uid, space.version, start)
        if block is None:
            return sum(1 for _ in space.within(start, start + BLOCK_SIZE - 1))
        known = self._rooms.get((uid, space.version, start))
        if known is not None and known[0] == space:
            return known[1]
        room = len(free_numbers(block, space, now=self._now()))
        # What cools comes free without a write.
        if not any(isinstance(entry, Cooling) for entry in block.entries):
            self._rooms[uid, space.version, start] = space, room
        return room

    def to_be_swept(self, uid: NetworkUid, space: AddressSpace, *, cooldown_s: int) -> list[int]:
        """Return the starts of blocks where a sweep would make addresses of a space free."""
        family = self._families.get((uid, space.version))
        over = self._now() - timedelta(seconds=cooldown_s)
        return [
            start
            for start, block in sorted(family.blocks.items() if family is not None else ())
            if not block.sealed
            and any(
                has_expired(entry, now=over) and entry.address in space
                for entry in held_entries(block)
            )
        ]

    def moment(self) -> datetime:
        """Return the time by which entries cool and expire."""
        return self._now()

    def pending(self, uid: NetworkUid, version: Version, start: int) -> int:
        """Return how many requests queue for a block."""
        return self._pending[(uid, version, start)]

    def _known(self, block: IPBlock | UnreadableBlock) -> Iterator[IPBlock | UnreadableBlock]:
        place = place_of(block)
        for known in (
            None if place is None else self.get(*place),
            self.unreadable.named(block.network_uid, block.name),
        ):
            if known is not None:
                yield known

    def _index(self, identity: BlockId, old: IPBlock | None, new: IPBlock | None) -> None:
        uid, version, start = identity
        family = self._families.setdefault((uid, version), _Family())
        block = new or old
        if block is not None:
            self._uids.setdefault((block.namespace, block.network), set()).add(uid)
        was_open = old is not None and _may_have_space(old)
        is_open = new is not None and _may_have_space(new)
        if is_open and not was_open:
            insort(family.open_starts, start)
        if was_open and not is_open:
            del family.open_starts[bisect_left(family.open_starts, start)]
        if old is not None:
            self._by_uid.pop(old.uid, None)
        if new is not None:
            self._by_uid[new.uid] = identity
        if new is None:
            family.blocks.pop(start, None)
            if not family.blocks:
                del self._families[(uid, version)]
        else:
            family.blocks[start] = new
        before = () if old is None else held_entries(old)
        after = () if new is None else held_entries(new)
        gone, added = difference(before, after)
        # One that is on both sides was kept.
        taken = {entry.address for entry in gone}
        fresh = [entry for entry in added if entry.address not in taken]
        self._cursors.follow(uid, version, start, fresh)
        self._owners.change(uid, gone=gone, added=added)
        self._index_nodes(identity, gone, added, after)
        self._rooms.pop(identity, None)
        if not is_open:
            self.contention.end(identity)
        self._count_change(uid)
        if not any((uid, version) in self._families for version in VERSIONS):
            self._drop_network(uid, block)

    def _count_change(self, uid: NetworkUid) -> None:
        self._changes += 1
        self._network_revisions[uid] = self._changes

    def _index_nodes(
        self,
        identity: BlockId,
        gone: Sequence[Held],
        added: Sequence[Held],
        after: Sequence[Held],
    ) -> None:
        changed = {entry.node for entry in (*gone, *added) if entry.node}
        if not changed:
            return
        present = {entry.node for entry in after}
        for node in changed:
            self._node_revisions[node] += 1
            blocks = self._by_node.setdefault(node, set())
            if node in present:
                blocks.add(identity)
            else:
                blocks.discard(identity)
            if not blocks:
                del self._by_node[node]

    def _drop_network(self, uid: NetworkUid, block: IPBlock | None) -> None:
        if block is not None:
            uids = self._uids.pop((block.namespace, block.network)) - {uid}
            if uids:
                self._uids[(block.namespace, block.network)] = uids
        self._network_revisions.pop(uid, None)
        for version in VERSIONS:
            self._cursors.drop(uid, version)


def _may_have_space(block: IPBlock) -> bool:
    return not block.sealed and len(held_entries(block)) < BLOCK_SIZE
