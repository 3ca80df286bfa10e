"""How far an ADD has come, for its errors and its log line."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from danm_api.errors import DanmError


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
        self._doing: list[str] = []
        self._waits: list[str] = []
        self._failures: list[str] = []

    def enter(self, step: str) -> None:
        """Begin the next step."""
        now_s = time.monotonic()
        took_ms = round((now_s - self._began_s) * 1000)
        self._took_ms[self.step] = self._took_ms.get(self.step, 0) + took_ms
        self.step, self._began_s = step, now_s

    @contextmanager
    def doing(self, step: str) -> Iterator[None]:
        """Note a step, one of several at once perhaps; one that is cut off stays noted.

        The time in which several run is that of the one that began last.
        """
        self.enter(step)
        with _noted(step, self._doing):
            yield
        if self._doing:
            self.enter(self._doing[-1])

    @contextmanager
    def waiting(self, for_what: str) -> Iterator[None]:
        """Note what a step waits for, one thing of several perhaps; as ``doing``."""
        with _noted(for_what, self._waits):
            yield

    @contextmanager
    def one_of_several(self) -> Iterator[None]:
        """Note with what the block fails: others that run beside it may go on."""
        try:
            yield
        except DanmError as error:
            self._failures.append(error.reason)
            raise

    def turn_back(self, failure: BaseException) -> None:
        """Forget what was under way: from here on it is told for which failure all is undone."""
        for noted in (self._doing, self._waits, self._failures):
            noted.clear()
        if isinstance(failure, DanmError):
            self._failures.append(failure.reason)

    def describe(self) -> str:
        """Return what it does now, what it waits for in it, and what has failed before."""
        text = " and ".join(dict.fromkeys(self._doing)) or self.step
        if self._waits:
            text = f"{text}: {', '.join(self._waits)}"
        if self._failures:
            text = f"{text}, after this had failed: {'; '.join(dict.fromkeys(self._failures))}"
        return text

    def took_ms(self) -> dict[str, int]:
        """Return what each step has taken so far, the present one included."""
        self.enter(self.step)
        return dict(self._took_ms)


@contextmanager
def _noted(text: str, where: list[str]) -> Iterator[None]:
    """Keep a text in a list; also afterwards, if it is cut off: the time was over for it."""
    where.append(text)
    try:
        yield
    except asyncio.CancelledError:
        raise
    except BaseException:
        _drop(text, where)
        raise
    _drop(text, where)


def _drop(text: str, where: list[str]) -> None:
    # It has been forgotten already where the whole turned back.
    if text in where:
        where.remove(text)
