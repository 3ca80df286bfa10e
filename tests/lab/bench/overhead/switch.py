"""Whether metrics and traces are on: one byte of a file that all processes of a run share."""

import mmap
import os
import time
from pathlib import Path
from typing import Final

VARIABLE: Final = "DANM_BENCH_SWITCH"
"""The variable that names a switched process the file."""

# Whoever looks more often takes time from the side that is off.
_LOOK_EVERY_S: Final = 0.02


class Switch:
    """Turns metrics and traces of running processes on and off.

    Attributes:
        path: Of the file.
        shared: Its one byte; 0 is off.
    """

    def __init__(self, path: Path) -> None:
        """Use a file that is there.

        Raises:
            OSError: It is not.
        """
        self.path = path
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            self.shared = mmap.mmap(descriptor, 1)
        finally:
            os.close(descriptor)

    @classmethod
    def make(cls, path: Path) -> "Switch":
        """Make the file, on."""
        path.write_bytes(b"\1")
        return cls(path)

    @property
    def is_on(self) -> bool:
        """Say whether metrics count and spans are made."""
        return bool(self.shared[0])

    def turn(self, *, on: bool) -> None:
        """Turn it, in all processes at once."""
        self.shared[0] = on

    def wait_until_on(self) -> None:
        """Wait, in a thread that has nothing else to do, while it is off."""
        while not self.is_on:
            time.sleep(_LOOK_EVERY_S)
