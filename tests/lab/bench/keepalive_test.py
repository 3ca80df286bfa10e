"""Reading answers."""

import pytest

from tests.lab.bench.keepalive import parse_answer

_CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
)
_SIZED = b"HTTP/1.1 409 Conflict\r\nContent-length: 2\r\nDate: x\r\n\r\n{}"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(_SIZED, (409, b"{}"), id="with a length"),
        pytest.param(_CHUNKED, (200, b"abcde"), id="in chunks"),
    ],
)
def test_answer_is_complete_with_its_last_byte(answer: bytes, expected: tuple[int, bytes]) -> None:
    """Whatever piece arrives, an answer is there when all of it is, and not before."""
    assert [parse_answer(answer[:length]) for length in range(len(answer))] == [None] * len(answer)
    assert parse_answer(answer) == expected
