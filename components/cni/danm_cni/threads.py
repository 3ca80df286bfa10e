"""Blocking work in threads of its own, which may leave their namespaces: each ends afterwards.

A thread that could not come back would do everything after it in the wrong place.
"""

import asyncio
import ctypes
import os
import threading
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

# include/uapi/linux/sched.h
CLONE_FS: Final = 0x00000200
CLONE_NEWNS: Final = 0x00020000
CLONE_NEWNET: Final = 0x40000000

# Opening it takes a tenth of a millisecond, which each plugin and each interface would pay.
_libc: Final = ctypes.CDLL(None, use_errno=True)


def enter_namespace(descriptor: int, kind: int) -> None:
    """Move the calling thread into a namespace.

    Raises:
        OSError: It is no namespace of that kind, or the kernel does not allow it.
    """
    # A thread shares its root directory with all others until it says otherwise.
    if kind == CLONE_NEWNS and _libc.unshare(CLONE_FS) != 0:
        raise _error()
    if _libc.setns(descriptor, kind) != 0:
        raise _error()


def _error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))


def in_background(work: Callable[[], None], *, name: str) -> None:
    """Begin short work whose end nobody needs to see, in a thread of its own."""
    threading.Thread(target=work, name=name, daemon=True).start()


class Threads:
    """Runs a bounded number of pieces of work at once."""

    def __init__(self, *, limit: int, name: str) -> None:
        """Set the bound, and the threads' name."""
        self._slots = asyncio.Semaphore(limit)
        self._name = name

    async def run(
        self,
        work: Callable[[], T],
        *,
        cancel: Callable[[], None] = lambda: None,
        then: Callable[[], None] = lambda: None,
    ) -> T:
        """Run ``work`` in a thread.

        It is waited for even when the caller is cancelled: whoever undoes it must find it done.

        Args:
            work: What to do.
            cancel: Called when the caller is cancelled; makes ``work`` end early.
            then: Called when ``work`` has succeeded, even when nobody waits for it any more; not
                when the loop has been closed meanwhile.
        """
        async with self._slots:
            loop = asyncio.get_running_loop()
            future: asyncio.Future[T] = loop.create_future()
            # The first of its callbacks: whoever waits goes on after it.
            future.add_done_callback(lambda done: None if done.exception() else then())

            def body() -> None:
                try:
                    result = work()
                except BaseException as error:  # noqa: BLE001  (it is raised where it is awaited)
                    _hand_back(loop, _fail, future, error)
                else:
                    _hand_back(loop, future.set_result, result)

            threading.Thread(target=body, name=self._name, daemon=True).start()
            try:
                return await asyncio.shield(future)
            except asyncio.CancelledError:
                cancel()
                await asyncio.wait([future])
                raise


def _hand_back(
    loop: asyncio.AbstractEventLoop, callback: Callable[..., None], *arguments: object
) -> None:
    try:
        loop.call_soon_threadsafe(callback, *arguments)
    except RuntimeError:
        # A daemon that ends does not wait for what is stuck in the kernel: nobody is left to hear.
        if not loop.is_closed():
            raise


def _fail(future: "asyncio.Future[T]", error: BaseException) -> None:
    future.set_exception(error)
    # The caller may be gone; then nobody else looks at it.
    future.exception()
