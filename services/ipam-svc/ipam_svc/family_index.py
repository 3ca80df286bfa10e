"""One network's blocks of one family, as ``allocator.choose_block`` wants to see them. Pure."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

from danm_api.names import NetworkUid
from ipam_svc.address_space import AddressSpace, Version
from ipam_svc.ledger import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyIndex:
    """One network's blocks of one family.

    Attributes:
        count_pending: Requests that queue for a block diminish its room.
    """

    ledger: Ledger
    uid: NetworkUid
    version: Version
    count_pending: bool

    def exists(self, start: int) -> bool:
        """Say whether a block is known."""
        return (
            self.ledger.get(self.uid, self.version, start) is not None
            or self.ledger.unreadable.at(self.uid, self.version, start) is not None
        )

    def open_from(self, start: int) -> Iterator[int]:
        """Yield the starts of blocks that may have space, from ``start`` on and around."""
        starts = self.ledger.open_starts(self.uid, self.version)
        position = bisect_left(starts, start)
        yield from starts[position:]
        yield from starts[:position]

    def is_contended(self, start: int) -> bool:
        """Say whether another replica writes the block."""
        return self.ledger.contention.holds((self.uid, self.version, start))

    def room(self, start: int, space: AddressSpace) -> int:
        """Return how many addresses are free there."""
        room = self.ledger.room(self.uid, space, start)
        if self.count_pending:
            room -= self.ledger.pending(self.uid, self.version, start)
        return room
