"""A queue of keys for level-triggered controllers, and the workers that empty it.

A key waits at most once; a key that is added while it is being worked on is worked on once more
afterwards, and never by two workers at a time. So whatever happens to an object, its reconcile
runs after the last change and reads the state that is then.
"""

import asyncio
import heapq
import time
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Final, Generic, NoReturn, TypeVar

from danm_api.errors import DanmError, leaves
from danm_api.kube import metrics
from danm_api.kube.backoff import delay_after
from danm_api.telemetry import get_logger, span

K = TypeVar("K", bound=Hashable)

_BASE_DELAY_S: Final = 0.05
_MAX_DELAY_S: Final = 30.0

_log = get_logger(__name__)


class WorkQueue(Generic[K]):
    """Keys that wait for work; for one event loop.

    Its size is bounded by the number of distinct keys.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        base_delay_s: float = _BASE_DELAY_S,
        max_delay_s: float = _MAX_DELAY_S,
    ) -> None:
        """Start empty; delays are those of ``retry``."""
        self._clock = clock
        self._base_delay_s = base_delay_s
        self._max_delay_s = max_delay_s
        self._ready: deque[K] = deque()
        self._waiting: set[K] = set()  # what is in _ready, or was added while in work
        self._in_work: set[K] = set()
        self._due_at: dict[K, float] = {}
        # May hold outdated pairs; _due_at decides.
        self._timers: list[tuple[float, int, K]] = []
        self._timer_count = 0
        self._failures: dict[K, int] = {}
        self._news = asyncio.Event()

    def __len__(self) -> int:
        """Return how many keys wait, ready or delayed; those in work do not count."""
        # No key is in both: add() takes it out of one, add_after() refuses what is in the other.
        return len(self._waiting) + len(self._due_at)

    def has_ready(self) -> bool:
        """Say whether a key waits that nobody works on and that is not delayed."""
        return bool(self._ready)

    def add(self, key: K) -> None:
        """Let ``key`` be worked on as soon as possible."""
        self._due_at.pop(key, None)
        if key in self._waiting:
            return
        self._waiting.add(key)
        if key not in self._in_work:
            self._ready.append(key)
            self._news.set()

    def add_after(self, key: K, delay_s: float) -> None:
        """Let ``key`` be worked on in ``delay_s``, or earlier if that was asked for."""
        if delay_s <= 0:
            self.add(key)
            return
        due_at = self._clock() + delay_s
        if key in self._waiting or self._due_at.get(key, float("inf")) <= due_at:
            return
        self._due_at[key] = due_at
        self._timer_count += 1
        heapq.heappush(self._timers, (due_at, self._timer_count, key))
        self._news.set()

    def retry(self, key: K) -> float:
        """Let ``key`` be worked on after its back-off, and return the delay in seconds."""
        failures = self._failures.get(key, 0) + 1
        self._failures[key] = failures
        delay_s = delay_after(failures, base_s=self._base_delay_s, max_s=self._max_delay_s)
        self.add_after(key, delay_s)
        return delay_s

    def forget(self, key: K) -> None:
        """Forget that ``key`` failed: its next back-off is the shortest."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """Wait for a key; the caller works on it until ``done``."""
        while True:
            self._promote()
            if self._ready:
                key = self._ready.popleft()
                self._waiting.discard(key)
                self._in_work.add(key)
                if self._ready:
                    self._news.set()  # for the next worker that waits
                return key
            self._news.clear()
            timeout_s = self._timers[0][0] - self._clock() if self._timers else None
            try:
                async with asyncio.timeout(timeout_s):
                    await self._news.wait()
            except TimeoutError:
                continue

    def done(self, key: K) -> None:
        """End the work on ``key``; it comes again if it was added meanwhile."""
        self._in_work.discard(key)
        if key in self._waiting:
            self._ready.append(key)
            self._news.set()

    def _promote(self) -> None:
        """Move delayed keys whose time has come."""
        now = self._clock()
        while self._timers and self._timers[0][0] <= now:
            due_at, _, key = heapq.heappop(self._timers)
            if self._due_at.get(key) == due_at:
                self.add(key)


class LeadersQueue(Generic[K]):
    """A queue that takes keys only while its replica leads.

    Nobody would take anything from that of one that waits for the Lease: it would remember every
    object that ever was.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin without leading."""
        self._clock = clock
        self._queue: WorkQueue[K] | None = None

    @contextmanager
    def opened(self) -> Iterator[WorkQueue[K]]:
        """Take keys into a new queue, for as long as this replica leads."""
        queue = self._queue = WorkQueue(clock=self._clock)
        try:
            yield queue
        finally:
            self._queue = None

    @property
    def is_open(self) -> bool:
        """Say whether this replica leads."""
        return self._queue is not None

    def __len__(self) -> int:
        """Return how many keys wait; none while this replica does not lead."""
        return 0 if self._queue is None else len(self._queue)

    def has_ready(self) -> bool:
        """Say whether a key waits that nobody works on and that is not delayed."""
        return self._queue is not None and self._queue.has_ready()

    def add(self, key: K) -> None:
        """Let ``key`` be worked on as soon as possible, if this replica leads."""
        if self._queue is not None:
            self._queue.add(key)

    def add_after(self, key: K, delay_s: float) -> None:
        """Let ``key`` be worked on in ``delay_s`` or earlier, if this replica leads."""
        if self._queue is not None:
            self._queue.add_after(key, delay_s)


async def run_workers(
    queue: WorkQueue[K],
    reconcile: Callable[[K], Awaitable[None]],
    *,
    concurrency: int,
    name: str,
) -> None:
    """Reconcile the keys of a queue, ``concurrency`` at a time, until cancelled.

    A reconcile that raises is tried again after the key's back-off: a DanmError, or a group of
    them, is logged in one line, any other exception with its traceback. One that wants to come
    again without having failed uses ``queue.add_after``.
    """

    async def work() -> NoReturn:
        while True:
            key = await queue.get()
            try:
                await _reconcile(queue, key, reconcile, name)
            finally:
                queue.done(key)

    # Asked for at each scrape: a queue that grows while nothing gets done is the one to be seen.
    depth = metrics.QUEUE_DEPTH.labels(name)
    depth.set_function(lambda: len(queue))
    try:
        async with asyncio.TaskGroup() as group:
            for number in range(concurrency):
                group.create_task(work(), name=f"{name}-{number}")
    finally:
        depth.set_function(lambda: 0)


async def _reconcile(
    queue: WorkQueue[K], key: K, reconcile: Callable[[K], Awaitable[None]], name: str
) -> None:
    with metrics.RECONCILE_SECONDS.labels(name).time(), span(f"reconcile {name}", key=str(key)):
        try:
            await reconcile(key)
        except Exception as error:  # noqa: BLE001  (a bug with one key must not stop the others)
            delay_s = queue.retry(key)
            if all(isinstance(leaf, DanmError) for leaf in leaves(error)):
                metrics.RECONCILES.labels(name, "retry").inc()
                reasons = "; ".join(str(leaf) for leaf in leaves(error))
                retry_in_s = round(delay_s, 2)
                _log.warning(
                    "Reconcile failed", queue=name, key=key, error=reasons, retry_in_s=retry_in_s
                )
            else:
                metrics.RECONCILES.labels(name, "bug").inc()
                _log.exception("Reconcile failed unexpectedly", queue=name, key=key, error=error)
        else:
            queue.forget(key)
            metrics.RECONCILES.labels(name, "ok").inc()
