"""What readings of a block say: of each other, of an owner, and of what is free. Pure."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from danm_api.model.addresses import IPAddress, IPNetwork
from danm_api.model.ip_block import (
    Cooling,
    Entry,
    ExternalOwner,
    Held,
    IPBlock,
    Owner,
    PodOwner,
    UnreadableBlock,
    owner_key,
)
from danm_api.names import NetworkUid, NodeName
from ipam_svc.address_space import AddressSpace, Version, version_of

BlockId = tuple[NetworkUid, Version, int]


def block_id(block: IPBlock) -> BlockId:
    """Return what makes a block the same block."""
    return _place(block.network_uid, block.cidr)


def place_of(block: IPBlock | UnreadableBlock) -> BlockId | None:
    """Return the same, also of a block that cannot be read; None when its name is no block's."""
    return None if block.cidr is None else _place(block.network_uid, block.cidr)


def _place(uid: NetworkUid, cidr: IPNetwork) -> BlockId:
    return uid, version_of(cidr.network_address), int(cidr.network_address)


def is_newer(block: IPBlock | UnreadableBlock, than: IPBlock | UnreadableBlock) -> bool:
    """Say whether one reading of a block is later than another.

    Kubernetes documents resourceVersions as comparable integers since 1.35; they have been so since
    its first release.
    """
    return int(block.resource_version) > int(than.resource_version)


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


def entry_at(block: IPBlock, address: IPAddress) -> Entry | None:
    """Return what the block says of an address."""
    position = position_of(block.entries, address)
    if position < len(block.entries) and block.entries[position].address == address:
        return block.entries[position]
    return None


def position_of(entries: tuple[Entry, ...], address: IPAddress) -> int:
    """Return where the entry of an address is among sorted ones, or would be."""
    return bisect_left(entries, int(address), key=_number)


def is_free(entry: Entry, *, now: datetime) -> bool:
    """Say whether an address with this entry may be handed out dynamically.

    What somebody holds is given back first, also when its owner's time is over: so that it cools
    and is told of, and that a full block takes in nothing before it was written (``Taker.fence``).
    """
    return isinstance(entry, Cooling) and entry.free_at <= now


def is_of(entry: Held, owner: Owner, node: NodeName) -> bool:
    """Say whether an entry is an owner's on this node.

    A Pod's UID alone is no proof: a node may say of a mirror Pod what it likes, so whoever comes
    from another node is another owner (DESIGN, "A rooted node").
    """
    return entry.node == node and owner_key(entry.owner) == owner_key(owner)


def is_beside(entries: Iterable[Held], address: IPAddress) -> bool:
    """Say whether an owner with these entries has another address of the family than this one.

    It is that of the latest attempt whose outcome it was told.
    """
    settled = (
        entry
        for entry in entries
        if entry.address.version == address.version and not entry.is_pending
    )
    last = max(settled, key=lambda entry: entry.attempt, default=None)
    return last is not None and last.address != address


def is_empty(block: IPBlock, *, now: datetime) -> bool:
    """Say whether nothing would be lost with the block."""
    return all(is_free(entry, now=now) for entry in block.entries)


def with_entry(block: IPBlock, entry: Entry) -> IPBlock:
    """Put an entry in place of what the block says of its address."""
    position = position_of(block.entries, entry.address)
    behind = position
    if position < len(block.entries) and block.entries[position].address == entry.address:
        behind += 1
    entries = (*block.entries[:position], entry, *block.entries[behind:])
    return replace(block, entries=entries)


def first_free(block: IPBlock, space: AddressSpace, *, after: int, now: datetime) -> int | None:
    """Return the next free address of a space in a block: behind a number, then from its begin."""
    first, last = int(block.cidr.network_address), int(block.cidr.broadcast_address)
    for low, high in ((max(first, after + 1), last), (first, min(last, after))):
        position = bisect_left(block.entries, low, key=_number)
        # Both are sorted, and usually the first address is free: no list of all of them is made.
        for number in space.within(low, high):
            while position < len(block.entries) and _number(block.entries[position]) < number:
                position += 1
            if position == len(block.entries) or _number(block.entries[position]) > number:
                return number
            if is_free(block.entries[position], now=now):
                return number
    return None


def free_numbers(block: IPBlock, space: AddressSpace, *, now: datetime) -> list[int]:
    """Return the free addresses of a space in a block, in order."""
    taken = {int(entry.address) for entry in block.entries if not is_free(entry, now=now)}
    first, last = int(block.cidr.network_address), int(block.cidr.broadcast_address)
    return [number for number in space.within(first, last) if number not in taken]


def _number(entry: Entry) -> int:
    return int(entry.address)
