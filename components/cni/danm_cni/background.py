"""Work that goes on although nobody waits for it."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from danm_api.errors import DanmError
from danm_api.telemetry import get_logger

_log = get_logger(__name__)


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

    async def end(self) -> None:
        """Wait for what runs, and for what that starts."""
        while self._tasks:
            await asyncio.wait(self._tasks)


def _tell(task: "asyncio.Task[None]") -> None:
    if task.cancelled():
        return
    error = task.exception()
    if isinstance(error, DanmError):
        _log.warning("Clean-up will be tried again", error=error.reason)
    elif error is not None:
        _log.exception("Clean-up failed", error=error)
