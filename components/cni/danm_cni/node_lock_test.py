"""One danmd after another."""

import asyncio
import multiprocessing
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from danm_cni.node_lock import node_lock


def _hold(path: Path, held: Event) -> None:
    async def hold() -> None:
        async with node_lock(path, asyncio.Event()):
            held.set()
            await asyncio.Event().wait()

    asyncio.run(hold())


async def test_two_never_run(tmp_path: Path) -> None:
    """A second danmd of a node waits until the first has ended, however it ends."""
    path = tmp_path / "lock"
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    other = context.Process(target=_hold, args=(path, held))
    other.start()
    try:
        assert await asyncio.to_thread(held.wait, 30)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3), node_lock(path, asyncio.Event()):
                raise AssertionError
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(0.1, stop.set)
        # One that waits ends at once when it is told to.
        async with asyncio.timeout(30), node_lock(path, stop) as alone:
            assert not alone
        other.kill()
        # DESIGN, "Nodes fence"
        async with asyncio.timeout(30), node_lock(path, asyncio.Event()) as alone:
            assert alone
    finally:
        other.kill()
        await asyncio.to_thread(other.join)


async def test_a_lock_outlives_its_file(tmp_path: Path) -> None:
    """Who takes DANM off a node removes the file; what comes then waits for the one that runs."""
    # DESIGN, "Nodes fence"
    path, stop = tmp_path / "state/lock", asyncio.Event()

    async def end() -> None:
        stop.set()

    async with asyncio.timeout(30), node_lock(path, asyncio.Event()) as first:
        assert first
        path.unlink()
        async with node_lock(path, stop, meanwhile=end) as second:
            assert not second
    async with asyncio.timeout(30), node_lock(path, asyncio.Event()) as third:
        assert third


async def test_what_is_done_beside_another_danmd_ends_with_it(tmp_path: Path) -> None:
    """Then there is nobody to make it worth while; before that its failure ends the wait."""
    # docs/decisions/0021
    path, begun, ended = tmp_path / "lock", asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def wait() -> bool:
        async with node_lock(path, asyncio.Event(), meanwhile=work) as alone:
            return alone and ended.is_set()

    async def fail() -> None:
        raise OSError(28, "No space left on device")

    async with asyncio.timeout(30):
        async with node_lock(path, asyncio.Event()):
            with pytest.raises(ExceptionGroup) as caught:
                async with node_lock(path, asyncio.Event(), meanwhile=fail):
                    raise AssertionError
            assert caught.group_contains(OSError, match="No space left")
            waiting = asyncio.create_task(wait())
            await begun.wait()
        assert await waiting
