"""Waiting for requests that are on their way, no longer than they take."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sized
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

# Decision 0012 has the measurements.
_QUIET_TURNS: Final = 3
# Callers that were answered together come back one after the other, at most this far apart.
_PAUSE_S: Final = 0.001


class Gatherer(Generic[K]):
    """Lets queues fill before they are worked on, and remembers who had several callers last."""

    def __init__(self, *, sleep: Callable[[float], Awaitable[None]]) -> None:
        """Wait for pauses with ``sleep``, in seconds."""
        self._sleep = sleep
        self._crowded: set[K] = set()

    async def until_quiet(self, key: K, waiting: Sized, *, enough: int) -> None:
        """Wait until nothing more comes, or there is enough.

        A request needs a few turns of the event loop from its socket to its queue. Each write costs
        the API server as much as many requests cost here, so it is worth to wait for those that are
        on their way; a lone caller waits for as many empty turns, which take microseconds. Where
        several were carried last, they come back: then a pause of a millisecond is the end.
        """
        await _empty_turns(waiting, enough)
        more = key in self._crowded
        while more and len(waiting) < enough:
            before = len(waiting)
            await self._sleep(_PAUSE_S)
            # It was no pause if the loop was busy meanwhile, with requests still in their sockets.
            await _empty_turns(waiting, enough)
            more = len(waiting) > before
        if len(waiting) > 1:
            self._crowded.add(key)
        else:
            self._crowded.discard(key)

    def forget(self, key: K) -> None:
        """Drop what is remembered of a key."""
        self._crowded.discard(key)


async def _empty_turns(waiting: Sized, enough: int) -> None:
    """Give the event loop turns until some of them in a row bring nothing."""
    quiet = 0
    while quiet < _QUIET_TURNS and len(waiting) < enough:
        before = len(waiting)
        await asyncio.sleep(0)
        quiet = 0 if len(waiting) > before else quiet + 1
