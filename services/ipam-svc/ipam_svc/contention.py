"""Which blocks are better left to another replica for a while. Pure: the clock is an argument."""

from collections.abc import Callable, Hashable
from datetime import datetime, timedelta
from typing import Final, Generic, TypeVar

B = TypeVar("B", bound=Hashable)

# Longer than a burst's pause, so that replicas stay apart; short, so that blocks fill up after it.
_LASTS: Final = timedelta(seconds=2)


class Contention(Generic[B]):
    """Blocks that another replica opened, or won, a short time ago (decision 0012)."""

    def __init__(self, *, now: Callable[[], datetime]) -> None:
        """Start with none."""
        self._now = now
        self._until: dict[B, datetime] = {}

    def mark(self, block: B) -> None:
        """Note that another replica writes a block: new addresses come from others for a while."""
        self._until[block] = self._now() + _LASTS

    def end(self, block: B) -> None:
        """Note that a block is this replica's own, or is not open any more."""
        self._until.pop(block, None)

    def holds(self, block: B) -> bool:
        """Say whether a block is better left to another replica."""
        until = self._until.get(block)
        if until is None:
            return False
        if until > self._now():
            return True
        del self._until[block]
        return False
