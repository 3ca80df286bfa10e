"""Work that nobody waits for."""

import asyncio
import logging

import pytest

from danm_api.errors import ApiUnavailableError
from danm_cni.background import Background


async def test_the_end_waits_for_what_work_starts() -> None:
    """Work that background work starts is done, too, before the process ends."""
    background = Background()
    done: list[str] = []

    async def second() -> None:
        await asyncio.sleep(0)
        done.append("second")

    async def first() -> None:
        await asyncio.sleep(0)
        done.append("first")
        _ = background.spawn(second())

    _ = background.spawn(first())
    await background.end()
    assert done == ["first", "second"]


async def test_the_end_does_not_wait_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    """What a server holds up is left to the next start, once what it was at has been taken back."""
    # docs/decisions/0021
    background = Background()
    taken_back: list[str] = []

    async def held_up() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            taken_back.append("held up")

    _ = background.spawn(held_up())
    with caplog.at_level(logging.WARNING):
        async with asyncio.timeout(30):
            await background.end(within_s=0.01)
    assert taken_back == ["held up"]
    assert "Left to the next start" in caplog.text


@pytest.mark.parametrize(
    ("error", "told"),
    [
        pytest.param(ApiUnavailableError("away", status=0), "Clean-up will be tried again", id="e"),
        pytest.param(ValueError("bug"), "Clean-up failed", id="bug"),
    ],
)
async def test_failures_are_told(
    error: Exception, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A failure that nobody waits for is in the log, and stops nothing else."""

    async def fail() -> None:
        raise error

    background = Background()
    with caplog.at_level(logging.WARNING):
        _ = background.spawn(fail())
        await background.end()
        # The end of a task is told by a callback in the turn after it.
        await asyncio.sleep(0)
    assert told in caplog.text


async def test_cancelled_work_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    """What ends with the process is not told as an error."""

    async def wait() -> None:
        await asyncio.Event().wait()

    background = Background()
    _ = background.spawn(wait())
    background.cancel()
    await background.end()
    await asyncio.sleep(0)
    assert not caplog.records
