"""Where the next search of each network begins: behind the address handed out last. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from danm_api.model.ip_block import Held
from danm_api.names import NetworkUid
from ipam_svc.address_space import BLOCK_SIZE, AddressSpace, Version


@dataclass(slots=True)
class _Cursor:
    space: AddressSpace
    number: int


class Cursors:
    """A cursor for each network and family that something was asked of."""

    def __init__(self) -> None:
        """Start with none."""
        self._cursors: dict[tuple[NetworkUid, Version], _Cursor] = {}

    def find(self, uid: NetworkUid, space: AddressSpace) -> int | None:
        """Return the number behind which the search of a space begins; None before the first."""
        cursor = self._cursors.get((uid, space.version))
        if cursor is None:
            return None
        # The DanmNet may have changed.
        cursor.space = space
        return cursor.number

    def begin(self, uid: NetworkUid, space: AddressSpace, held: Iterable[Held]) -> int:
        """Return the first cursor: behind what was handed out last, by what is held."""
        last = _latest(space, held)
        number = space.start - 1 if last is None else last
        self._cursors[uid, space.version] = _Cursor(space, number)
        return number

    def move(self, uid: NetworkUid, version: Version, number: int) -> None:
        """Note the address handed out last."""
        cursor = self._cursors.get((uid, version))
        if cursor is not None:
            cursor.number = number

    def follow(self, uid: NetworkUid, version: Version, start: int, new: Iterable[Held]) -> None:
        """Go on behind what was handed out in a block, by any replica, if the cursor is there.

        Else an address that was just given back through one replica would be the next one that
        another gives, to somebody whose peers still know its old owner by it. In other blocks
        replicas keep apart (DESIGN, "Group commit").
        """
        cursor = self._cursors.get((uid, version))
        if cursor is not None and start <= cursor.number < start + BLOCK_SIZE:
            last = _latest(cursor.space, new)
            if last is not None:
                cursor.number = last

    def drop(self, uid: NetworkUid, version: Version) -> None:
        """Forget a network."""
        self._cursors.pop((uid, version), None)


def _latest(space: AddressSpace, held: Iterable[Held]) -> int | None:
    dynamic = (entry for entry in held if entry.address in space)
    last = max(dynamic, key=lambda entry: entry.since, default=None)
    return None if last is None else int(last.address)
