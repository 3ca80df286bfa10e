"""Who is the node's danmd: one at a time, and each waits for the end of the one before it."""

import asyncio
import errno
import fcntl
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from danm_api.telemetry import get_logger

log = get_logger(__name__)

# So long, about, nobody serves while one danmd follows another.
_POLL_S: Final = 0.05


@asynccontextmanager
async def node_lock(
    path: Path,
    stop: asyncio.Event,
    *,
    meanwhile: Callable[[], Coroutine[Any, Any, None]] | None = None,
) -> AsyncIterator[bool]:
    """Be the only danmd of the node (DESIGN, "Nodes fence"); wait until another one has ended.

    It gives False when ``stop`` was set before that.

    Args:
        path: Of the lock.
        stop: Ends the wait.
        meanwhile: What to do while there is another one; cancelled when there is none any more.
            What it raises ends the wait.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as opened:
        # Who takes DANM off the node removes the file, beside a danmd that runs, and leaves the
        # directory; and one of an earlier release knows the file alone.
        descriptors = []
        for each, flags in ((path, os.O_RDWR | os.O_CREAT), (path.parent, os.O_DIRECTORY)):
            descriptor = os.open(each, flags | os.O_CLOEXEC, 0o600)
            opened.callback(os.close, descriptor)
            descriptors.append(descriptor)
        if not _try_locks(descriptors):
            log.info("Another danmd runs on this node; its end is waited for", lock=str(path))
            async with asyncio.TaskGroup() as tasks:
                doing = tasks.create_task(meanwhile()) if meanwhile else None
                while not stop.is_set() and not _try_locks(descriptors):
                    with suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), _POLL_S)
                if doing is not None:
                    doing.cancel()
            log.info("No other danmd runs on this node any more", stopped=stop.is_set())
        yield not stop.is_set()


def _try_locks(descriptors: Sequence[int]) -> bool:
    return all(_try_lock(each) for each in descriptors)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno == errno.EWOULDBLOCK:
            return False
        raise
    return True
