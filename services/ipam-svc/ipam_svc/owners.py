"""Which addresses each owner has on each network, by this replica's readings. Pure."""

from collections.abc import Iterable, Sequence

from danm_api.model.ip_block import Held, owner_key
from danm_api.names import NetworkUid
from danm_api.record.entries import OwnerKey, dead_among


class Owners:
    """The entries by network and owner; every reservation asks several times."""

    def __init__(self) -> None:
        """Start without any."""
        # By the owner without its interface: few have more than a handful of them.
        self._entries: dict[tuple[NetworkUid, OwnerKey], tuple[Held, ...]] = {}
        # Owners with more than one of them, by network: only they can have doubles.
        self._crowded: dict[NetworkUid, set[OwnerKey]] = {}

    def of(self, uid: NetworkUid, key: OwnerKey) -> list[Held]:
        """Return the entries of an owner, as ``owner_key`` names it, in the order of addresses."""
        found = self._entries.get((uid, without_interface(key)))
        return [] if found is None else [each for each in found if owner_key(each.owner) == key]

    def of_all_interfaces(self, uid: NetworkUid, key: OwnerKey) -> Sequence[Held]:
        """Return the entries of an owner's every interface, in the order of addresses."""
        return self._entries.get((uid, without_interface(key)), ())

    def dead_doubles(self, uid: NetworkUid) -> list[Held]:
        """Return what ``dead_doubles`` finds in all blocks of a network, for what it is."""
        crowded = self._crowded.get(uid, ())
        return dead_among(each for key in crowded for each in self._entries[uid, key])

    def change(self, uid: NetworkUid, *, gone: Iterable[Held], added: Iterable[Held]) -> None:
        """Take in that entries are gone and others are there; a changed one is both."""
        for entry in gone:
            place = (uid, without_interface(owner_key(entry.owner)))
            left = tuple(
                each for each in self._entries.get(place, ()) if each.address != entry.address
            )
            self._put(place, left)
        for entry in added:
            place = (uid, without_interface(owner_key(entry.owner)))
            known = self._entries.get(place)
            if known is None:
                self._entries[place] = (entry,)
            else:
                self._put(place, tuple(sorted((*known, entry), key=_place_of)))

    def _put(self, place: tuple[NetworkUid, OwnerKey], entries: tuple[Held, ...]) -> None:
        uid, key = place
        if entries:
            self._entries[place] = entries
        else:
            self._entries.pop(place, None)
        if len(entries) > 1:
            self._crowded.setdefault(uid, set()).add(key)
        elif uid in self._crowded:
            self._crowded[uid].discard(key)
            if not self._crowded[uid]:
                del self._crowded[uid]


def without_interface(key: OwnerKey) -> OwnerKey:
    """Return what the keys of all interfaces of one owner have in common."""
    kind, identity, *_ = key
    return key if kind == "External" else (kind, identity)


def _place_of(entry: Held) -> tuple[int, int]:
    return entry.address.version, int(entry.address)
