"""Threads for blocking work."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from danm_cni.threads import CLONE_NEWNET, Threads, enter_namespace, in_background


async def test_results_and_errors_come_back() -> None:
    """What the work returns or raises is what the caller gets."""
    threads = Threads(limit=2, name="test")
    assert await threads.run(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 // 0)


async def test_no_more_than_the_limit_at_once() -> None:
    """Work beyond the limit waits for its turn."""
    threads, lock = Threads(limit=3, name="test"), threading.Lock()
    now, most = 0, 0

    def work() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        os.sched_yield()
        with lock:
            now -= 1

    await asyncio.gather(*(threads.run(work) for _ in range(50)))
    assert most <= 3


async def test_a_cancelled_caller_leaves_nothing_running() -> None:
    """Cancelling tells the work to end, and returns when it has."""
    threads = Threads(limit=1, name="test")
    started, told, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        told.wait(30)
        ended.set()

    task = asyncio.create_task(threads.run(work, cancel=told.set))
    await asyncio.to_thread(started.wait, 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


@pytest.mark.parametrize("fails", [False, True])
def test_work_may_end_after_its_loop(monkeypatch: pytest.MonkeyPatch, *, fails: bool) -> None:
    """A caller that is cancelled twice waits no longer; the thread ends quietly."""
    uncaught: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", uncaught.append)
    started, go_on = threading.Event(), threading.Event()
    workers: list[threading.Thread] = []

    def work() -> None:
        workers.append(threading.current_thread())
        started.set()
        assert go_on.wait(30)
        if fails:
            raise ZeroDivisionError

    async def cancel_twice() -> None:
        task = asyncio.create_task(Threads(limit=1, name="test").run(work))
        await asyncio.to_thread(started.wait, 30)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel_twice())
    go_on.set()
    workers[0].join(30)
    assert not workers[0].is_alive()
    assert uncaught == []


async def test_what_is_no_namespace_is_refused(tmp_path: Path) -> None:
    """Entering a plain file is an error."""
    path = tmp_path / "x"
    path.touch()

    def work() -> None:
        with path.open("rb") as file:
            enter_namespace(file.fileno(), CLONE_NEWNET)

    with pytest.raises(OSError, match="Invalid argument"):
        await Threads(limit=1, name="test").run(work)


def test_nobody_waits_for_work_in_the_background() -> None:
    """It goes on after whoever has begun it."""
    left, ended = threading.Event(), threading.Event()

    def work() -> None:
        assert left.wait(10)
        ended.set()

    in_background(work, name="test")
    assert not ended.is_set()
    left.set()
    assert ended.wait(10)
