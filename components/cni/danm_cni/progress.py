"""How far an ADD has come, for its errors and its log line."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Progress:
    """How far an ADD has come, and what its steps took.

    Attributes:
        step: What it does now: what an error says when its time is over.
        deadline_s: When its time is over.
    """

    def __init__(self, step: str, *, deadline_s: float) -> None:
        """Begin with a step."""
        self.step = step
        self.deadline_s = deadline_s
        self._began_s = time.monotonic()
        self._took_ms: dict[str, int] = {}
        self._waits: list[str] = []

    def enter(self, step: str) -> None:
        """Begin the next step."""
        now_s = time.monotonic()
        took_ms = round((now_s - self._began_s) * 1000)
        self._took_ms[self.step] = self._took_ms.get(self.step, 0) + took_ms
        self.step, self._began_s = step, now_s

    @contextmanager
    def waiting(self, for_what: str) -> Iterator[None]:
        """Note what the step waits for, one thing of several perhaps.

        A wait that is cut off stays noted: it is what the time was over for.
        """
        self._waits.append(for_what)
        try:
            yield
        except asyncio.CancelledError:
            raise
        except BaseException:
            self._waits.remove(for_what)
            raise
        self._waits.remove(for_what)

    def describe(self) -> str:
        """Return what it does now, and what it waits for in it."""
        return f"{self.step}: {', '.join(self._waits)}" if self._waits else self.step

    def took_ms(self) -> dict[str, int]:
        """Return what each step has taken so far, the present one included."""
        self.enter(self.step)
        return dict(self._took_ms)
