"""Lines out of a stream of pieces, for watches. Pure."""

from collections.abc import AsyncIterator
from typing import Final

# etcd refuses requests of more than 1.5 MB; JSON may need more than what etcd stores.
_MAX_LINE_LENGTH: Final = 16 * 1024 * 1024


class LineTooLongError(Exception):
    """The peer sends something else than objects, one a line."""


async def split_lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    r"""Yield the lines of a stream without their ``\n``; an unfinished last one is dropped.

    Whoever resumes the watch gets a dropped event again.

    Raises:
        LineTooLongError: A line is longer than any object can be.
    """
    # Pieces of the line that is being received: joined once, so that a long line stays linear.
    pending: list[bytes] = []
    pending_length = 0
    async for piece in pieces:
        *complete, rest = piece.split(b"\n")
        for line in complete:
            yield b"".join((*pending, line))
            pending.clear()
            pending_length = 0
        if rest:
            pending.append(rest)
            pending_length += len(rest)
        if pending_length > _MAX_LINE_LENGTH:
            raise LineTooLongError(f"a line of more than {_MAX_LINE_LENGTH} bytes")
