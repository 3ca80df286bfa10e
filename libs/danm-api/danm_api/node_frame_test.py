"""The frames between the executables and the node daemon."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danm_api.node_frame import (
    ANSWER_HEAD_BYTES,
    MAX_ENVIRONMENT_BYTES,
    PROGRAM_DANM,
    PROGRAM_FAKEIPAM,
    FrameError,
    decode_answer_head,
    decode_request,
    encode_answer,
    encode_request,
    is_container_id,
)


@given(
    program=st.sampled_from([PROGRAM_DANM, PROGRAM_FAKEIPAM]),
    deadline_ns=st.integers(min_value=0, max_value=2**64 - 1),
    environment=st.binary(max_size=200),
    stdin=st.binary(max_size=200),
)
def test_a_request_comes_back_as_it_was(
    program: int, deadline_ns: int, environment: bytes, stdin: bytes
) -> None:
    """Whatever goes into a request comes out of it."""
    frame = encode_request(
        program=program, deadline_ns=deadline_ns, environment=environment, stdin=stdin
    )
    assert decode_request(frame) == (program, deadline_ns, environment, stdin)


@given(st.binary(max_size=300))
def test_an_answer_comes_back_as_it_was(stdout: bytes) -> None:
    """The head of an answer says how much follows."""
    frame = encode_answer(status=1, stdout=stdout)
    assert decode_answer_head(frame[:ANSWER_HEAD_BYTES]) == (1, len(stdout))
    assert frame[ANSWER_HEAD_BYTES:] == stdout


_WHOLE = encode_request(program=PROGRAM_DANM, deadline_ns=5, environment=b"A=1", stdin=b"{}")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", id="another protocol"),
        pytest.param(_WHOLE[:-1], id="cut off"),
        pytest.param(_WHOLE + b"x", id="followed by something"),
        pytest.param(_WHOLE[:8] + b"\x07" + _WHOLE[9:], id="unknown program"),
        pytest.param(_WHOLE[:17] + b"\xff\xff\xff\xff" + _WHOLE[21:], id="absurd length"),
    ],
)
def test_garbage_is_refused(data: bytes) -> None:
    """Bytes that are not exactly one request are never taken for one."""
    with pytest.raises(FrameError):
        decode_request(data)


@given(st.binary(max_size=40))
def test_random_bytes_are_refused_and_nothing_else(data: bytes) -> None:
    """A decoder has one error of its own, whatever arrives."""
    with pytest.raises(FrameError):
        decode_request(data)


def test_limits_hold_when_sending() -> None:
    """An environment that no daemon would read is not sent."""
    with pytest.raises(FrameError):
        encode_request(
            program=PROGRAM_DANM,
            deadline_ns=0,
            environment=b"x" * (MAX_ENVIRONMENT_BYTES + 1),
            stdin=b"",
        )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("0123456789abcdef" * 4, True, id="a runtime's id"),
        pytest.param("a_b.c-d", True, id="all characters"),
        pytest.param("", False, id="empty"),
        pytest.param("a" * 200, True, id="as long as may be"),
        pytest.param("../etc/passwd", False, id="path"),
        pytest.param(".hidden", False, id="leading dot"),
        pytest.param("a/b", False, id="separator"),
        pytest.param("a" * 201, False, id="too long"),
        pytest.param("ä", False, id="not ASCII"),
        pytest.param("\u0660", False, id="another script's digit"),
        pytest.param("a\n", False, id="a line's end"),
    ],
)
def test_container_ids_are_plain_names(text: str, expected: bool) -> None:
    """An id that names a file can name no other file."""
    assert is_container_id(text) is expected
