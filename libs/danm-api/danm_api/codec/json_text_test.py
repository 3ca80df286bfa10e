"""JSON of strangers."""

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from danm_api.codec.json_text import decode_foreign


class _Named(msgspec.Struct, frozen=True, kw_only=True):
    name: str


def test_what_is_json_is_read() -> None:
    """Into whatever form is asked for."""
    assert decode_foreign(b'{"name": "a", "more": 1}', _Named) == _Named(name="a")
    assert decode_foreign("[1]", list[int]) == [1]


@pytest.mark.parametrize("kind", [Any, _Named, dict[str, Any], msgspec.Raw])
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"rubbish", id="rubbish"),
        pytest.param(b'{"name":"\xff"', id="half an object"),
        pytest.param(b"[" * 100_000, id="endless lists"),
        pytest.param(b'{"name":' * 100_000, id="endless objects"),
    ],
)
def test_what_is_none_is_one_kind_of_error(data: bytes, kind: Any) -> None:  # noqa: ANN401
    """Callers catch one exception."""
    with pytest.raises(msgspec.DecodeError):
        decode_foreign(data, kind)


@pytest.mark.parametrize("kind", [Any, _Named, dict[str, Any]])
def test_texts_that_are_no_utf_8(kind: Any) -> None:  # noqa: ANN401
    """Inside of a whole object, where it is a text that is asked for."""
    with pytest.raises(msgspec.DecodeError, match="utf-8"):
        decode_foreign(b'{"name":"\xff"}', kind)


@given(st.binary(max_size=40))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    """They are read or refused."""
    with suppress(msgspec.DecodeError):
        decode_foreign(data, dict[str, Any])
