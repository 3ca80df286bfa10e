"""Locks by name, bounded numbers, and work in parallel whose errors are told together."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Collection, Hashable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

from danm_api.errors import DanmError, OverloadedError, SeveralErrors
from danm_api.telemetry import get_logger
from danm_cni.request import Verb

log = get_logger(__name__)

T = TypeVar("T")


class KeyedLocks:
    """One lock for each key, kept only while somebody holds it or waits for it."""

    def __init__(self) -> None:
        """Start without locks."""
        self._locks: dict[Hashable, asyncio.Lock] = {}
        self._users: dict[Hashable, int] = {}

    @asynccontextmanager
    async def hold(self, key: Hashable) -> AsyncIterator[None]:
        """Hold a key's lock; waiters get it in their order."""
        lock = self._locks.setdefault(key, asyncio.Lock())
        self._users[key] = self._users.get(key, 0) + 1
        try:
            async with lock:
                yield
        finally:
            self._users[key] -= 1
            if not self._users[key]:
                del self._users[key], self._locks[key]

    def is_held(self, key: Hashable) -> bool:
        """Say whether somebody holds a key's lock or waits for it."""
        return key in self._locks


class Admission:
    """Lets a bounded number work at once and a bounded number wait (DESIGN, P6)."""

    def __init__(self, *, limit: int, queue_limit: int) -> None:
        """Set the bounds."""
        self._slots = asyncio.Semaphore(limit)
        self._queue_limit = queue_limit
        self.waiting = 0

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold one of the slots.

        Raises:
            OverloadedError: As many wait already as may wait.
        """
        if self._slots.locked() and self.waiting >= self._queue_limit:
            raise OverloadedError(
                f"danmd has {self.waiting} Pods waiting on this node and takes no more; the "
                "runtime will try again"
            )
        self.waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self.waiting -= 1
        try:
            yield
        finally:
            self._slots.release()


class ChainTurns:
    """Lets a bounded number of chains of other plugins run at once.

    They take memory where danmd does, and so many at once as Pods are made after a node's boot
    would be killed with it. A chain that has begun waits for no other one. ADDs are counted apart:
    what ends does not wait behind what begins.
    """

    def __init__(self, *, limit: int) -> None:
        """Allow so many chains of ADDs, and as many of all other verbs together."""
        self._additions = asyncio.Semaphore(limit)
        self._others = asyncio.Semaphore(limit)

    def turn(self, verb: Verb) -> AbstractAsyncContextManager[None]:
        """Return what waits for a chain's turn, and holds it."""
        return self._additions if verb is Verb.ADD else self._others


async def all_of(work: Iterable[Awaitable[T]]) -> list[T]:
    """Run everything at once, wait for all of it, and return the results in order.

    Raises:
        DanmError: The only one that failed.
        SeveralErrors: All that failed.
    """
    errors: list[DanmError] = []
    values: list[T] = []
    for outcome in await outcomes_of(work):
        if isinstance(outcome, DanmError):
            errors.append(outcome)
        else:
            values.append(outcome)
    raise_together(errors)
    return values


@asynccontextmanager
async def running(work: Iterable[Awaitable[T]]) -> AsyncIterator[Sequence["asyncio.Future[T]"]]:
    """Run work beside a block, and cancel what has not ended when the block does.

    An error of that work that is no DanmError (a bug, or the disk's) is told by nobody else: it is
    logged, unless it is what this raises.
    """
    tasks = [asyncio.ensure_future(each) for each in work]
    raised: BaseException | None = None
    try:
        try:
            yield tasks
        finally:
            for task in tasks:
                task.cancel()
            await ended(tasks)
    except BaseException as error:
        raised = error
        raise
    finally:
        # Whoever is to be told of their failures has asked by now.
        for each in _errors_of(tasks):
            if each is not raised and not isinstance(each, DanmError):
                log.exception("Failed beside what is raised", error=each)


async def ended(tasks: Collection["asyncio.Future[Any]"]) -> None:
    """Wait until all have ended, also when the caller is cancelled; that is raised afterwards.

    What undoes their work must find it done. A second cancellation is the end of the process: it
    is handed on, and nobody is waited for any more.
    """
    cancelled: asyncio.CancelledError | None = None
    while waiting := [task for task in tasks if not task.done()]:
        try:
            await asyncio.wait(waiting)
        except asyncio.CancelledError as error:
            if cancelled is not None:
                for task in waiting:
                    task.cancel()
                raise
            cancelled = error
    if cancelled is not None:
        raise cancelled


async def until_failure(tasks: Sequence["asyncio.Future[Any]"]) -> list[Any]:
    """Wait for all, or until one has failed; what still runs is then the caller's to end.

    Returns:
        The results in order.

    Raises:
        DanmError: The only one that has failed.
        SeveralErrors: All that have failed by then.
    """
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    raise_together(failures_of(tasks))
    for task in done:
        # A bug, which comes through as it is.
        task.result()
    return [task.result() for task in tasks]


async def beside(work: Awaitable[T], tasks: Iterable["asyncio.Future[Any]"]) -> T:
    """Wait for work; what it fails with is told with what those tasks have failed with by then.

    Raises:
        DanmError: The only one that failed.
        SeveralErrors: All that failed.
    """
    try:
        return await work
    except DanmError as error:
        raise_together([error, *failures_of(tasks)])
        raise


async def succeeded(task: "asyncio.Future[Any]") -> bool:
    """Wait for a task, and say whether it did; what went wrong is told by another who waits."""
    await asyncio.wait({task})
    return not task.cancelled() and task.exception() is None


def failures_of(tasks: Iterable["asyncio.Future[T]"]) -> list[DanmError]:
    """Return what those that have ended have failed with, but for bugs."""
    return [error for error in _errors_of(tasks) if isinstance(error, DanmError)]


def _errors_of(tasks: Iterable["asyncio.Future[Any]"]) -> list[BaseException]:
    over = [task for task in tasks if task.done() and not task.cancelled()]
    return [error for task in over if (error := task.exception()) is not None]


async def outcomes_of(work: Iterable[Awaitable[T]]) -> list[T | DanmError]:
    """Run everything at once, wait for all of it, and return in order what came of each."""
    outcomes: list[T | DanmError] = []
    for result in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(result, BaseException) and not isinstance(result, DanmError):
            raise result
        outcomes.append(result)
    return outcomes


def raise_together(errors: Iterable[DanmError]) -> None:
    """Raise an error as it is, several as one, and nothing for none.

    Raises:
        DanmError: The only one.
        SeveralErrors: All of them, with what other such errors hold.
    """
    parts = [
        part
        for error in errors
        for part in (error.errors if isinstance(error, SeveralErrors) else (error,))
    ]
    if len(parts) == 1:
        raise parts[0]
    if parts:
        raise SeveralErrors(parts)
