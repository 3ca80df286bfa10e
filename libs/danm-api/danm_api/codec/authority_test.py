"""The Secret of the authorities and the ConfigMap of the trust."""

import pytest

from danm_api.codec.authority import (
    decode_authorities,
    decode_trust,
    encode_authorities,
    encode_trust,
)
from danm_api.errors import InvalidObjectError
from danm_api.model.authority import Authorities, Authority


@pytest.mark.parametrize(
    "authorities",
    [
        pytest.param(Authorities(current=Authority(certificate="c", key="k")), id="one"),
        pytest.param(
            Authorities(
                current=Authority(certificate="c", key="k"),
                next=Authority(certificate="n", key="m"),
                previous="p",
            ),
            id="three",
        ),
    ],
)
def test_authorities_come_back(authorities: Authorities) -> None:
    """What is written is read again."""
    assert authorities == decode_authorities(encode_authorities(authorities, namespace="s"))


def test_trust_has_all_certificates_and_no_key() -> None:
    """Clients trust the next and the previous authority too."""
    authorities = Authorities(
        current=Authority(certificate="c\n", key="k"),
        next=Authority(certificate="n\n", key="m"),
        previous="p\n",
    )
    assert authorities.trust == "c\nn\np\n"
    assert authorities.trust == decode_trust(encode_trust(authorities.trust, namespace="s"))
    assert "m" not in repr(authorities.next)


@pytest.mark.parametrize("data", [None, {}, {"tls.crt": "!", "tls.key": "!"}, {"tls.crt": 1}])
def test_unreadable_secret_says_what_to_do(data: object) -> None:
    """A Secret without an authority is refused with the way out."""
    with pytest.raises(InvalidObjectError, match="delete it"):
        decode_authorities({"data": data})
