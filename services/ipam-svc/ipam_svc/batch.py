"""Several changes of one block at once: what a single write carries. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from danm_api.errors import DanmError
from danm_api.model.ip_block import IPBlock
from ipam_svc.address_space import AddressSpace
from ipam_svc.block import Change, GiveBack, Outcome, TakeAny, Took, apply


def judge(
    block: IPBlock, changes: Iterable[Change], *, now: datetime
) -> tuple[IPBlock, list[Outcome | DanmError]]:
    """Apply changes one after the other; one that is refused leaves the block to the next."""
    verdicts: list[Outcome | DanmError] = []
    search = _Search()
    for change in changes:
        try:
            block, outcome = apply(block, search.shortened(change), now=now)
        except DanmError as error:
            verdicts.append(error)
        else:
            verdicts.append(outcome)
            search.note(change, outcome)
    return block, verdicts


@dataclass(slots=True)
class _Search:
    """Where the search of the changes of one batch goes on.

    They all begin behind the address that was handed out last before the batch. What lies between
    there and what an earlier one of them took is not free, unless something was given back.
    """

    space: AddressSpace | None = None
    begin: int = 0
    last: int = 0

    def shortened(self, change: Change) -> Change:
        """Return the change with a search that leaves out what is known to be taken."""
        if isinstance(change, TakeAny) and self._continues(change):
            return replace(change, after=self.last)
        return change

    def note(self, change: Change, outcome: Outcome) -> None:
        """Remember what a change took."""
        if isinstance(change, TakeAny) and isinstance(outcome, Took) and outcome.new:
            number = int(outcome.held.address)
            # One that wrapped around the block's end has left nothing out before it.
            if number > change.after:
                if not self._continues(change):
                    self.space, self.begin = change.space, change.after
                self.last = number
        elif isinstance(change, GiveBack):
            self.space = None

    def _continues(self, change: TakeAny) -> bool:
        return self.space is change.space and self.begin == change.after
