"""Reads that serve all who were waiting when they began."""

import asyncio
import gc

import pytest

from ipam_svc.consistent_read import ConsistentReads


async def test_each_caller_gets_a_read_that_began_after_it_asked() -> None:
    """Who asks during a read waits for the next one, which serves all of them."""
    # DESIGN, "Full means full"
    began: list[str] = []
    go_on = asyncio.Event()

    async def read(key: str) -> None:
        began.append(key)
        await go_on.wait()

    reads = ConsistentReads[str](read)
    first = asyncio.create_task(reads.after_now("a"))
    while not began:
        await asyncio.sleep(0)
    later = [asyncio.create_task(reads.after_now("a")) for _ in range(10)]
    other = asyncio.create_task(reads.after_now("b"))
    while len(began) < 2:
        await asyncio.sleep(0)
    assert began == ["a", "b"]
    go_on.set()
    await asyncio.gather(first, other, *later)
    assert began == ["a", "b", "a"]


async def test_failure_concerns_those_who_waited_for_it() -> None:
    """A read that fails raises to its callers, and the next one begins anew."""
    errors = [OSError("once")]

    async def read(_: str) -> None:
        await asyncio.sleep(0)
        if errors:
            raise errors.pop()

    reads = ConsistentReads[str](read)
    with pytest.raises(OSError, match="once"):
        await reads.after_now("a")
    await reads.after_now("a")


async def test_caller_that_gives_up_leaves_the_read_to_the_others() -> None:
    """A cancelled caller does not cancel the read."""
    go_on = asyncio.Event()

    async def read(_: str) -> None:
        await go_on.wait()

    reads = ConsistentReads[str](read)
    one = asyncio.create_task(reads.after_now("a"))
    two = asyncio.create_task(reads.after_now("a"))
    await asyncio.sleep(0)
    one.cancel()
    go_on.set()
    await two
    assert one.cancelled()


async def test_failure_that_nobody_waits_for_is_no_bug() -> None:
    """A read that fails after its callers have given up is not reported as a lost exception."""
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    go_on = asyncio.Event()

    async def read(_: str) -> None:
        await go_on.wait()
        raise OSError("too late")

    reads = ConsistentReads[str](read)
    caller = asyncio.create_task(reads.after_now("a"))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.wait((caller,))
    go_on.set()
    for _ in range(5):
        await asyncio.sleep(0)
    del caller
    gc.collect()
    assert told == []
