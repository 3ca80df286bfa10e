"""Group commit: all that happens to one block goes through one queue of this replica.

While a write of a block is in flight, changes for it queue; the next write carries all of them
(DESIGN, "Group commit"). A verdict leaves here only when it is proven: a change that took effect by
the write that carried it, a refusal by that write too or by a consistent read of the block.
"""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from danm_api.errors import (
    ApiUnavailableError,
    ConflictError,
    DanmError,
    DeadlineExceededError,
    InvalidObjectError,
    NotFoundError,
    OverloadedError,
)
from danm_api.model.ip_block import IPBlock, UnreadableBlock, owner_key
from danm_api.names import NetworkUid
from danm_api.telemetry import get_logger
from ipam_svc import metrics
from ipam_svc.address_space import BLOCK_SIZE, Version, version_of
from ipam_svc.admission import Admissions
from ipam_svc.batch import judge
from ipam_svc.block_change import (
    Change,
    Contended,
    Expired,
    GaveBack,
    GiveBack,
    NoSpace,
    Outcome,
    Swept,
    TakeAny,
    TakeExact,
    Took,
)
from ipam_svc.block_ref import BlockRef
from ipam_svc.ledger import Ledger
from ipam_svc.openings import Openings
from ipam_svc.quiet import Gatherer
from ipam_svc.readings import held_with, is_newer
from ipam_svc.shared_write import in_the_name_of
from ipam_svc.store import BlockStore
from ipam_svc.waiting import Waiting, as_first_tried, changes_that_take, note_tried

_log = get_logger(__name__)

# Waits between tries while the API server does not answer: short enough for a deadline of seconds.
_RETRY_DELAYS_S: Final = (0.02, 0.05, 0.1, 0.2, 0.5)
# More than a node's burst of Pods on every node of a large cluster; each waits a few KB.
_MAX_QUEUED: Final = 4096


@dataclass(slots=True, kw_only=True)
class _Queue:
    """What waits for one block."""

    ref: BlockRef
    waiting: list[Waiting] = field(default_factory=list)


class Committer:
    """Carries changes into blocks.

    Attributes:
        openings: Creates the blocks, also ahead of the changes.
    """

    def __init__(
        self,
        *,
        store: BlockStore,
        ledger: Ledger,
        now: Callable[[], datetime],
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Prepare.

        Args:
            store: Where blocks are kept.
            ledger: What this replica knows of them.
            now: The time that entries carry.
            clock: Monotonic seconds, for deadlines.
            sleep: Waits between tries.
        """
        self._store = store
        self._ledger = ledger
        self._now = now
        self._clock = clock
        self._sleep = sleep
        self._queues: dict[BlockRef, _Queue] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._queued = 0
        self._gatherer = Gatherer[tuple[NetworkUid, Version]](sleep=sleep)
        self._admissions = Admissions(store)
        self.openings = Openings(
            store=store, ledger=ledger, admissions=self._admissions, clock=clock
        )

    async def commit(
        self, ref: BlockRef, change: Change, *, deadline: float, may_move: bool = False
    ) -> Outcome:
        """Carry one change into a block and return what came of it.

        Args:
            ref: The block.
            change: What is to happen.
            deadline: In the clock's seconds.
            may_move: Come back with ``Contended`` rather than contend with another replica.

        Raises:
            OverloadedError: Too much is queued already.
            DeadlineExceededError: The outcome was not known in time; it may still happen.
            NetworkNotFoundError: The DanmNet is gone.
            NetworkNotReadyError: The DanmNet is being deleted.
            DanmError: The block refuses the change, or the API server refuses the write.
        """
        # What is given back was let in before: refusing it would leave addresses without owner.
        limit = 2 * _MAX_QUEUED if isinstance(change, GiveBack) else _MAX_QUEUED
        if self._queued >= limit:
            raise OverloadedError(f"{_MAX_QUEUED} changes of addresses are queued; try again later")
        waiting = Waiting(
            change=change,
            deadline=deadline,
            verdict=asyncio.get_running_loop().create_future(),
            may_move=may_move,
        )
        queue = self._queues.get(ref)
        if queue is None:
            queue = self._queues[ref] = _Queue(ref=ref)
            # It goes on for others than who asks now: of whom it works for, the batch tells.
            task = asyncio.create_task(
                self._drain(queue), name=f"commit {ref.name}", context=contextvars.Context()
            )
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        queue.waiting.append(waiting)
        self._queued += 1
        metrics.QUEUED.inc()
        self._ledger.add_pending(ref.network_uid, ref.version, ref.start, 1)
        try:
            return await waiting.verdict
        finally:
            self._queued -= 1
            metrics.QUEUED.dec()
            self._ledger.add_pending(ref.network_uid, ref.version, ref.start, -1)

    async def close(self) -> None:
        """Wait for the writes that are under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        await self.openings.close()

    async def _drain(self, queue: _Queue) -> None:
        while queue.waiting:
            await self._gatherer.until_quiet(queue.ref.family, queue.waiting, enough=BLOCK_SIZE)
            batch, queue.waiting = queue.waiting, []
            try:
                with in_the_name_of(batch, block=queue.ref.name):
                    await self._commit(queue.ref, batch)
            except DanmError as error:
                # The block cannot be read: its name is in the reason.
                for waiting in batch:
                    self._refuse(queue.ref, waiting, error)
            except Exception as error:  # noqa: BLE001  (logged and answered)
                # A bug must not leave callers waiting, nor stop the block for those who come next.
                _log.exception("Failed to commit a batch", block=queue.ref.name)
                failure = ApiUnavailableError(f"ipam-svc failed: {error!r}", status=0)
                for waiting in batch:
                    waiting.settle(failure)
        del self._queues[queue.ref]

    async def _commit(self, ref: BlockRef, batch: list[Waiting]) -> None:
        """Bring a batch to its end: every change in it is settled."""
        base = self._ledger.get(ref.network_uid, ref.version, ref.start)
        if base is None or not base.entries:
            # Else others use it already: what they give back need not wait for a reading.
            await self.openings.settled(ref)
            base = self._ledger.get(ref.network_uid, ref.version, ref.start)
        base = base or ref.new_block()
        proven = False
        tries = 0
        while batch := self._still_wanted(batch):
            try:
                if self._ledger.doubts(ref.network_uid, ref.version, ref.start):
                    # Versions are given anew, so a write on what was known could even succeed.
                    base, proven = await self._read(ref), True
                if base.is_going:
                    await self._remove(base)
                    base, proven = ref.new_block(), True
                after, verdicts = self._judge(base, batch)
                if not self._admissions.allow(base, changes_that_take(batch, verdicts)):
                    base = await self._open(base, batch, verdicts)
                elif after != base:
                    await self._write(after, batch, verdicts)
                    return
                elif proven or all(isinstance(each, NoSpace | Expired) for each in verdicts):
                    self._settle(batch, verdicts)
                    return
                else:
                    base = await self._read(ref)
                    proven = True
            except (ConflictError, NotFoundError):
                metrics.CONFLICTS.inc()
                base, proven = await self._read_again(ref, base)
                self._make_way(ref, base, batch, proven=proven)
            except ApiUnavailableError as error:
                # A write may have taken effect, or may yet: what is read next, and the
                # resourceVersion of the write after it, decide.
                _log.warning("Retrying a block", block=ref.name, error=error)
                metrics.RETRIES.inc()
                await self._sleep(_RETRY_DELAYS_S[min(tries, len(_RETRY_DELAYS_S) - 1)])
                tries += 1
                base, proven = await self._read_again(ref, base)
            except DanmError as error:
                await self._split(ref, batch, error)
                return

    async def _remove(self, block: IPBlock) -> None:
        """Bring a block to its end that is going, since others are waiting for its addresses."""
        await self._store.remove_block(block)
        self._ledger.forget(block)

    def _judge(
        self, base: IPBlock, batch: Sequence[Waiting]
    ) -> tuple[IPBlock, list[Outcome | DanmError]]:
        after, verdicts = judge(base, [each.change for each in batch], now=self._now())
        for position, (waiting, verdict) in enumerate(zip(batch, verdicts, strict=True)):
            verdicts[position] = as_first_tried(waiting.tried, verdict)
        return after, verdicts

    async def _open(
        self,
        base: IPBlock,
        batch: Sequence[Waiting],
        verdicts: Sequence[Outcome | DanmError],
    ) -> IPBlock:
        """Make sure that a block exists, and settle what its network does not admit then."""
        if not base.resource_version:
            base = await self.openings.create(base)
        new = [
            waiting
            for waiting, verdict in zip(batch, verdicts, strict=True)
            if isinstance(verdict, Took) and verdict.new
        ]
        refusals = await self._admissions.admit(base, [waiting.change for waiting in new])
        for waiting, refusal in zip(new, refusals, strict=True):
            if refusal is not None:
                waiting.settle(refusal)
        return base

    def _still_wanted(self, batch: Sequence[Waiting]) -> list[Waiting]:
        """Settle what is too late, and return the rest."""
        left: list[Waiting] = []
        clock = self._clock()
        for waiting in batch:
            if waiting.verdict.done():
                continue
            if waiting.deadline <= clock:
                waiting.settle(
                    DeadlineExceededError(
                        "the API server did not confirm the address in time; it may still do so"
                    )
                )
                continue
            left.append(waiting)
        return left

    def _make_way(
        self, ref: BlockRef, block: IPBlock, batch: Sequence[Waiting], *, proven: bool
    ) -> None:
        """Send who can take another block there, after a conflict.

        No write on an earlier reading can succeed any more: so who has no entry in the block by now
        gets none by what was tried. Who has one is judged here.
        """
        self._ledger.contention.mark((ref.network_uid, ref.version, ref.start))
        queue = self._queues.get(ref)
        for waiting in (*batch, *(() if queue is None else queue.waiting)):
            change = waiting.change
            if (
                proven
                and waiting.may_move
                and isinstance(change, TakeAny)
                and not held_with(block, owner_key(change.owner))
            ):
                waiting.settle(Contended())

    def _refuse(self, ref: BlockRef, waiting: Waiting, error: DanmError) -> None:
        """Settle a change that failed; one that can do without a block that is not readable may go.

        Not so what was written there with an unknown outcome: it may be in what cannot be read.
        """
        change = waiting.change
        may_go = (
            (isinstance(change, TakeAny) or (isinstance(change, TakeExact) and change.dynamic))
            and waiting.tried is None
            and self._ledger.unreadable.at(ref.network_uid, ref.version, ref.start) is not None
        )
        waiting.settle(NoSpace() if may_go else error)

    async def _split(self, ref: BlockRef, batch: list[Waiting], error: DanmError) -> None:
        """Try the halves of a batch that the API server refuses, so that a bad change is alone."""
        if len(batch) == 1:
            self._refuse(ref, batch[0], error)
            return
        middle = len(batch) // 2
        await self._commit(ref, batch[:middle])
        await self._commit(ref, batch[middle:])

    async def _write(
        self,
        block: IPBlock,
        batch: Sequence[Waiting],
        verdicts: Sequence[Outcome | DanmError],
    ) -> None:
        """Write a block and settle the batch that it carries."""
        try:
            with metrics.WRITE_SECONDS.time():
                stored = await self._store.write_block(block)
        except ApiUnavailableError:
            note_tried(batch, verdicts, (Took, GaveBack, Swept))
            raise
        except ConflictError:
            # It may be one with this very write: aiohttp sends a PUT again by itself when a kept
            # connection breaks before its answer.
            note_tried(batch, verdicts, (Took,))
            raise
        metrics.BATCH_SIZE.observe(len(batch))
        self._ledger.observe(stored)
        self._settle(batch, verdicts)

    async def _read(self, ref: BlockRef) -> IPBlock:
        """Read a block consistently: as it is, or as it will be when there is none yet."""
        before = self._ledger.get(ref.network_uid, ref.version, ref.start)
        try:
            block = await self._store.read_block(ref.namespace, ref.name)
        except NotFoundError:
            known = self._ledger.get(ref.network_uid, ref.version, ref.start)
            if known is not None:
                self._ledger.forget(known)
            return ref.new_block()
        if before is not None and is_newer(before, block):
            self._ledger.doubt_everything()
        if isinstance(block, UnreadableBlock):
            self._ledger.observe_unreadable(block)
            raise InvalidObjectError(block.reason)
        self._ledger.observe(block)
        return block

    async def _read_again(self, ref: BlockRef, base: IPBlock) -> tuple[IPBlock, bool]:
        """Read a block; when that fails too, go on with what was known and prove nothing.

        Raises:
            InvalidObjectError: The block is there and cannot be understood.
        """
        try:
            return await self._read(ref), True
        except InvalidObjectError:
            # Trying to create it would go on so until the deadline.
            raise
        except DanmError as error:
            _log.warning("Could not read a block", block=ref.name, error=error)
            return base, False

    def _settle(self, batch: Sequence[Waiting], verdicts: Sequence[Outcome | DanmError]) -> None:
        for waiting, verdict in zip(batch, verdicts, strict=True):
            waiting.settle(verdict)

    def forget(self, block: IPBlock) -> None:
        """Drop what is remembered of a block that is gone."""
        self._admissions.forget(block)
        family = block.network_uid, version_of(block.cidr.network_address)
        self._gatherer.forget(family)
        self.openings.forget(family)
