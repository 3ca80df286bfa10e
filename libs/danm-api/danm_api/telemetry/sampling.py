"""Which traces are recorded: all of a quiet process, and of a busy one what it can afford.

OpenTelemetry's own samplers decide when most of a span's cost is spent (15 us; a reservation takes
280), so this is asked before there is a span. What it costs to record all is in decision 0033.
"""

import time
from collections.abc import Callable
from typing import Final

# Of one kind that begin in a process: a node's Pods that start together, then one in five seconds.
BEGUN_AT_ONCE: Final = 10
BEGUN_PER_S: Final = 0.2
# Of callers that record: the nodes of a cluster.
JOINED_AT_ONCE: Final = 100
JOINED_PER_S: Final = 50.0


class Allowance:
    """Some at once, and then so many a second."""

    def __init__(
        self, at_once: int, per_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Allow ``at_once``, which come back at ``per_s``; ``clock`` tells seconds."""
        self._at_once = float(at_once)
        self._per_s = per_s
        self._clock = clock
        self._left = self._at_once
        self._last = clock()

    def take(self) -> bool:
        """Take one, and say whether there was one."""
        now = self._clock()
        self._left = min(self._at_once, self._left + (now - self._last) * self._per_s)
        self._last = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Sampling:
    """How many traces one process records."""

    def __init__(self) -> None:
        """Begin with all that is allowed at once."""
        # Each kind for itself: what a process does all the time leaves room for what is rare.
        self._begun: dict[str, Allowance] = {}
        self._joined = Allowance(JOINED_AT_ONCE, JOINED_PER_S)

    def may_begin(self, name: str) -> bool:
        """Say whether a trace may begin with a span of this name, and count it."""
        begun = self._begun.get(name)
        if begun is None:
            begun = self._begun[name] = Allowance(BEGUN_AT_ONCE, BEGUN_PER_S)
        return begun.take()

    def may_join(self) -> bool:
        """Say whether one more trace of a caller may be recorded, and count it."""
        return self._joined.take()
