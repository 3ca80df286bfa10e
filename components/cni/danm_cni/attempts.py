"""Numbers that grow with every send of a reservation (DESIGN, "Attempts fence").

One counter serves all owners of the node, so it grows for each of them. It is at least the clock in
milliseconds and survives restarts and clocks that go back: a bound ahead of what was given out is
on the disk, so that most numbers cost no write.
"""

from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Final

from danm_api.telemetry import get_logger
from danm_cni.durable import write_atomically

log = get_logger(__name__)

# One write a minute at most while the clock leads; and a restart skips at most so much.
_AHEAD_MS: Final = 60_000


class AttemptCounter:
    """The node's counter."""

    def __init__(self, path: Path, *, clock_ms: Callable[[], int]) -> None:
        """Continue after the largest number that an earlier process may have given out."""
        self._path = path
        self._clock_ms = clock_ms
        self._lock = Lock()
        try:
            self._bound = int(path.read_text())
        except FileNotFoundError:
            self._bound = 0
        except ValueError as error:
            # A broken disk, or a hand. The clock leads unless it went back meanwhile, and then a
            # refusal carries the number to begin above.
            log.warning("Attempt counter cannot be read", path=str(path), error=str(error))
            self._bound = 0
        self._last = self._bound

    def next_attempt(self, *, above: int = 0) -> int:
        """Return a number larger than all before it and than ``above``; may be called by threads.

        Raises:
            OSError: The disk does not take the bound.
        """
        with self._lock:
            attempt = max(self._last, above, self._clock_ms() - 1) + 1
            if attempt > self._bound:
                bound = attempt + _AHEAD_MS
                write_atomically(self._path, str(bound).encode())
                self._bound = bound
            self._last = attempt
            return attempt
