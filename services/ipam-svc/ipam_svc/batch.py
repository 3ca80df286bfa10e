"""Several changes of one block at once: what a single write carries. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from danm_api.errors import DanmError
from danm_api.model.ip_block import IPBlock, owner_key
from danm_api.record.entries import OwnerKey, held_entries
from ipam_svc.address_space import AddressSpace
from ipam_svc.block import Hint, apply
from ipam_svc.block_change import Change, GiveBack, Outcome, Sweep, TakeAny, Took


def judge(
    block: IPBlock, changes: Sequence[Change], *, now: datetime
) -> tuple[IPBlock, list[Outcome | DanmError]]:
    """Apply changes one after the other; one that is refused leaves the block to the next."""
    if len(changes) == 1:
        return _judge_alone(block, changes[0], now)
    verdicts: list[Outcome | DanmError] = []
    search = _Search({owner_key(entry.owner) for entry in held_entries(block)})
    for change in changes:
        try:
            block, outcome = apply(block, change, now=now, hint=search.hint(change))
        except DanmError as error:
            verdicts.append(error)
        else:
            verdicts.append(outcome)
            search.note(change, outcome)
    return block, verdicts


def _judge_alone(
    block: IPBlock, change: Change, now: datetime
) -> tuple[IPBlock, list[Outcome | DanmError]]:
    try:
        block, outcome = apply(block, change, now=now)
    except DanmError as error:
        return block, [error]
    return block, [outcome]


@dataclass(slots=True)
class _Search:
    """What the changes of one batch need not look at again.

    They all begin behind the address that was handed out last before the batch. What lies between
    there and what an earlier one of them took is not free, unless something was given back.

    Attributes:
        owners: All that have something in the block, or had when the batch began.
    """

    owners: set[OwnerKey]
    space: AddressSpace | None = None
    begin: int = 0
    last: int = 0

    def hint(self, change: Change) -> Hint:
        """Return what is known of a change."""
        if not isinstance(change, TakeAny):
            return Hint()
        return Hint(
            after=self.last if self._continues(change) else None,
            stranger=owner_key(change.owner) not in self.owners,
        )

    def note(self, change: Change, outcome: Outcome) -> None:
        """Remember what a change took."""
        if isinstance(outcome, Took):
            self.owners.add(owner_key(outcome.held.owner))
        if isinstance(change, TakeAny) and isinstance(outcome, Took) and outcome.new:
            number = int(outcome.held.address)
            # One that wrapped around the block's end has left nothing out before it.
            if number > change.after:
                if not self._continues(change):
                    self.space, self.begin = change.space, change.after
                self.last = number
        elif isinstance(change, GiveBack | Sweep):
            self.space = None

    def _continues(self, change: TakeAny) -> bool:
        return self.space is change.space and self.begin == change.after
