"""Locks, admission and parallel work."""

import asyncio

import pytest

from danm_api.errors import ConflictError, DanmError, OverloadedError, SeveralErrors
from danm_api.testing.hangs import HANGS_S
from danm_cni.concurrency import (
    Admission,
    KeyedLocks,
    all_of,
    beside,
    failures_of,
    outcomes_of,
    running,
    succeeded,
    until_failure,
)


async def test_one_key_is_serial_and_others_are_not() -> None:
    """Two holders of one key wait for each other; other keys do not, and nothing is kept."""
    locks, order = KeyedLocks(), []
    inside, leave = asyncio.Event(), asyncio.Event()

    async def hold(key: str, name: str) -> None:
        async with locks.hold(key):
            order.append(name)
            if name == "first":
                inside.set()
                await leave.wait()

    first = asyncio.create_task(hold("a", "first"))
    await inside.wait()
    second = asyncio.create_task(hold("a", "second"))
    await hold("b", "other")
    assert ["first", "other"] == order
    leave.set()
    await asyncio.gather(first, second)
    assert ["first", "other", "second"] == order
    assert not locks.is_held("a")


async def test_a_waiter_that_gives_up_leaves_nothing() -> None:
    """Cancelling a waiter neither blocks nor frees the key."""
    locks = KeyedLocks()
    async with locks.hold("a"):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01), locks.hold("a"):
                raise AssertionError
        assert locks.is_held("a")
    async with asyncio.timeout(HANGS_S), locks.hold("a"):
        pass


async def test_admission_is_bounded() -> None:
    """Beyond the slots so many wait, and the next is told to come again at once."""
    admission, leave = Admission(limit=1, queue_limit=1), asyncio.Event()

    async def work() -> None:
        async with admission.slot():
            await leave.wait()

    tasks = [asyncio.create_task(work()) for _ in range(2)]
    while admission.waiting < 1:
        await asyncio.sleep(0)
    # DESIGN, P6
    with pytest.raises(OverloadedError):
        async with admission.slot():
            raise AssertionError
    leave.set()
    await asyncio.gather(*tasks)
    async with admission.slot():
        assert admission.waiting == 0


async def test_all_of_waits_for_all_and_tells_all() -> None:
    """The results come in order; failures are told together once everything has ended."""

    async def give(value: int) -> int:
        await asyncio.sleep(0)
        return value

    async def fail(reason: str) -> int:
        raise ConflictError(reason)

    assert [1, 2] == await all_of([give(1), give(2)])
    with pytest.raises(ConflictError, match="a"):
        await all_of([fail("a"), give(1)])
    with pytest.raises(SeveralErrors, match="a; b") as caught:
        await all_of([fail("a"), give(1), fail("b")])
    assert caught.value.transient


async def test_what_runs_beside_a_block_ends_with_it() -> None:
    """Whatever has not ended is cancelled, and waited for."""
    ended = []

    async def wait_long() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    async def fail() -> None:
        raise ConflictError("beside")

    async with running([wait_long(), fail()]) as tasks:
        await asyncio.wait(tasks[1:])
        assert ["beside"] == [error.reason for error in failures_of(tasks)]
    assert (ended, tasks[0].cancelled()) == ([True], True)


async def test_a_failure_is_told_with_those_beside_it() -> None:
    """With those that have failed by then; what still runs is left alone."""

    async def fail(reason: str) -> int:
        raise ConflictError(reason)

    async def give() -> int:
        return 1

    async with running([fail("b"), asyncio.Event().wait(), give()]) as tasks:
        assert await beside(give(), tasks) == 1
        await asyncio.wait([tasks[0], tasks[2]])
        with pytest.raises(SeveralErrors, match="a; b"):
            await beside(fail("a"), tasks)
        with pytest.raises(ConflictError, match="a"):
            await beside(fail("a"), tasks[1:])
        assert [False, True] == [await succeeded(tasks[0]), await succeeded(tasks[2])]
        tasks[1].cancel()
        assert not await succeeded(tasks[1])


@pytest.mark.parametrize(("times", "waited"), [(1, True), (2, False)])
async def test_what_runs_beside_a_block_is_waited_for_when_that_is_cancelled_too(
    times: int, *, waited: bool
) -> None:
    """What undoes its work must find it done; cancelled again, it is the end of the process."""
    slow = _SlowEnd()

    async def block() -> None:
        async with running([slow.run()]):
            await asyncio.sleep(0)
            raise ConflictError("first")

    task = asyncio.create_task(block())
    await slow.ending.wait()
    for _ in range(times):
        task.cancel()
        await _turns()
    assert task.done() is not waited
    slow.leave.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert slow.has_left is waited


class _SlowEnd:
    """Work that ends only when it may, once it is cancelled."""

    def __init__(self) -> None:
        self.ending, self.leave = asyncio.Event(), asyncio.Event()
        self.has_left = False

    async def run(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.ending.set()
            await self.leave.wait()
            self.has_left = True


async def _turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_the_first_failure_is_not_waited_beyond() -> None:
    """Whoever still runs is left to the caller; without a failure all results are there."""

    async def give(value: int) -> int:
        return value

    async def fail() -> int:
        raise ConflictError("taken")

    async with running([asyncio.Event().wait(), fail()]) as tasks:
        with pytest.raises(ConflictError, match="taken"):
            await until_failure(tasks)
        assert not tasks[0].done()
    async with running([give(1), give(2)]) as both:
        assert [1, 2] == await until_failure(both)


async def test_the_first_failure_does_not_hide_bugs() -> None:
    """It comes through as it is, whatever still runs."""

    async def broken() -> None:
        raise ZeroDivisionError

    async with running([asyncio.Event().wait(), broken()]) as tasks:
        with pytest.raises(ZeroDivisionError):
            await until_failure(tasks)


@pytest.mark.parametrize("first", [ConflictError("taken"), ZeroDivisionError()])
async def test_a_bug_that_nobody_raises_is_logged(
    caplog: pytest.LogCaptureFixture, first: Exception
) -> None:
    """Beside a failure, also one that comes of being cancelled; what is raised is not."""

    async def fail() -> None:
        raise first

    async def clear_up_wrongly() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise KeyError("mine")

    with pytest.raises(type(first)):
        async with running([clear_up_wrongly(), fail()]) as tasks:
            await until_failure(tasks)
    assert [KeyError] == _logged(caplog)


async def test_a_bug_in_whose_place_the_caller_is_cancelled_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """While the others end: the cancellation is what is raised, and the bug would be gone."""
    slow = _SlowEnd()

    async def broken() -> None:
        raise ZeroDivisionError

    async def block() -> None:
        async with running([broken(), slow.run()]) as tasks:
            await until_failure(tasks)

    task = asyncio.create_task(block())
    await slow.ending.wait()
    task.cancel()
    await _turns()
    slow.leave.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [ZeroDivisionError] == _logged(caplog)


def _logged(caplog: pytest.LogCaptureFixture) -> list[type[BaseException] | None]:
    return [record.exc_info[0] for record in caplog.records if record.exc_info]


async def test_all_of_does_not_hide_bugs() -> None:
    """An exception that is no DanmError comes through as it is."""

    async def broken() -> None:
        raise ZeroDivisionError

    async def refused() -> None:
        raise DanmError("x")

    with pytest.raises(ZeroDivisionError):
        await all_of([refused(), broken()])
    with pytest.raises(ZeroDivisionError):
        await outcomes_of([refused(), broken()])


async def test_what_came_of_each_is_told_in_order() -> None:
    """Who failed, and how, is known of each by its place."""

    async def give(value: int) -> int:
        await asyncio.sleep(0)
        return value

    async def fail() -> int:
        raise ConflictError("taken")

    first, second, third = await outcomes_of([give(1), fail(), give(3)])
    assert (first, third) == (1, 3)
    assert isinstance(second, ConflictError)
