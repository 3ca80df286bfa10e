"""How long the slices of a Service lag behind the cluster.

The time begins when the watch event arrives of which they do not tell yet: the API server's own
times have a resolution of one second, and may be another machine's. It ends with the API server's
answer to the last write of slices; retries and pauses between writes are part of it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import Histogram

from svcwatcher.index import ServiceKey


class Lag:
    """Measures it, Service by Service."""

    def __init__(self, histogram: Histogram, *, clock: Callable[[], float]) -> None:
        """Observe in a histogram; ``clock`` gives monotonic seconds."""
        self._histogram = histogram
        self._clock = clock
        self._since: dict[ServiceKey, float] = {}

    def concerned(self, key: ServiceKey) -> None:
        """Take note of an event that concerns a Service."""
        self._since.setdefault(key, self._clock())

    @contextmanager
    def of_work_on(self, key: ServiceKey) -> Iterator[Callable[[], None]]:
        """Measure the work of the block, which is to call what it gets once slices are written.

        What comes meanwhile counts for the next work. Where nothing is to be written, the slices
        were right already. When the work fails, the time goes on.
        """
        since = self._since.pop(key, None)
        measured = False

        def written() -> None:
            nonlocal measured
            measured = True
            if since is not None:
                self._histogram.observe(self._clock() - since)

        try:
            yield written
        except BaseException:
            if since is not None and not measured:
                self._since[key] = since
            raise

    def clear(self) -> None:
        """Forget all."""
        self._since.clear()

    def __len__(self) -> int:
        """Return how many Services' slices may be behind."""
        return len(self._since)
