"""Consistent reads that serve everybody who was waiting when they began."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

K = TypeVar("K")


class ConsistentReads(Generic[K]):
    """Runs ``read(key)`` so that each caller gets one that began after it asked.

    At most one read of a key runs and one is to follow, however many ask (DESIGN, "Full means
    full").
    """

    def __init__(self, read: Callable[[K], Awaitable[None]]) -> None:
        """Prepare for a read."""
        self._read = read
        self._next: dict[K, asyncio.Task[None]] = {}
        self._running: dict[K, asyncio.Task[None]] = {}

    async def after_now(self, key: K) -> None:
        """Wait for a read that begins after this call; raises what it raises."""
        task = self._next.get(key)
        if task is None:
            task = asyncio.create_task(self._run(key, self._running.get(key)))
            task.add_done_callback(_take_note)
            self._next[key] = task
        # One caller that gives up must not take the read away from the others.
        await asyncio.shield(task)

    async def _run(self, key: K, before: "asyncio.Task[None] | None") -> None:
        if before is not None:
            await asyncio.wait((before,))
        self._running[key] = self._next.pop(key)
        try:
            await self._read(key)
        finally:
            # Whoever follows waits for this very task, and has taken its place in _next only.
            del self._running[key]


def _take_note(task: "asyncio.Task[None]") -> None:
    """Look at a read's failure, which nobody may wait for any more: that is no bug to be logged."""
    if not task.cancelled():
        task.exception()
