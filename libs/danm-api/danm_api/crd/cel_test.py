"""Expressions as the API server's language has them."""

import pytest

from danm_api.crd import cel


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("plain", "'plain'", id="plain"),
        pytest.param("it's", r"'it\'s'", id="quote"),
        pytest.param(r"a\.b", r"'a\\.b'", id="backslash"),
        pytest.param(r"\'", r"'\\\''", id="both"),
    ],
)
def test_a_text_is_quoted(value: str, expected: str) -> None:
    """Nothing in it ends it, or means something else."""
    assert cel.literal(value) == expected


def test_texts_have_an_order() -> None:
    """What is generated does not change without a reason."""
    assert cel.literals({"b", "a"}) == "['a', 'b']"
