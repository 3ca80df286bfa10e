"""Tells on screen what goes on: a live line on a terminal, plain lines elsewhere."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console

# Somebody who watches a log should never wonder for longer than this whether anything happens.
HEARTBEAT_S: Final = 30.0


class Progress:
    """One line for each step: what began, how long it took. Safe to use from several threads."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, highlight=False, quiet=quiet, soft_wrap=True)

    def say(self, text: str) -> None:
        """Print one line."""
        self._console.print(text, markup=False)

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Announce a step, say every 30 s that it still goes on, and how long it took.

        A step that fails says so and lets the exception pass.
        """
        started = time.monotonic()
        done = threading.Event()
        self.say(f"  … {text}")
        heartbeat = threading.Thread(
            target=self._beat, args=(text, started, done), name="progress", daemon=True
        )
        heartbeat.start()
        try:
            yield
        except BaseException:
            self.say(f"  ✗ {text} (failed after {time.monotonic() - started:.1f} s)")
            raise
        else:
            self.say(f"  ✓ {text} ({time.monotonic() - started:.1f} s)")
        finally:
            done.set()
            heartbeat.join()

    def _beat(self, text: str, started: float, done: threading.Event) -> None:
        while not done.wait(HEARTBEAT_S):
            self.say(f"  … {text}: {time.monotonic() - started:.0f} s so far")
