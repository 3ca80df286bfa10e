"""Writes a run's history, counts its operations and gives them their pace."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tests.lab.chaos.history import ClockStep, Record, Release, Reserve

# Reading one clock after the other takes less, unless the machine does something else between.
_SMALLEST_STEP_S: Final = 0.01


def _wall_ahead_s() -> float:
    return time.time() - time.monotonic()


@dataclass(slots=True, kw_only=True)
class Recorder:
    """The history of one round.

    Attributes:
        wanted: Operations; those under way when there are enough come to their end.
        apart_s: Between the beginnings of two operations, on the average.
        wall_ahead_s: Reads by how much the wall clock is ahead of a monotonic one.
    """

    wanted: int
    apart_s: float
    history: list[Record] = field(default_factory=list)
    operations: int = 0
    wall_ahead_s: Callable[[], float] = _wall_ahead_s
    _began: float = field(default_factory=time.monotonic)
    _next: float = 0.0
    _ahead_s: float = 0.0
    _looked: float = 0.0

    def __post_init__(self) -> None:
        """Read the wall clock for the first time."""
        self._ahead_s = self.wall_ahead_s()

    @property
    def enough(self) -> bool:
        """Whether as many operations as wanted are done."""
        return self.operations >= self.wanted

    def now(self) -> float:
        """Return the seconds of the history's clock."""
        return time.monotonic() - self._began

    def add(self, record: Record) -> None:
        """Write something down."""
        self.history.append(record)
        if isinstance(record, Reserve | Release):
            self.operations += 1

    def look_at_wall_clock(self) -> None:
        """Write down whether somebody set it since the last look."""
        ahead_s, now = self.wall_ahead_s(), self.now()
        if abs(ahead_s - self._ahead_s) > _SMALLEST_STEP_S:
            forward_s = ahead_s - self._ahead_s
            self.add(ClockStep(since=self._looked, at=now, forward_s=forward_s))
            self._ahead_s = ahead_s
        self._looked = now

    async def pace(self) -> None:
        """Wait for the turn of the next operation; time that was lost is not made up for."""
        now = self.now()
        turn = max(self._next, now)
        self._next = turn + self.apart_s
        await asyncio.sleep(turn - now)
