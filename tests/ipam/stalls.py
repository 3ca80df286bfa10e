"""When this process stood still, and so most likely the whole machine.

What is late after such a time says nothing of what is tried.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_TICK_S: Final = 0.5
# A thread that only waits is hardly ever so late on a machine that is merely busy.
_STALL_S: Final = 3.0


class Stalls:
    """Looks at a clock again and again, and notes where it leaps.

    Attributes:
        found: The first and the last time of each stall, by that clock.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with the clock's present time."""
        self._clock = clock
        self._last = clock()
        self.found: list[tuple[float, float]] = []

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look at the clock in the background until the end of the block."""
        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(_TICK_S):
                self.tick()

        self._last = self._clock()
        thread = threading.Thread(target=watch, name="stalls", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            self.tick()

    def tick(self) -> None:
        """Look at the clock once."""
        now = self._clock()
        if now - self._last > _STALL_S:
            self.found.append((self._last, now))
        self._last = now

    def overlap(self, began: float, ended: float) -> bool:
        """Say whether a stall was in a time, or a part of it."""
        return any(first < ended and began < last for first, last in self.found)

    def __str__(self) -> str:
        """Say how many there were, and how long they took together."""
        total_s = sum(last - first for first, last in self.found)
        return f"{len(self.found)} stalls of this machine, {total_s:.0f} s in all"
