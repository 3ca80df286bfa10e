"""Writes a run's history, counts its operations and gives them their pace."""

import asyncio
import time
from dataclasses import dataclass, field

from tests.lab.chaos.history import Record, Release, Reserve


@dataclass(slots=True, kw_only=True)
class Recorder:
    """The history of one round.

    Attributes:
        wanted: Operations; those under way when there are enough come to their end.
        apart_s: Between the beginnings of two operations, on the average.
    """

    wanted: int
    apart_s: float
    history: list[Record] = field(default_factory=list)
    operations: int = 0
    _began: float = field(default_factory=time.monotonic)
    _next: float = 0.0

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

    async def pace(self) -> None:
        """Wait for the turn of the next operation; time that was lost is not made up for."""
        now = self.now()
        turn = max(self._next, now)
        self._next = turn + self.apart_s
        await asyncio.sleep(turn - now)
