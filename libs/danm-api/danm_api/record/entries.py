"""What entries of the record say of their owners: who, until when, and which of two counts. Pure.

ipam-svc decides by it, and whoever examines the record judges by the same.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from danm_api.ipam_api import MAX_TIMEOUT_S
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

GIVE_BACK_S: Final = 10.0
"""How long a reserve that failed tries to give back what it took."""

_LONGEST_REQUEST: Final = timedelta(seconds=MAX_TIMEOUT_S + GIVE_BACK_S) + CLOCK_SKEW


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

    One that is pending ends no other: its request may still fail (decision 0034).

    Source: DESIGN, "Attempts fence": anyone may remove them.
    """
    return dead_among(entry for block in blocks for entry in held_entries(block))


def dead_among(entries: Iterable[Held]) -> list[Held]:
    """Return the same of entries of one network."""
    by_owner: dict[tuple[OwnerKey, NodeName, int], list[Held]] = {}
    for entry in entries:
        key = (owner_key(entry.owner), entry.node, entry.address.version)
        by_owner.setdefault(key, []).append(entry)
    return [entry for each in by_owner.values() for entry in each if entry.attempt < _last(each)]


def _last(entries: Iterable[Held]) -> int:
    """Return the latest attempt whose address its owner has; of none that is pending."""
    return max((entry.attempt for entry in entries if not entry.is_pending), default=0)


def is_abandoned(entry: Held, *, now: datetime) -> bool:
    """Say whether a pending entry's request must have ended, and has left it behind."""
    return entry.is_pending and entry.since <= now - _LONGEST_REQUEST
