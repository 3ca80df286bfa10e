"""Failures that a test plans for the world outside of danmd."""

import asyncio
from collections import Counter, defaultdict

from danm_api.errors import DanmError


class Failures:
    """Errors that the next calls of a name raise, and calls that hang.

    Attributes:
        hanging: How many calls of a name hang now.
    """

    def __init__(self) -> None:
        """Plan nothing."""
        self.hanging: Counter[str] = Counter()
        self._errors: dict[str, list[DanmError]] = defaultdict(list)
        self._hanging: set[str] = set()
        self._ends: dict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def fail(self, name: str, error: DanmError, *, times: int = 1) -> None:
        """Let the next calls fail."""
        self._errors[name] += [error] * times

    def hang(self, name: str) -> None:
        """Let all calls hang until they are cancelled, or ``end`` is called."""
        self._hanging.add(name)
        self._ends[name].clear()

    def heal(self) -> None:
        """Forget all plans."""
        self._errors.clear()
        self._hanging.clear()

    def end(self, name: str, error: DanmError) -> None:
        """Let the calls that hang fail."""
        self._hanging.discard(name)
        self._errors[name] += [error] * self.hanging[name]
        self._ends[name].set()

    async def meet(self, name: str) -> None:
        """Do what is planned for a call."""
        if name in self._hanging:
            self.hanging[name] += 1
            try:
                await self._ends[name].wait()
            finally:
                self.hanging[name] -= 1
        if self._errors[name]:
            raise self._errors[name].pop(0)
