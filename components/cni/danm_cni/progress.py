"""How far an ADD has come, for its errors and its log line."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from danm_api.errors import DanmError

# Of the tasks that make one part of several.
_part: ContextVar[object] = ContextVar("part", default=None)


@dataclass(frozen=True, slots=True, eq=False)
class _Note:
    """What is under way, and for which part."""

    text: str
    part: object


class Progress:
    """How far an ADD has come, and what its steps took.

    Attributes:
        step: The one that began last, of those that are under way.
        deadline_s: When its time is over.
    """

    def __init__(self, step: str, *, deadline_s: float) -> None:
        """Begin with a step."""
        self.step = step
        self.deadline_s = deadline_s
        self._began_s = time.monotonic()
        self._took_s: dict[str, float] = {}
        self._doing: list[_Note] = []
        self._waits: list[_Note] = []
        self._failures: list[str] = []

    def enter(self, step: str) -> None:
        """Begin the next step."""
        now_s = time.monotonic()
        self._took_s[self.step] = self._took_s.get(self.step, 0.0) + now_s - self._began_s
        self.step, self._began_s = step, now_s

    @contextmanager
    def doing(self, step: str) -> Iterator[None]:
        """Note a step, one of several at once perhaps; one that is cut off stays noted.

        The time in which several run is that of the one that began last.
        """
        self.enter(step)
        try:
            with _noted(step, self._doing):
                yield
        finally:
            if self._doing:
                self.enter(self._doing[-1].text)

    @contextmanager
    def waiting(self, for_what: str) -> Iterator[None]:
        """Note what a step waits for, one thing of several perhaps; as ``doing``."""
        with _noted(for_what, self._waits):
            yield

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Note with what the block fails: what runs beside it may go on until the time is over."""
        try:
            yield
        except (DanmError, OSError) as error:
            self._failures.append(reason_of(error))
            raise

    @contextmanager
    def part(self) -> Iterator[None]:
        """Make one part of several, in this task and others that the block starts.

        What of it is cut off since another piece of it has failed is not what the time is over for.
        """
        mine = object()
        token = _part.set(mine)
        try:
            yield
        except asyncio.CancelledError:
            raise
        except BaseException:
            for notes in (self._doing, self._waits):
                notes[:] = [note for note in notes if note.part is not mine]
            raise
        finally:
            _part.reset(token)

    def turn_back(self, reason: str) -> None:
        """Forget what was under way: from here on it is told why all of it is undone."""
        self._doing.clear()
        self._waits.clear()
        self._failures[:] = [reason]

    def describe(self) -> str:
        """Return what it does now, what it waits for in it, and what has failed before."""
        text = " and ".join(_texts(self._doing)) or self.step
        if self._waits:
            text = f"{text}: {', '.join(_texts(self._waits))}"
        if self._failures:
            text = f"{text}, after this had failed: {'; '.join(dict.fromkeys(self._failures))}"
        return text

    def took_ms(self) -> dict[str, int]:
        """Return what each step has taken so far, the present one included."""
        self.enter(self.step)
        return {step: round(took_s * 1000) for step, took_s in self._took_s.items()}


def reason_of(error: BaseException) -> str:
    """Return what is wrong, as far as it says."""
    return error.reason if isinstance(error, DanmError) else str(error) or type(error).__name__


def _texts(notes: list[_Note]) -> dict[str, None]:
    return dict.fromkeys(note.text for note in notes)


@contextmanager
def _noted(text: str, notes: list[_Note]) -> Iterator[None]:
    """Keep a text in a list; also afterwards, if it is cut off: the time was over for it."""
    note = _Note(text, _part.get())
    notes.append(note)
    try:
        yield
    except asyncio.CancelledError:
        raise
    except BaseException:
        _drop(note, notes)
        raise
    _drop(note, notes)


def _drop(note: _Note, notes: list[_Note]) -> None:
    # It has been forgotten already where the whole turned back.
    if note in notes:
        notes.remove(note)
