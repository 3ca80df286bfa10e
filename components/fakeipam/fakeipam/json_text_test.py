"""Reading JSON, against the standard library."""

import json
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakeipam.json_text import MAX_DEPTH, NotJsonError, decode_json

_LEAVES = st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False)
_VALUES = st.recursive(
    _LEAVES.filter(lambda value: value not in (float("inf"), float("-inf"))),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
_PIECES = ('"', "{", "}", "[", "]", ":", ",", "\\", "\\u", "d83d", "\\ude00", "e", "E", "+", "-")
_MORE_PIECES = ("0", "1", "23", ".", "true", "false", "null", " ", "\n", "\x00", "\x1f", "é", "/n")
# Texts that are nearly JSON, and quite often are.
_TEXTS = st.lists(st.sampled_from(_PIECES + _MORE_PIECES), max_size=12).map("".join)
_NUMBERS = st.text("-+.0123456789eE", min_size=1, max_size=8)


def _refused(word: str) -> NoReturn:
    raise ValueError(word)


def _standard(text: str) -> object:
    """Return what the standard library reads, and NotJsonError where it refuses.

    It takes NaN and Infinity, which RFC 8259 has not.
    """
    try:
        return json.loads(text, parse_constant=_refused)
    except ValueError:
        return NotJsonError


def _ours(text: str) -> object:
    try:
        return decode_json(text.encode())
    except NotJsonError:
        return NotJsonError


@given(_VALUES, st.booleans(), st.sampled_from([None, 2, "\t"]))
def test_what_the_standard_library_writes_is_read(
    value: object, ascii_only: bool, indent: int | str | None
) -> None:
    """Whatever value, escaped or not, in lines or not."""
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert decode_json(text.encode()) == value
    assert repr(decode_json(text.encode())) == repr(value)


@given(_TEXTS | _NUMBERS | _TEXTS.map(lambda text: f'"{text}"'))
def test_the_same_texts_are_refused(text: str) -> None:
    """What the standard library refuses is refused here, and nothing else."""
    assert repr(_ours(text)) == repr(_standard(text))


@given(st.binary(max_size=40))
def test_bytes_have_one_error(data: bytes) -> None:
    """Whatever arrives, there is a value or NotJsonError."""
    try:
        decode_json(data)
    except NotJsonError:
        return


def test_text_that_is_half_a_character_comes_back() -> None:
    """A lone surrogate is no character, and JSON can say it."""
    assert decode_json(rb'"\ud800x"') == "\ud800x"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"", "a value is missing", id="nothing"),
        pytest.param(b"\xff", "utf-8", id="not UTF-8"),
        pytest.param(b'{"a":1', "a comma or }", id="cut off"),
        pytest.param(b'{"a":1}{', "behind the value", id="two values"),
        pytest.param(b"[NaN]", "a value is missing", id="not a number"),
        pytest.param(b"9" * 10_000, "too long", id="a long number"),
        pytest.param(b"[" * 100_000, f"deeper than {MAX_DEPTH}", id="deep"),
        pytest.param(b'{"a":' * 100_000, f"deeper than {MAX_DEPTH}", id="deep objects"),
    ],
)
def test_what_is_refused_is_named(data: bytes, words: str) -> None:
    """The error says what is wrong, and where."""
    with pytest.raises(NotJsonError, match=words):
        decode_json(data)


def test_depth_is_allowed_up_to_its_limit() -> None:
    """The limit counts what is inside each other, not what is beside."""
    text = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert decode_json(text) == json.loads(text)
    assert decode_json(b"[" + b",".join([b"[]"] * 1000) + b"]") == [[]] * 1000
