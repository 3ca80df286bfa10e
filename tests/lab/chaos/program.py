"""A program that can be killed, frozen and started again."""

import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.lab.errors import StartError
from tests.lab.process import Background, start_leashed

_STARTED_WITHIN_S: Final = 10.0
_POLL_S: Final = 0.005


@dataclass(slots=True, kw_only=True)
class Program:
    """One program, in its present life or between two.

    Attributes:
        logs: A directory; each life has a log of its own.
        lives: How often it was started.
        pid: Of the program itself in its last life.
    """

    name: str
    command: Sequence[str]
    logs: Path
    env: Mapping[str, str]
    lives: int = 0
    pid: int = 0
    background: Background | None = None

    def start(self) -> None:
        """Start it; it ends with this process at the latest."""
        if self.background is not None:
            # Its last life has ended by itself, and its leash is still held.
            self.background.stop()
        self.lives += 1
        self.logs.mkdir(parents=True, exist_ok=True)
        log = self.logs / f"{self.name}-{self.lives}.log"
        self.background = start_leashed(self.name, self.command, log=log, env=self.env)
        self.pid = child_of(self.background)

    def kill(self) -> None:
        """Kill it as kill -9 does; one that does not run is left alone."""
        if self.background is None or self.background.process.poll() is not None:
            return
        os.kill(self.pid, signal.SIGKILL)
        self.background.stop()

    def freeze(self) -> None:
        """Stop it where it is; only ``thaw`` and ``kill`` do anything to it then."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def failure(self) -> StartError | None:
        """Return why it does not run although nobody ended it."""
        return None if self.background is None else self.background.failure()


def child_of(background: Background) -> int:
    """Return the process id of a leashed program itself.

    Raises:
        StartError: It ended at once.
    """
    leash = background.process.pid
    children = Path(f"/proc/{leash}/task/{leash}/children")
    deadline = time.monotonic() + _STARTED_WITHIN_S
    while time.monotonic() < deadline:
        try:
            # The leash starts the program first.
            found = children.read_text().split()
        except OSError:
            break
        if found:
            return int(found[0])
        time.sleep(_POLL_S)
    raise background.failure() or StartError(f"{background.name} has not started")
