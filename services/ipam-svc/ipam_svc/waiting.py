"""A change that waits for its block's write, and what a write without an answer brought it."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from opentelemetry.context import Context

from danm_api.errors import DanmError
from danm_api.telemetry import current_request_ids, current_trace
from ipam_svc.block_change import Change, GaveBack, NotHeld, Outcome, Swept, Took


@dataclass(slots=True, kw_only=True, eq=False)
class Waiting:
    """One change in the queue.

    Attributes:
        deadline: In the clock's seconds; no write carries the change after it.
        verdict: Resolved with the outcome.
        tried: What a write whose answer was lost would have brought.
        may_move: When another replica wins the block, the caller takes another one.
        trace: The caller's span, if it has one.
        request_ids: The caller's, for log lines.
    """

    change: Change
    deadline: float
    verdict: "asyncio.Future[Outcome]"
    tried: Outcome | None = None
    may_move: bool = False
    trace: Context | None = field(default_factory=current_trace)
    request_ids: tuple[str, ...] = field(default_factory=current_request_ids)

    def settle(self, verdict: Outcome | DanmError) -> None:
        """Tell the caller, if it still listens."""
        if self.verdict.done():
            return
        if isinstance(verdict, DanmError):
            self.verdict.set_exception(verdict)
        else:
            self.verdict.set_result(verdict)


def changes_that_take(
    batch: Sequence[Waiting], verdicts: Sequence[Outcome | DanmError]
) -> Iterator[Change]:
    """Yield the changes that make new entries."""
    for waiting, verdict in zip(batch, verdicts, strict=True):
        if isinstance(verdict, Took) and verdict.new:
            yield waiting.change


def as_first_tried(tried: Outcome | None, verdict: Outcome | DanmError) -> Outcome | DanmError:
    """Return a verdict as it is when a write, whose answer was lost, turns out to be done.

    An entry that an earlier attempt has taken says so (``born``): one that the owner had before,
    unknown to this replica, is not taken for the write's.
    """
    match tried, verdict:
        case Took(held=own, new=True, cooled=cooled), Took(held=held, new=False):
            is_own = own.address == held.address and held.born is None
            return replace(verdict, new=is_own, cooled=cooled if is_own else None)
        case GaveBack(), NotHeld():
            return tried
        case Swept(), Swept(held=()):
            return tried
    return verdict


def note_tried(
    batch: Sequence[Waiting],
    verdicts: Sequence[Outcome | DanmError],
    kinds: tuple[type[Took | GaveBack | Swept], ...],
) -> None:
    """Remember what a write may have brought."""
    for waiting, verdict in zip(batch, verdicts, strict=True):
        if isinstance(verdict, kinds):
            waiting.tried = verdict
