"""DANM's files on the host, beside a danmd that serves: one that cannot be written ends nobody."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from danm_api.telemetry import get_logger
from danm_cni.threads import Threads

log = get_logger(__name__)

# Files that follow from each other.
_AT_ONCE: Final = 1


class HostFiles:
    """Does what an Installation says, one after the other.

    Whoever is cancelled has waited for what was begun: the next danmd writes the same files.

    Attributes:
        missing: Why the host does not have all of them; None when it has.
    """

    def __init__(self) -> None:
        """Begin with nothing missing."""
        self.missing: str | None = None
        self._disk = Threads(limit=_AT_ONCE, name="installation")
        self._waiting: deque[Callable[[], None]] = deque()
        self._order = asyncio.Lock()

    async def put(self, work: Callable[[], None], *, needed: bool) -> None:
        """Put a part of the files onto the host, after those before it.

        Args:
            work: What to do.
            needed: Without it nobody calls danmd; otherwise ``put_missing`` tries again.

        Raises:
            OSError: It is needed, and the host does not take it.
        """
        self._waiting.append(work)
        try:
            await self._put_waiting()
        except OSError as error:
            if needed:
                raise
            self._note(error)

    async def put_missing(self) -> None:
        """Try what could not be put there."""
        try:
            await self._put_waiting()
        except OSError as error:
            self._note(error)

    async def change(self, work: Callable[[], None]) -> None:
        """Do something that changes files on the host.

        Raises:
            OSError: The host does not take it.
        """
        await self._disk.run(work)

    async def _put_waiting(self) -> None:
        async with self._order:
            while self._waiting:
                await self.change(self._waiting[0])
                self._waiting.popleft()
            self.missing = None

    def _note(self, error: OSError) -> None:
        missing = f"DANM's files on the host are those of an earlier danmd: {error}"
        if missing != self.missing:
            log.warning("Files cannot be put onto the host yet", error=str(error))
        self.missing = missing
