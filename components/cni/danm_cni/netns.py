"""Doing something inside a network namespace, without forking (LIBRARIES: 0.04 ms).

Each piece of work runs in a thread of its own that enters the namespace and ends there: a thread
that could not come back would do everything after it in the wrong network.
"""

import asyncio
import ctypes
import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from danm_api.errors import LinkSetupError

T = TypeVar("T")

# include/uapi/linux/sched.h
_CLONE_NEWNET: Final = 0x40000000
# More links than this are never made at once; it bounds the threads.
_MAX_THREADS: Final = 64
# Linux gives up at the same number (ELOOP).
_MAX_LINKS: Final = 40


class NetnsGoneError(LinkSetupError):
    """The namespace does not exist any more, so nothing is left in it."""


def resolve_in_root(root: Path, path: str) -> Path:
    """Follow a path as a process with that root directory would, its absolute links included.

    ``/var/run`` is an absolute link on many hosts: below ``/proc/1/root`` the kernel itself would
    follow it in the caller's own root.
    """
    todo = [part for part in reversed(Path(path).parts) if part != "/"]
    done: list[str] = []
    links = 0
    while todo:
        part = todo.pop()
        if part == "..":
            done = done[:-1]
            continue
        candidate = root.joinpath(*done, part)
        # The namespaces below /proc/PID are links that only the kernel can follow.
        if not candidate.is_symlink() or done[:1] == ["proc"]:
            done.append(part)
            continue
        links += 1
        if links > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        target = candidate.readlink()
        if target.is_absolute():
            done = []
        todo.extend(each for each in reversed(target.parts) if each != "/")
    return root.joinpath(*done)


def open_netns(root: Path, path: str) -> int:
    """Open a network namespace by its path on the host; the caller closes it.

    Raises:
        NetnsGoneError: There is no namespace at the path.
    """
    try:
        return os.open(resolve_in_root(root, path), os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise NetnsGoneError(f"the network namespace {path} is gone: {error.strerror}") from error


def enter_netns(descriptor: int) -> None:
    """Move the calling thread into a namespace.

    Raises:
        NetnsGoneError: What was opened is no namespace: its mount is gone.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise NetnsGoneError(f"the network namespace cannot be entered: {os.strerror(number)}")


class NetnsThreads:
    """Runs blocking work in threads that may leave their network namespace."""

    def __init__(self) -> None:
        """Make the bound on threads."""
        self._slots = asyncio.Semaphore(_MAX_THREADS)

    async def run(self, work: Callable[[], T]) -> T:
        """Run ``work`` in a thread that ends afterwards.

        It is waited for even when the caller is cancelled: whoever undoes it must find it done.
        """
        async with self._slots:
            loop = asyncio.get_running_loop()
            future: asyncio.Future[T] = loop.create_future()

            def body() -> None:
                try:
                    result = work()
                except BaseException as error:  # noqa: BLE001  (it is raised where it is awaited)
                    loop.call_soon_threadsafe(_fail, future, error)
                else:
                    loop.call_soon_threadsafe(_succeed, future, result)

            threading.Thread(target=body, name="netns", daemon=True).start()
            try:
                return await asyncio.shield(future)
            except asyncio.CancelledError:
                await asyncio.wait([future])
                raise


def _fail(future: asyncio.Future[T], error: BaseException) -> None:
    future.set_exception(error)
    # The caller may be gone; then nobody else looks at it.
    future.exception()


def _succeed(future: asyncio.Future[T], result: T) -> None:
    future.set_result(result)
