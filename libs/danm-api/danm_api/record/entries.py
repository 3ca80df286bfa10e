"""What entries of the record say of their owners: who, until when, and which of two counts. Pure.

ipam-svc decides by it, and whoever examines the record judges by the same.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from danm_api.model.ip_block import (
    ContainerOwner,
    ExternalOwner,
    Held,
    IPBlock,
    Owner,
    PodOwner,
    owner_key,
)
from danm_api.names import NodeName

OwnerKey = tuple[str, ...]

# An owner, and each replica, looks at the clock of its own machine.
CLOCK_SKEW: Final = timedelta(seconds=10)
"""By how much two of these may differ."""


def held_entries(block: IPBlock) -> tuple[Held, ...]:
    """Return the entries that have an owner."""
    return tuple(entry for entry in block.entries if isinstance(entry, Held))


def lost_at(entry: Held, *, now: datetime) -> datetime | None:
    """Return since when an entry is expired by every clock (decision 0015); None if it is not."""
    owner = entry.owner
    if not isinstance(owner, ExternalOwner) or owner.expires is None:
        return None
    # In this form, since the last times of the calendar have no later ones.
    return owner.expires + CLOCK_SKEW if owner.expires <= now - CLOCK_SKEW else None


def has_expired(entry: Held, *, now: datetime) -> bool:
    """Say whether the owner agreed to lose the address by now, by its own clock too (SPEC I3)."""
    return lost_at(entry, now=now) is not None


def describe_owner(owner: Owner) -> str:
    """Name an owner in a sentence."""
    match owner:
        case PodOwner():
            return f"Pod {owner.namespace}/{owner.name} (interface {owner.interface})"
        case ContainerOwner():
            return f"container {owner.container_id} (interface {owner.interface})"
        case ExternalOwner():
            return f"the external owner {owner.namespace}/{owner.name}"


def dead_doubles(blocks: Iterable[IPBlock]) -> list[Held]:
    """Return the entries whose owner has a newer one of the family on the same network and node.

    Source: DESIGN, "Attempts fence": anyone may remove them.
    """
    return dead_among(entry for block in blocks for entry in held_entries(block))


def dead_among(entries: Iterable[Held]) -> list[Held]:
    """Return the same of entries of one network."""
    newest: dict[tuple[OwnerKey, NodeName, int], Held] = {}
    dead: list[Held] = []
    for entry in entries:
        key = (owner_key(entry.owner), entry.node, entry.address.version)
        other = newest.get(key)
        if other is None or other.attempt < entry.attempt:
            newest[key] = entry
        if other is not None and other.attempt != entry.attempt:
            dead.append(min(other, entry, key=lambda each: each.attempt))
    return dead
