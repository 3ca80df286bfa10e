"""How often something may be written for each Service. Pure: the clock is an argument."""

from collections.abc import Callable

from svcwatcher.index import ServiceKey


class Pace:
    """Lets some writes for a Service go at once, and spaces what comes after them.

    A Service that has been quiet for long enough has all its writes again.
    """

    def __init__(self, *, burst: int, interval_s: float, clock: Callable[[], float]) -> None:
        """Let ``burst`` writes go at once, then one every ``interval_s``; 0 for no limit."""
        self._interval_s = interval_s
        self._allowance_s = (burst - 1) * interval_s
        self._clock = clock
        # When a Service has all its writes again, if nothing more is written.
        self._whole_at: dict[ServiceKey, float] = {}

    def wait_s(self, key: ServiceKey) -> float:
        """Return in how many seconds the next write may go; 0 for at once."""
        whole_at = self._whole_at.get(key)
        if whole_at is None:
            return 0.0
        now = self._clock()
        if whole_at <= now:
            del self._whole_at[key]
            return 0.0
        return max(0.0, whole_at - self._allowance_s - now)

    def spend(self, key: ServiceKey) -> None:
        """Count a write, also one that fails: a server in trouble is not asked more often."""
        now = self._clock()
        self._whole_at[key] = max(now, self._whole_at.get(key, now)) + self._interval_s

    def whole_in_s(self, key: ServiceKey) -> float:
        """Return in how many seconds a Service has all its writes again; 0 for now.

        Who asks ``wait_s`` then has it forgotten.
        """
        whole_at = self._whole_at.get(key)
        return 0.0 if whole_at is None else max(0.0, whole_at - self._clock())

    def clear(self) -> None:
        """Forget all."""
        self._whole_at.clear()

    def __len__(self) -> int:
        """Return how many Services are remembered."""
        return len(self._whole_at)
