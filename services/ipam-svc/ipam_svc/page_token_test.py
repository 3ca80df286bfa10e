"""Tokens of pages."""

from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipam_svc.page_token import PageToken

_POSITIONS = st.one_of(
    st.tuples(st.text(), st.text(), st.just(4), st.integers(0, 2**32 - 1)),
    st.tuples(st.text(), st.text(), st.just(6), st.integers(0, 2**128 - 1)),
)


@given(_POSITIONS, st.integers(0, 2**62))
def test_token_comes_back(position: tuple[str, str, int, int], revision: int) -> None:
    """A token says the same to whoever reads it, and needs no escaping in a URL."""
    token = PageToken(position=position, revision=revision)
    text = token.encode()
    assert PageToken.decode(text) == token
    assert text.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize(
    "text",
    [
        *("x", "10.0.0.1", "W10", "WyJuZXQiLCJ1IiwiMTAuMC4wLjEiXQ", "é", "====", "e30"),
        pytest.param(
            urlsafe_b64encode(b'["n", "u", "10.0.0.1", 4, ' + b"[" * 5000).decode(), id="endless"
        ),
        pytest.param(urlsafe_b64encode(b'["\xff"]').decode(), id="no UTF-8"),
    ],
)
def test_other_texts_are_no_tokens(text: str) -> None:
    """Whatever else is sent is told from a token."""
    with pytest.raises(ValueError, match="no token"):
        PageToken.decode(text)
