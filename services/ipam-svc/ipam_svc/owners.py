"""Which addresses each owner has on each network, by this replica's readings. Pure."""

from collections.abc import Iterable, Sequence

from danm_api.model.ip_block import Held, IPBlock, owner_key
from danm_api.names import NetworkUid, NodeName
from ipam_svc.block import OwnerKey, held_entries


class Owners:
    """The entries by network and owner; every reservation asks several times."""

    def __init__(self) -> None:
        """Start without any."""
        # By the owner without its interface: few have more than a handful of them.
        self._entries: dict[tuple[NetworkUid, OwnerKey], tuple[Held, ...]] = {}

    def of(self, uid: NetworkUid, key: OwnerKey) -> list[Held]:
        """Return the entries of an owner, as ``owner_key`` names it, in the order of addresses."""
        found = self._entries.get((uid, without_interface(key)))
        return [] if found is None else [each for each in found if owner_key(each.owner) == key]

    def of_all_interfaces(self, uid: NetworkUid, key: OwnerKey) -> Sequence[Held]:
        """Return the entries of an owner's every interface, in the order of addresses."""
        return self._entries.get((uid, without_interface(key)), ())

    def change(self, uid: NetworkUid, *, gone: Iterable[Held], added: Iterable[Held]) -> None:
        """Take in that entries are gone and others are there; a changed one is both."""
        for entry in gone:
            place = (uid, without_interface(owner_key(entry.owner)))
            left = tuple(
                each for each in self._entries.get(place, ()) if each.address != entry.address
            )
            if left:
                self._entries[place] = left
            else:
                self._entries.pop(place, None)
        for entry in added:
            place = (uid, without_interface(owner_key(entry.owner)))
            known = self._entries.get(place)
            if known is None:
                self._entries[place] = (entry,)
            else:
                self._entries[place] = tuple(sorted((*known, entry), key=_place_of))


def without_interface(key: OwnerKey) -> OwnerKey:
    """Return what the keys of all interfaces of one owner have in common."""
    kind, identity, *_ = key
    return key if kind == "External" else (kind, identity)


def dead_doubles(blocks: Iterable[IPBlock]) -> list[Held]:
    """Return the entries whose owner has a newer one of the family on the same network and node.

    Source: DESIGN, "Attempts fence": anyone may remove them.
    """
    newest: dict[tuple[OwnerKey, NodeName, int], Held] = {}
    dead: list[Held] = []
    for block in blocks:
        for entry in held_entries(block):
            key = (owner_key(entry.owner), entry.node, entry.address.version)
            other = newest.get(key)
            if other is None or other.attempt < entry.attempt:
                newest[key] = entry
            if other is not None and other.attempt != entry.attempt:
                dead.append(min(other, entry, key=lambda each: each.attempt))
    return dead


def _place_of(entry: Held) -> tuple[int, int]:
    return entry.address.version, int(entry.address)
