"""Waiting for requests that are on their way."""

import asyncio

from ipam_svc.quiet import until_quiet


async def test_requests_that_follow_each_other_go_together() -> None:
    """As long as more arrives within a few turns, it is waited for; then no longer."""
    arrived: list[int] = []

    async def arrive() -> None:
        for number in range(5):
            await asyncio.sleep(0)
            arrived.append(number)

    arriving = asyncio.create_task(arrive())
    await until_quiet(lambda: len(arrived), enough=64)
    assert len(arrived) == 5
    await arriving


async def test_enough_is_not_waited_for() -> None:
    """A full block's worth is written at once, whatever else arrives."""
    turns: list[int] = []

    async def count_turns() -> None:
        while True:
            turns.append(1)
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    await until_quiet(lambda: 64, enough=64)
    assert turns == []
    counting.cancel()
