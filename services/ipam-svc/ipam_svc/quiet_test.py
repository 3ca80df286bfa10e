"""Waiting for requests that are on their way."""

import asyncio

from ipam_svc.quiet import Gatherer


async def test_requests_that_follow_each_other_go_together() -> None:
    """As long as more arrives within a few turns, it is waited for; then no longer."""
    arrived: list[int] = []

    async def arrive() -> None:
        for number in range(5):
            await asyncio.sleep(0)
            arrived.append(number)

    arriving = asyncio.create_task(arrive())
    await Gatherer[str](sleep=asyncio.sleep).until_quiet("net", arrived, enough=64)
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
    await Gatherer[str](sleep=asyncio.sleep).until_quiet("net", range(64), enough=64)
    assert turns == []
    counting.cancel()


async def test_a_crowd_is_waited_for_until_it_pauses() -> None:
    """Callers that were answered together come back one after the other; a lone one does not."""
    waiting: list[str] = []
    coming: list[str] = []

    async def pause(_: float) -> None:
        if coming:
            waiting.append(coming.pop())

    gatherer = Gatherer[str](sleep=pause)
    for arriving, gathered in (
        (["a"], 1),  # Nobody else is known to come.
        (["a", "b"], 2),
        (["a", "b", "c", "d"], 4),
        (["a"], 1),
        (["a", "b"], 1),  # The last one was alone.
    ):
        waiting[:], coming[:] = arriving[:1], arriving[1:]
        if gathered == 2:
            waiting.append(coming.pop())
        await gatherer.until_quiet("net", waiting, enough=64)
        assert len(waiting) == gathered


async def test_what_is_gone_is_forgotten() -> None:
    """A network's end leaves nothing."""
    paused: list[float] = []

    async def pause(delay_s: float) -> None:
        paused.append(delay_s)

    gatherer = Gatherer[str](sleep=pause)
    await gatherer.until_quiet("net", "ab", enough=64)
    gatherer.forget("net")
    await gatherer.until_quiet("net", "a", enough=64)
    assert paused == []
