"""Waiting for requests that are on their way, without waiting for a time."""

import asyncio
from collections.abc import Callable
from typing import Final

# Decision 0012 has the measurement.
_QUIET_TURNS: Final = 3


async def until_quiet(count: Callable[[], int], *, enough: int) -> None:
    """Give the event loop turns until some of them bring nothing, or there is enough.

    A request needs a few turns from its socket to its queue. Each write costs the API server as
    much as many requests cost here, so it is worth to wait for those that are on their way; a lone
    caller waits for as many empty turns, which take microseconds.

    Args:
        count: How many requests there are.
        enough: With so many there is nothing to wait for.
    """
    quiet = 0
    while quiet < _QUIET_TURNS and count() < enough:
        before = count()
        await asyncio.sleep(0)
        quiet = 0 if count() > before else quiet + 1
