"""What the executables write is read by the standard library."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danm_api.node_json import encode_json, quote

_WRITTEN = st.recursive(
    st.text() | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(_WRITTEN)
def test_what_is_written_is_json(value: object) -> None:
    """The standard library reads it as what it was."""
    assert json.loads(encode_json(value)) == value


@given(st.text())
def test_quoted_text_is_json(text: str) -> None:
    """Whatever an error says, the output stays pure JSON."""
    assert json.loads(quote(text)) == text
    assert quote(text).isascii()


def test_other_types_are_not_written() -> None:
    """No executable prints one, so it would be a mistake."""
    with pytest.raises(TypeError, match="float"):
        encode_json({"a": 1.5})
    with pytest.raises(TypeError, match="bool"):
        encode_json([True])
