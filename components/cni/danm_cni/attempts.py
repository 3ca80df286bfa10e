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
        """Continue after the largest number that an earlier process may have given out.

        The disk is read for the first number: that process may count until then.
        """
        self._path = path
        self._clock_ms = clock_ms
        self._lock = Lock()
        self._bound: int | None = None
        self._last = 0

    def bound(self) -> int:
        """Return the largest number that may have been given out by what the disk says.

        Raises:
            OSError: The file is there and cannot be read.
        """
        try:
            return int(self._path.read_text())
        except FileNotFoundError:
            return 0
        except ValueError as error:
            # A broken disk, or a hand. The clock leads unless it went back meanwhile, and then a
            # refusal carries the number to begin above.
            log.warning("Attempt counter cannot be read", path=str(self._path), error=str(error))
            return 0

    def next_attempt(self, *, above: int = 0) -> int:
        """Return a number larger than all before it and than ``above``; may be called by threads.

        Raises:
            OSError: The disk does not tell the bound, or does not take it.
        """
        with self._lock:
            if self._bound is None:
                self._bound = self._last = self.bound()
            attempt = max(self._last, above, self._clock_ms() - 1) + 1
            if attempt > self._bound:
                bound = attempt + _AHEAD_MS
                write_atomically(self._path, str(bound).encode())
                self._bound = bound
            self._last = attempt
            return attempt
