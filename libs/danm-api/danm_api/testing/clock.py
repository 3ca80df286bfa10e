"""A clock that stands still until a test moves it."""

import asyncio
import heapq
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Final

START: Final = datetime(2026, 1, 1, tzinfo=UTC)


class FakeClock:
    """Stands in for ``time.monotonic`` (call it), ``datetime.now`` and ``asyncio.sleep``."""

    def __init__(self, start: datetime = START) -> None:
        """Start at a moment, and at 0 of the monotonic clock."""
        self._start = start
        self._elapsed_s = 0.0
        self._order = count()
        self._sleepers: list[tuple[float, int, asyncio.Event]] = []

    def __call__(self) -> float:
        """Return seconds since the clock was made, as a monotonic clock does."""
        return self._elapsed_s

    def now(self) -> datetime:
        """Return the moment, in UTC."""
        return self._start + timedelta(seconds=self._elapsed_s)

    async def sleep(self, delay_s: float) -> None:
        """Return once the clock was moved by this much."""
        wake = asyncio.Event()
        heapq.heappush(self._sleepers, (self._elapsed_s + delay_s, next(self._order), wake))
        self._wake_due()
        await wake.wait()

    def advance(self, seconds: float) -> None:
        """Move the clock forward and wake whoever slept until then, the earliest first.

        Raises:
            ValueError: No clock goes back.
        """
        if seconds < 0:
            raise ValueError("a monotonic clock does not go back")
        self._elapsed_s += seconds
        self._wake_due()

    @property
    def sleepers(self) -> int:
        """Return how many are asleep."""
        return len(self._sleepers)

    def _wake_due(self) -> None:
        while self._sleepers and self._sleepers[0][0] <= self._elapsed_s:
            heapq.heappop(self._sleepers)[2].set()
