"""Reads lists page by page, and begins anew where the API server forgot them meanwhile."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from danm_api.errors import DanmError
from danm_api.kube.api_errors import is_too_old

T = TypeVar("T")

# The server keeps what a list began with for minutes: who needs longer twice needs longer always.
_TRIES: Final = 3


async def begin_anew(read: Callable[[], Awaitable[T]]) -> T:
    """Return what a reading of all pages of a list finds, whole.

    Args:
        read: Reads them from the first one on, and keeps nothing of what it has read before.

    Raises:
        ApiError: With status 410 when the server forgot the list each time.
        DanmError: The reading's own.
    """
    for _ in range(_TRIES - 1):
        try:
            return await read()
        except DanmError as error:
            if not is_too_old(error):
                raise
    return await read()
