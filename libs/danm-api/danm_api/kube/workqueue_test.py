"""The work queue: nothing is lost, nothing runs twice at a time."""

import asyncio
from contextlib import suppress

import pytest

from danm_api.errors import ConflictError
from danm_api.kube.workqueue import LeadersQueue, WorkQueue, run_workers
from danm_api.testing.clock import FakeClock
from danm_api.testing.hangs import HANGS_S
from danm_api.testing.samples import sample


async def take(queue: WorkQueue[str]) -> str:
    """Take a key that must be there."""
    return await asyncio.wait_for(queue.get(), HANGS_S)


async def test_a_key_waits_once() -> None:
    """Keys come in the order of their first addition, once each."""
    queue: WorkQueue[str] = WorkQueue()
    for key in ("a", "b", "a"):
        queue.add(key)
    assert len(queue) == 2
    assert [await take(queue), await take(queue)] == ["a", "b"]
    assert len(queue) == 0


async def test_a_key_added_during_its_work_comes_again_afterwards() -> None:
    """The change that arrives during the work is worked on, after it and not beside it."""
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    await take(queue)
    queue.add("a")
    queue.add("b")
    assert await take(queue) == "b"
    queue.done("a")
    assert await take(queue) == "a"


async def test_ready_is_what_a_worker_could_take_now() -> None:
    """Neither what is in work already, nor what is delayed."""
    clock = FakeClock()
    queue: WorkQueue[str] = WorkQueue(clock=clock)
    queue.add("a")
    queue.add_after("late", 10)
    assert queue.has_ready()
    await take(queue)
    queue.add("a")
    assert not queue.has_ready()
    queue.done("a")
    assert queue.has_ready()


async def test_delayed_keys_come_when_due() -> None:
    """A delay holds a key back, the earliest of several counts, and add ends it."""
    clock = FakeClock()
    queue: WorkQueue[str] = WorkQueue(clock=clock)
    queue.add_after("late", 50)
    queue.add_after("soon", 20)
    queue.add_after("soon", 10)
    queue.add_after("soon", 30)
    queue.add_after("now", 40)
    queue.add("now")
    assert len(queue) == 3
    assert await take(queue) == "now"
    clock.advance(10)
    assert await take(queue) == "soon"
    queue.done("soon")
    clock.advance(20)
    queue.add("other")
    assert await take(queue) == "other"  # the outdated timers of "soon" and "now" are nothing
    clock.advance(20)
    assert await take(queue) == "late"
    assert len(queue) == 0


async def test_a_waiting_worker_wakes_for_a_delayed_key() -> None:
    """Who waits already is woken by a key that becomes due."""
    queue: WorkQueue[str] = WorkQueue()
    waiting = asyncio.create_task(take(queue))
    await asyncio.sleep(0)
    queue.add_after("a", 0.01)
    assert await waiting == "a"


async def test_retries_back_off_until_forgotten() -> None:
    """Each failure doubles the pause; success resets it."""
    clock = FakeClock()
    queue: WorkQueue[str] = WorkQueue(clock=clock, base_delay_s=1, max_delay_s=8)
    delays = []
    for _ in range(5):
        delays.append(queue.retry("a"))
        clock.advance(8)
        queue.done(await take(queue))
    for delay, exact in zip(delays, (1, 2, 4, 8, 8), strict=True):
        assert exact * 0.75 <= delay <= exact
    queue.forget("a")
    assert queue.retry("a") <= 1


@pytest.mark.parametrize(
    "error",
    [pytest.param(ConflictError("stale"), id="expected"), pytest.param(ValueError(), id="bug")],
)
async def test_failed_keys_are_tried_again(error: Exception) -> None:
    """A reconcile that raises runs again, and the other keys go on meanwhile."""
    queue: WorkQueue[str] = WorkQueue(base_delay_s=0.001)
    runs: list[str] = []
    finished = asyncio.Event()

    async def reconcile(key: str) -> None:
        runs.append(key)
        if key == "bad" and runs.count("bad") < 3:
            raise error
        if runs.count("bad") >= 3 and "good" in runs:
            finished.set()

    queue.add("bad")
    queue.add("good")
    workers = asyncio.create_task(run_workers(queue, reconcile, concurrency=2, name="test"))
    await asyncio.wait_for(finished.wait(), HANGS_S)
    workers.cancel()
    with suppress(asyncio.CancelledError):
        await workers
    assert sorted(runs) == ["bad", "bad", "bad", "good"]


async def test_one_key_has_one_worker() -> None:
    """Two workers never hold the same key, however often it is added."""
    queue: WorkQueue[str] = WorkQueue()
    running = 0
    runs = 0
    finished = asyncio.Event()

    async def reconcile(key: str) -> None:
        nonlocal running, runs
        running += 1
        assert running == 1
        queue.add(key)
        await asyncio.sleep(0)
        running -= 1
        runs += 1
        if runs == 20:
            finished.set()

    queue.add("a")
    workers = asyncio.create_task(run_workers(queue, reconcile, concurrency=4, name="test"))
    await asyncio.wait_for(finished.wait(), HANGS_S)
    workers.cancel()


async def test_a_group_of_errors_is_no_bug() -> None:
    """DanmErrors out of a task group count as what they are, and the key comes again."""
    queue: WorkQueue[str] = WorkQueue(base_delay_s=0.001)
    outcomes: list[str] = []
    finished = asyncio.Event()

    async def reconcile(_: str) -> None:
        outcomes.append("run")
        if len(outcomes) == 1:
            raise ExceptionGroup("several", [ConflictError("a"), ConflictError("b")])
        finished.set()

    before = sample("danm_reconciles_total", queue="group", outcome="retry")
    queue.add("a")
    workers = asyncio.create_task(run_workers(queue, reconcile, concurrency=1, name="group"))
    await asyncio.wait_for(finished.wait(), HANGS_S)
    workers.cancel()
    assert sample("danm_reconciles_total", queue="group", outcome="retry") == before + 1


async def test_the_depth_is_that_of_now() -> None:
    """A queue that grows while its worker gets nothing done is seen to grow."""
    queue: WorkQueue[str] = WorkQueue()
    stuck = asyncio.Event()

    async def reconcile(_: str) -> None:
        stuck.set()
        await asyncio.Event().wait()

    queue.add("a")
    workers = asyncio.create_task(run_workers(queue, reconcile, concurrency=1, name="depth"))
    await asyncio.wait_for(stuck.wait(), HANGS_S)
    assert sample("danm_queue_depth", queue="depth") == 0
    queue.add("b")
    queue.add_after("c", 1000)
    assert sample("danm_queue_depth", queue="depth") == 2
    workers.cancel()
    with suppress(asyncio.CancelledError):
        await workers
    assert sample("danm_queue_depth", queue="depth") == 0


async def test_who_does_not_lead_remembers_no_key() -> None:
    """Objects come and go for as long as a replica waits for the Lease, or has lost it."""
    # DESIGN P6
    clock = FakeClock()
    queue: LeadersQueue[str] = LeadersQueue(clock=clock)

    def come() -> None:
        queue.add("a")
        queue.add_after("b", 5)

    come()
    assert (len(queue), queue.is_open, queue.has_ready()) == (0, False, False)
    with queue.opened() as taken:
        assert (len(queue), queue.is_open, queue.has_ready()) == (0, True, False)
        come()
        assert (len(queue), queue.is_open, queue.has_ready()) == (2, True, True)
        assert await take(taken) == "a"
        clock.advance(5)
        assert await take(taken) == "b"
        come()
    come()
    assert (len(queue), queue.is_open, queue.has_ready()) == (0, False, False)
    with queue.opened() as taken:
        assert len(taken) == 0


async def test_a_term_that_ends_with_an_error_ends() -> None:
    """What a leader fails by leaves no key behind either."""
    queue: LeadersQueue[str] = LeadersQueue()

    async def lead() -> None:
        with queue.opened():
            queue.add("a")
            raise ConflictError("lost")

    with pytest.raises(ConflictError):
        await lead()
    assert (len(queue), queue.is_open) == (0, False)
