"""How far an ADD has come, for its errors and its log line."""

import time


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

    def enter(self, step: str) -> None:
        """Begin the next step."""
        now_s = time.monotonic()
        took_ms = round((now_s - self._began_s) * 1000)
        self._took_ms[self.step] = self._took_ms.get(self.step, 0) + took_ms
        self.step, self._began_s = step, now_s

    def took_ms(self) -> dict[str, int]:
        """Return what each step has taken so far, the present one included."""
        self.enter(self.step)
        return dict(self._took_ms)
