"""The clock that stands still."""

import asyncio
from datetime import timedelta

import pytest

from danm_api.testing.clock import START, FakeClock


def test_it_stands_still_until_it_is_moved() -> None:
    """Both faces of the clock show the same time."""
    clock = FakeClock()
    clock.advance(1.5)
    assert (clock(), clock.now()) == (1.5, START + timedelta(seconds=1.5))


def test_it_does_not_go_back() -> None:
    """A test that moves it back is told so."""
    with pytest.raises(ValueError, match="does not go back"):
        FakeClock().advance(-1)


async def test_sleepers_wake_when_their_time_has_come() -> None:
    """Who sleeps longer sleeps on."""
    clock = FakeClock()
    async with asyncio.TaskGroup() as tasks:
        short = tasks.create_task(clock.sleep(1))
        long = tasks.create_task(clock.sleep(2))
        await asyncio.sleep(0)
        clock.advance(1)
        await short
        assert (clock.sleepers, long.done()) == (1, False)
        clock.advance(1)
