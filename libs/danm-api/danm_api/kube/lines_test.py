"""Lines out of pieces."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danm_api.kube.lines import LineTooLongError, split_lines


async def stream(pieces: list[bytes]) -> AsyncIterator[bytes]:
    """Yield the pieces."""
    for piece in pieces:
        yield piece


async def collect(pieces: list[bytes]) -> list[bytes]:
    """Return the lines of the pieces."""
    return [line async for line in split_lines(stream(pieces))]


@given(
    st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b""))),
    st.lists(st.integers(min_value=1, max_value=7), min_size=1),
)
async def test_lines_survive_any_cutting(lines: list[bytes], lengths: list[int]) -> None:
    """However the stream is cut into pieces, the lines come out, and no unfinished one."""
    data = b"".join(line + b"\n" for line in lines) + b"unfinished"
    pieces: list[bytes] = []
    position = 0
    while position < len(data):
        length = lengths[len(pieces) % len(lengths)]
        pieces.append(data[position : position + length])
        position += length
    assert await collect(pieces) == lines


async def test_endless_lines_are_refused() -> None:
    """A peer cannot fill the memory with a line that does not end."""
    with pytest.raises(LineTooLongError):
        await collect([b"x" * 1_000_000] * 20)
