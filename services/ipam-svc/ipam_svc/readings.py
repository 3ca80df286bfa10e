"""What readings of a block say: of an owner, of each other, and of time. Pure."""

from collections.abc import Sequence

from danm_api.model.ip_block import (
    Cooling,
    Entry,
    ExternalOwner,
    Held,
    IPBlock,
    PodOwner,
    owner_key,
)


def difference(before: Sequence[Held], after: Sequence[Held]) -> tuple[list[Held], list[Held]]:
    """Return the entries that are gone, and those that are new; a changed one is both.

    What this replica wrote shares its entries with what it read: those are not compared.
    """
    kept = {id(entry) for entry in before}
    kept &= {id(entry) for entry in after}
    # By the owner too: a broken block may have an address twice, and each must be found again.
    gone = {(entry.address, entry.owner): entry for entry in before if id(entry) not in kept}
    added = []
    for entry in after:
        if id(entry) in kept:
            continue
        place = entry.address, entry.owner
        if gone.get(place) == entry:
            del gone[place]
        else:
            added.append(entry)
    return list(gone.values()), added


def changes_with_time(entry: Entry) -> bool:
    """Say whether an address becomes free without a write."""
    if isinstance(entry, Cooling):
        return True
    return isinstance(entry.owner, ExternalOwner) and entry.owner.expires is not None


def held_with(block: IPBlock, key: tuple[str, ...]) -> list[Held]:
    """Return the entries of an owner, as ``owner_key`` names it.

    Every reservation asks this of blocks with 64 entries, so no key is made of each.
    """
    kind, first, second = key
    held = (entry for entry in block.entries if isinstance(entry, Held))
    match kind:
        case "Pod":
            return [
                entry
                for entry in held
                if isinstance(entry.owner, PodOwner)
                and entry.owner.uid == first
                and entry.owner.interface == second
            ]
        case "External":
            return [
                entry
                for entry in held
                if isinstance(entry.owner, ExternalOwner)
                and entry.owner.name == second
                and entry.owner.namespace == first
            ]
    return [entry for entry in held if owner_key(entry.owner) == key]
