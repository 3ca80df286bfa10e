"""Work that goes on although nobody waits for it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from danm_api.errors import DanmError
from danm_api.telemetry import get_logger

_log = get_logger(__name__)

# Of the last work when the process ends: the danmd that follows cannot begin before that, and it
# finishes what the journal says is not finished.
_END_S: Final = 3.0
# A kernel's answer that is on its way is taken before the work that asked is given up.
_CANCEL_S: Final = 1.0


class Background:
    """The tasks of one owner that run to their end even if nobody waits for them."""

    def __init__(self) -> None:
        """Begin with none."""
        self._tasks: set[asyncio.Task[Any]] = set()

    def keep(self, task: "asyncio.Task[Any]") -> None:
        """Hold a task whose failure somebody else tells, until its end."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Future[None]":
        """Run something to its end; failures are told in the log."""
        task = asyncio.create_task(work)
        self.keep(task)
        task.add_done_callback(_tell)
        return task

    def cancel(self) -> None:
        """Cancel what runs, as the end of the process does."""
        for task in tuple(self._tasks):
            task.cancel()

    async def end(self, *, within_s: float = _END_S) -> None:
        """Wait for what runs, and for what that starts; cancel what has not ended in time."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + within_s
        while self._tasks and loop.time() < until_s:
            await asyncio.wait(self._tasks, timeout=until_s - loop.time())
        if not self._tasks:
            return
        _log.warning("Left to the next start", tasks=len(self._tasks), waited_s=within_s)
        while self._tasks:
            self.cancel()
            await asyncio.wait(self._tasks, timeout=_CANCEL_S)


def _tell(task: "asyncio.Task[None]") -> None:
    if task.cancelled():
        return
    error = task.exception()
    if isinstance(error, DanmError):
        _log.warning("Clean-up will be tried again", error=error.reason)
    elif error is not None:
        _log.exception("Clean-up failed", error=error)
