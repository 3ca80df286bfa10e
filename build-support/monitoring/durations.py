"""Durations as Prometheus writes them."""

from dataclasses import dataclass
from typing import Final

MINUTE_S: Final = 60.0
DAY_S: Final = 24 * 60 * MINUTE_S
_MS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """Writes durations, or a part of them.

    Attributes:
        scale: What all are multiplied with; a test has no quarter of an hour.
    """

    scale: float = 1.0

    def scaled(self, seconds: float) -> float:
        """Return a duration in seconds."""
        return seconds * self.scale

    def text(self, seconds: float) -> str:
        """Return a duration of a query's window."""
        return write(self.scaled(seconds))


def write(seconds: float) -> str:
    """Return a duration with the largest unit that divides it."""
    milliseconds = round(seconds * _MS)
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", _MS)):
        if milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"
