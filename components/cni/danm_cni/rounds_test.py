"""Many small steps, some of which fail."""

import asyncio

import pytest

from danm_api.errors import IpamUnavailableError
from danm_cni.rounds import attempt, side_by_side


async def test_a_bounded_number_runs_at_once() -> None:
    """ADDs go on beside a comparison of hundreds of things."""
    running, most, go = 0, 0, asyncio.Event()

    async def step() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await go.wait()
        running -= 1

    work = asyncio.create_task(side_by_side(step() for _ in range(100)))
    async with asyncio.timeout(30):
        while running < 16:
            await asyncio.sleep(0)
        # As many as would begin if nothing kept them.
        for _ in range(10):
            await asyncio.sleep(0)
        go.set()
        await work
    assert (most, running) == (16, 0)


@pytest.mark.parametrize("error", [IpamUnavailableError("away"), ZeroDivisionError("a bug")])
async def test_a_step_that_fails_is_told_and_stops_nobody(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither what is away nor a fault of danmd's own keeps the other steps."""
    done = []

    async def fail() -> None:
        raise error

    async def work(number: int) -> None:
        done.append(number)

    with caplog.at_level("WARNING"):
        assert not await attempt("it", fail())
    assert len(caplog.records) == 1
    assert await attempt("it", work(1))
    await side_by_side([attempt("it", fail()), attempt("it", work(2))])
    assert done == [1, 2]


async def test_the_end_of_danmd_ends_a_step() -> None:
    """Cancelling is no failure to try again after."""
    task = asyncio.create_task(attempt("it", asyncio.sleep(1000)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
