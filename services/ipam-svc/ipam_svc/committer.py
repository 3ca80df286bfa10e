"""Group commit: all that happens to one block goes through one queue of this replica.

While a write of a block is in flight, changes for it queue; the next write carries all of them
(DESIGN, "Group commit"). A verdict leaves here only when it is proven: a change that took effect by
the write that carried it, a refusal by that write too or by a consistent read of the block.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from danm_api.codec.ip_block import block_name
from danm_api.errors import (
    ApiUnavailableError,
    ConflictError,
    DanmError,
    DeadlineExceededError,
    InvalidNetworkError,
    InvalidObjectError,
    InvalidRequestError,
    NetworkNotFoundError,
    NetworkNotReadyError,
    NotFoundError,
    OverloadedError,
)
from danm_api.model.danmnet import DanmNet, NetworkSpec
from danm_api.model.ip_block import IPBlock
from danm_api.names import Namespace, NetworkName, NetworkUid
from danm_api.telemetry import get_logger
from danm_api.validation import shares_wire
from ipam_svc import metrics
from ipam_svc.address_space import BLOCK_SIZE, Version, block_network
from ipam_svc.block import (
    Change,
    GaveBack,
    GiveBack,
    NoSpace,
    NotHeld,
    Outcome,
    TakeAny,
    TakeExact,
    Took,
    judge,
)
from ipam_svc.ledger import Ledger, is_newer
from ipam_svc.store import BlockStore

_log = get_logger(__name__)

# Waits between tries while the API server does not answer: short enough for a deadline of seconds.
_RETRY_DELAYS_S: Final = (0.02, 0.05, 0.1, 0.2, 0.5)
# docs/decisions/ has the measurement.
_QUIET_TURNS: Final = 3
# More than a node's burst of Pods on every node of a large cluster; each waits a few KB.
_MAX_QUEUED: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockRef:
    """Which block, whether it exists or not."""

    namespace: Namespace
    network: NetworkName
    network_uid: NetworkUid
    version: Version
    start: int

    @property
    def name(self) -> str:
        """Return the object's name."""
        return block_name(self.network_uid, block_network(self.version, self.start))

    def new_block(self) -> IPBlock:
        """Return the block as it is before it is created."""
        return IPBlock(
            namespace=self.namespace,
            name=self.name,
            network=self.network,
            network_uid=self.network_uid,
            cidr=block_network(self.version, self.start),
        )


@dataclass(slots=True, kw_only=True, eq=False)
class _Waiting:
    """One change in the queue.

    Attributes:
        deadline: In the clock's seconds; no write carries the change after it.
        verdict: Resolved with the outcome.
        tried: What a write whose answer was lost would have brought.
    """

    change: Change
    deadline: float
    verdict: "asyncio.Future[Outcome]"
    tried: Outcome | None = None

    def settle(self, verdict: Outcome | DanmError) -> None:
        """Tell the caller, if it still listens."""
        if self.verdict.done():
            return
        if isinstance(verdict, DanmError):
            self.verdict.set_exception(verdict)
        else:
            self.verdict.set_result(verdict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Admission:
    """What consistent reads said of a block's network since the block had its present fence.

    Whoever takes rights from a network says so in a DanmNet and then raises the fence of the blocks
    concerned: from then on no entry is written by what was read before (decision 0010).

    Attributes:
        spec: In force; None when nobody asked.
        changing: It is about to be replaced by one that allows less.
        alone: No other DanmNet is on the wire; None when nobody asked.
    """

    fence: int
    spec: NetworkSpec | None
    changing: bool
    alone: bool | None


@dataclass(slots=True, kw_only=True)
class _Queue:
    """What waits for one block."""

    ref: BlockRef
    waiting: list[_Waiting] = field(default_factory=list)


class Committer:
    """Carries changes into blocks."""

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
        # By the blocks' UIDs.
        self._admitted: dict[str, _Admission] = {}

    async def commit(self, ref: BlockRef, change: Change, *, deadline: float) -> Outcome:
        """Carry one change into a block and return what came of it.

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
        waiting = _Waiting(
            change=change,
            deadline=deadline,
            verdict=asyncio.get_running_loop().create_future(),
        )
        queue = self._queues.get(ref)
        if queue is None:
            queue = self._queues[ref] = _Queue(ref=ref)
            task = asyncio.create_task(self._drain(queue), name=f"commit {ref.name}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        queue.waiting.append(waiting)
        self._queued += 1
        self._ledger.add_pending(ref.network_uid, ref.version, ref.start, 1)
        try:
            return await waiting.verdict
        finally:
            self._queued -= 1
            self._ledger.add_pending(ref.network_uid, ref.version, ref.start, -1)

    async def close(self) -> None:
        """Wait for the writes that are under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _drain(self, queue: _Queue) -> None:
        while queue.waiting:
            await _until_quiet(queue)
            batch, queue.waiting = queue.waiting, []
            try:
                await self._commit(queue.ref, batch)
            except DanmError as error:
                # The block cannot be read: its name is in the reason.
                for waiting in batch:
                    waiting.settle(error)
            except Exception as error:  # noqa: BLE001  (logged and answered)
                # A bug must not leave callers waiting, nor stop the block for those who come next.
                _log.exception("Failed to commit a batch", block=queue.ref.name)
                failure = ApiUnavailableError(f"ipam-svc failed: {error!r}", status=0)
                for waiting in batch:
                    waiting.settle(failure)
        del self._queues[queue.ref]

    async def _commit(self, ref: BlockRef, batch: list[_Waiting]) -> None:
        """Bring a batch to its end: every change in it is settled."""
        base = self._ledger.get(ref.network_uid, ref.version, ref.start) or ref.new_block()
        proven = False
        if self._ledger.doubts(ref.network_uid, ref.version, ref.start):
            # Versions are given anew, so a write on what was known could even succeed.
            base, proven = await self._read_again(ref, base)
        tries = 0
        while batch := self._still_wanted(batch):
            after, verdicts = self._judge(base, batch)
            try:
                if self._needs_admission(base, batch, verdicts):
                    base = await self._open(ref, base, batch, verdicts)
                elif after != base:
                    await self._write(after, batch, verdicts)
                    return
                elif proven or all(isinstance(each, NoSpace) for each in verdicts):
                    self._settle(batch, verdicts)
                    return
                else:
                    base = await self._read(ref)
                    proven = True
            except (ConflictError, NotFoundError):
                metrics.CONFLICTS.inc()
                base, proven = await self._read_again(ref, base)
            except ApiUnavailableError as error:
                # A write may have taken effect, or may yet: what is read next, and the
                # resourceVersion of the write after it, decide.
                _log.warning("Retrying a block", block=ref.name, error=error)
                await self._sleep(_RETRY_DELAYS_S[min(tries, len(_RETRY_DELAYS_S) - 1)])
                tries += 1
                base, proven = await self._read_again(ref, base)
            except DanmError as error:
                await self._split(ref, batch, error)
                return

    def _judge(
        self, base: IPBlock, batch: Sequence[_Waiting]
    ) -> tuple[IPBlock, list[Outcome | DanmError]]:
        after, verdicts = judge(base, (each.change for each in batch), now=self._now())
        for position, (waiting, verdict) in enumerate(zip(batch, verdicts, strict=True)):
            verdicts[position] = _as_first_tried(waiting.tried, verdict)
        return after, verdicts

    async def _open(
        self,
        ref: BlockRef,
        base: IPBlock,
        batch: Sequence[_Waiting],
        verdicts: Sequence[Outcome | DanmError],
    ) -> IPBlock:
        """Make sure that a block exists and that its network admits it, before any entry is new.

        The DanmNet is read after the block exists (DESIGN, "Life and death of a DanmNet"): whoever
        removes the DanmNet's finalizer lists the blocks later than this and meets the block; or the
        DanmNet is seen here as gone or being deleted, and the changes that need it are settled so.
        """
        if not base.resource_version:
            base = await self._store.create_block(base)
            self._ledger.observe(base)
        new = [
            waiting
            for waiting, verdict in zip(batch, verdicts, strict=True)
            if isinstance(verdict, Took) and verdict.new
        ]
        try:
            admission = await self._admit(ref, base, new)
        except (NetworkNotFoundError, NetworkNotReadyError, InvalidNetworkError) as error:
            for waiting in new:
                waiting.settle(error)
        else:
            self._admitted[base.uid] = admission
            for waiting in new:
                refusal = _refusal(ref, admission, waiting.change)
                if refusal is not None:
                    waiting.settle(refusal)
        return base

    async def _admit(self, ref: BlockRef, base: IPBlock, new: Sequence[_Waiting]) -> "_Admission":
        """Read what new entries of a block depend on; the block had its fence before."""
        net = await self._store.read_network(ref.namespace, ref.network)
        _require_admission(ref, net)
        judged = any(_basis(waiting.change) is not None for waiting in new)
        spec = net.spec_in_force() if judged else None
        alone = None
        if spec is not None and any(_needs_to_be_alone(waiting.change) for waiting in new):
            alone = not shares_wire(net, spec, await self._store.list_networks())
        return _Admission(fence=base.fence, spec=spec, changing=net.spec_is_changing, alone=alone)

    def _needs_admission(
        self, base: IPBlock, batch: Sequence[_Waiting], verdicts: Sequence[Outcome | DanmError]
    ) -> bool:
        """Say whether something must be read before new entries may be written."""
        admission = self._admitted.get(base.uid)
        for waiting, verdict in zip(batch, verdicts, strict=True):
            if not isinstance(verdict, Took) or not verdict.new:
                continue
            if admission is None or admission.fence != base.fence:
                return True
            if _refusal(None, admission, waiting.change) is not None:
                return True
        return False

    def _still_wanted(self, batch: Sequence[_Waiting]) -> list[_Waiting]:
        """Settle what is too late, and return the rest."""
        left: list[_Waiting] = []
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

    async def _split(self, ref: BlockRef, batch: list[_Waiting], error: DanmError) -> None:
        """Try the halves of a batch that the API server refuses, so that a bad change is alone."""
        if len(batch) == 1:
            batch[0].settle(error)
            return
        middle = len(batch) // 2
        await self._commit(ref, batch[:middle])
        await self._commit(ref, batch[middle:])

    async def _write(
        self,
        block: IPBlock,
        batch: Sequence[_Waiting],
        verdicts: Sequence[Outcome | DanmError],
    ) -> None:
        """Write a block and settle the batch that it carries."""
        try:
            with metrics.WRITE_SECONDS.time():
                stored = await self._store.write_block(block)
        except ApiUnavailableError:
            _note(batch, verdicts, (Took, GaveBack))
            raise
        except ConflictError:
            # It may be one with this very write: aiohttp sends a PUT again by itself when a kept
            # connection breaks before its answer.
            _note(batch, verdicts, (Took,))
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

    def _settle(self, batch: Sequence[_Waiting], verdicts: Sequence[Outcome | DanmError]) -> None:
        for waiting, verdict in zip(batch, verdicts, strict=True):
            waiting.settle(verdict)

    def forget_admission(self, block: IPBlock) -> None:
        """Drop what is remembered of a block that is gone."""
        self._admitted.pop(block.uid, None)


async def _until_quiet(queue: _Queue) -> None:
    """Give the event loop some turns, so that requests which arrived together go together.

    A request needs a few from its socket to its queue. Each write costs the API server as much as
    many requests cost here, so it is worth to wait for those that are on their way; a lone caller
    waits for as many empty turns, which take microseconds.
    """
    quiet = 0
    while quiet < _QUIET_TURNS and len(queue.waiting) < BLOCK_SIZE:
        before = len(queue.waiting)
        await asyncio.sleep(0)
        quiet = 0 if len(queue.waiting) > before else quiet + 1


def _basis(change: Change) -> NetworkSpec | None:
    return change.basis if isinstance(change, TakeAny | TakeExact) else None


def _needs_to_be_alone(change: Change) -> bool:
    return isinstance(change, TakeExact) and change.alone


def _refusal(ref: BlockRef | None, admission: _Admission, change: Change) -> DanmError | None:
    """Return why a change may not make a new entry in a block that is admitted so."""
    where = "the DanmNet" if ref is None else f"DanmNet {ref.namespace}/{ref.network}"
    basis = _basis(change)
    if basis is None:
        return None
    if admission.changing or (basis is not admission.spec and basis != admission.spec):
        return ConflictError(f"the spec of {where} changes at this moment; try again")
    if _needs_to_be_alone(change) and not admission.alone:
        reason = (
            f"the address lies outside of the pool of {where}, whose wire other DanmNets share;"
            " choose one of its pool"
        )
        return InvalidRequestError(reason)
    return None


def _as_first_tried(tried: Outcome | None, verdict: Outcome | DanmError) -> Outcome | DanmError:
    """Return a verdict as it is when a write, whose answer was lost, turns out to be done.

    An entry that an earlier attempt has taken says so (``born``): one that the owner had before,
    unknown to this replica, is not taken for the write's.
    """
    match tried, verdict:
        case Took(held=own, new=True), Took(held=held, new=False):
            is_own = own.address == held.address and held.born is None
            return replace(verdict, new=is_own)
        case GaveBack(), NotHeld():
            return tried
    return verdict


def _note(
    batch: Sequence[_Waiting],
    verdicts: Sequence[Outcome | DanmError],
    kinds: tuple[type[Took | GaveBack], ...],
) -> None:
    """Remember what a write may have brought."""
    for waiting, verdict in zip(batch, verdicts, strict=True):
        if isinstance(verdict, kinds):
            waiting.tried = verdict


def _require_admission(ref: BlockRef, net: DanmNet) -> None:
    where = f"DanmNet {ref.namespace}/{ref.network}"
    if net.uid != ref.network_uid:
        raise NetworkNotFoundError(f"{where} was deleted and created anew; try again")
    if net.deleting:
        raise NetworkNotReadyError(f"{where} is being deleted: it gives no new addresses")
