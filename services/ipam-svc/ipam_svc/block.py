"""What can happen to one block: pure functions from a block to its successor.

The committer applies any number of changes to a block and writes the result at once (DESIGN, "Group
commit").
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, assert_never

from danm_api.errors import (
    AddressTakenError,
    ConflictError,
    InvalidRequestError,
    NetworkNotReadyError,
    StaleAttemptError,
)
from danm_api.model.addresses import IPAddress, mac_of
from danm_api.model.ip_block import (
    Cooling,
    Entry,
    Held,
    IPBlock,
    owner_key,
)
from danm_api.record.entries import (
    describe_owner,
    has_expired,
    held_entries,
    lost_at,
)
from ipam_svc.address_space import address_of
from ipam_svc.block_change import (
    Change,
    Confirm,
    Expired,
    Fence,
    Fenced,
    GaveBack,
    GiveBack,
    NoSpace,
    NotHeld,
    Outcome,
    Seal,
    Sealed,
    Sweep,
    Swept,
    TakeAny,
    TakeExact,
    Took,
)
from ipam_svc.readings import (
    entry_at,
    first_free,
    held_with,
    is_free,
    is_of,
    position_of,
    with_entry,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """What is known of a change, so that less has to be looked at.

    Attributes:
        after: The search may begin behind this number: what is before it is taken.
        stranger: The owner has nothing in the block.
    """

    after: int | None = None
    stranger: bool = False


_NO_HINT: Final = Hint()


def apply(
    block: IPBlock, change: Change, *, now: datetime, hint: Hint = _NO_HINT
) -> tuple[IPBlock, Outcome]:
    """Return the block after a change, and what came of it.

    Raises:
        AddressTakenError: A static address belongs to another owner.
        StaleAttemptError: The owner's entry is of a later attempt.
        NetworkNotReadyError: The block is sealed.
        ConflictError: The block is going.
    """
    match change:
        case TakeAny():
            return _take_any(block, change, now, hint)
        case TakeExact():
            return _take_exact(block, change, now)
        case Confirm():
            return _confirm(block, change)
        case GiveBack():
            return _give_back(block, change, now)
        case Sweep():
            return _sweep(block, change, now)
        case Seal():
            # A block that is gone needs none.
            sealed = replace(block, sealed=True) if block.resource_version else block
            return sealed, Sealed()
        case Fence():
            # Nor does one that is gone.
            return _fenced(block), Fenced()
    assert_never(change)


def _fenced(block: IPBlock) -> IPBlock:
    return replace(block, fence=block.fence + 1) if block.resource_version else block


def _take_any(
    block: IPBlock, change: TakeAny, now: datetime, hint: Hint
) -> tuple[IPBlock, Outcome]:
    held = [] if hint.stranger else held_with(block, owner_key(change.owner))
    mine = [entry for entry in held if entry.node == change.node]
    if mine:
        mine.sort(key=lambda entry: entry.attempt)
        _refuse_stale(mine[-1], change.attempt)
        mine.sort(key=lambda entry: not entry.is_pending)
        wanted = [entry for entry in mine if entry.address not in change.left]
        if wanted:
            return _keep(block, wanted[-1], change)
    _refuse_going(block)
    if block.sealed:
        return block, NoSpace()
    after = change.after if hint.after is None else hint.after
    number = first_free(block, change.space, after=after, now=now)
    if number is None:
        return block, NoSpace()
    address = address_of(change.space.version, number)
    entry = _new_entry(change, address, mac=change.mac or mac_of(address), now=now)
    return with_entry(block, entry), Took(held=entry, new=True)


def _take_exact(block: IPBlock, change: TakeExact, now: datetime) -> tuple[IPBlock, Outcome]:
    if change.address not in block.cidr:
        reason = f"{change.address} does not belong to block {block.cidr}"
        raise InvalidRequestError(reason)
    entry = entry_at(block, change.address)
    where = f"{change.address} of DanmNet {block.namespace}/{block.network}"
    if isinstance(entry, Held):
        if is_of(entry, change.owner, change.node):
            _refuse_stale(entry, change.attempt)
            return _keep(block, entry, change)
        if change.keep_only:
            return block, NotHeld(holder=entry)
        if has_expired(entry, now=now):
            # A write on an earlier reading of a full block must find no place (Taker.fence).
            return block, Expired()
        reason = (
            f"{where} is held by {describe_owner(entry.owner)}"
            + (f" on node {entry.node}" if entry.node else "")
            + "; ask for another address or wait until it is given back"
        )
        raise AddressTakenError(reason)
    if change.keep_only:
        return block, NotHeld(holder=None)
    if change.dynamic and entry is not None and not is_free(entry, now=now):
        raise AddressTakenError(f"{where} cools; ask for another address or wait until it is free")
    _refuse_going(block)
    if block.sealed:
        reason = f"{where} is not handed out: the DanmNet is being deleted"
        raise NetworkNotReadyError(reason)
    held = _new_entry(change, change.address, mac=change.mac, now=now)
    return with_entry(block, held), Took(held=held, new=True, cooled=entry)


def _refuse_going(block: IPBlock) -> None:
    """Refuse a new entry that would be removed with the block (decision 0024).

    The committer removes such a block first, so this is met only where somebody does not.
    """
    if block.is_going:
        raise ConflictError(
            f"DanmIPBlock {block.namespace}/{block.name} is being removed at this moment; try again"
        )


def _confirm(block: IPBlock, change: Confirm) -> tuple[IPBlock, Outcome]:
    entry = entry_at(block, change.address)
    if not isinstance(entry, Held) or not _is_exactly(entry, change):
        return block, NotHeld(holder=entry if isinstance(entry, Held) else None)
    confirmed = replace(entry, pending=None)
    return with_entry(block, confirmed), Took(held=confirmed, new=False)


def _is_exactly(entry: Held, change: Confirm | GiveBack) -> bool:
    return owner_key(entry.owner) == change.key and entry.attempt == change.attempt


def _give_back(block: IPBlock, change: GiveBack, now: datetime) -> tuple[IPBlock, Outcome]:
    entry = entry_at(block, change.address)
    if not isinstance(entry, Held):
        return block, NotHeld(holder=None)
    if not _is_exactly(entry, change) or (change.pending and not entry.is_pending):
        return block, NotHeld(holder=entry)
    position = position_of(block.entries, change.address)
    left = block.entries[:position] + block.entries[position + 1 :]
    freed = replace(block, entries=left)
    cooling = _cooling(entry, change.cooldown_s, now)
    if change.cooled is not None and not is_free(change.cooled, now=now):
        cooling = max(cooling or change.cooled, change.cooled, key=lambda each: each.free_at)
    return freed if cooling is None else with_entry(freed, cooling), GaveBack(held=entry)


def _sweep(block: IPBlock, change: Sweep, now: datetime) -> tuple[IPBlock, Outcome]:
    expired = tuple(entry for entry in held_entries(block) if has_expired(entry, now=now))
    if not expired:
        return block, Swept(held=())
    left: list[Entry] = []
    for entry in block.entries:
        if not isinstance(entry, Held) or not has_expired(entry, now=now):
            left.append(entry)
        elif (cooling := _cooling(entry, change.cooldown_s, now)) is not None:
            left.append(cooling)
    return replace(block, entries=tuple(left)), Swept(held=expired)


def _cooling(entry: Held, cooldown_s: int, now: datetime) -> Cooling | None:
    """Return what an entry leaves when it is given back; None when the address is free at once.

    An expired one cools since its end, so that it makes no difference who frees it, and when.
    """
    free_at = (lost_at(entry, now=now) or now) + timedelta(seconds=cooldown_s)
    return Cooling(address=entry.address, free_at=free_at) if free_at > now else None


def _keep(block: IPBlock, entry: Held, change: TakeAny | TakeExact) -> tuple[IPBlock, Outcome]:
    """Raise the attempt of the owner's own entry: all else that decides stays as it is."""
    born = entry.born
    if born is None and entry.attempt != change.attempt:
        # Whoever undoes the attempt must see that it did not take the address.
        born = entry.attempt
    beside = isinstance(change, TakeExact) and change.beside
    pending = change.attempt if beside or entry.is_pending else None
    kept = replace(entry, owner=change.owner, attempt=change.attempt, born=born, pending=pending)
    return with_entry(block, kept), Took(held=kept, new=False)


def _refuse_stale(entry: Held, attempt: int) -> None:
    if entry.attempt > attempt:
        reason = (
            f"attempt {attempt} of {describe_owner(entry.owner)} is older than its attempt"
            f" {entry.attempt}, which holds {entry.address}; use a larger number"
        )
        raise StaleAttemptError(reason, current_attempt=entry.attempt)


def _new_entry(change: TakeAny | TakeExact, address: IPAddress, *, mac: str, now: datetime) -> Held:
    return Held(
        address=address,
        owner=change.owner,
        node=change.node,
        attempt=change.attempt,
        since=now,
        mac=mac,
        pending=change.attempt if change.beside else None,
    )
