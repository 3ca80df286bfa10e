"""The table from errors to CNI codes."""

from collections.abc import Iterator

import pytest

from danm_api import errors
from danm_cni.cni_errors import CniCode, CniRequestError, code_of, error_object, mapped_classes


def _descendants(kind: type[errors.DanmError]) -> Iterator[type[errors.DanmError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _descendants(child)


def test_every_error_of_the_tree_is_mapped() -> None:
    """No error of danm_api.errors falls through to a code of its ancestor unnoticed."""
    tree = {kind for kind in _descendants(errors.DanmError) if kind.__module__ == errors.__name__}
    assert set() == tree - mapped_classes()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(errors.InvalidNetworkError("x"), 7, id="network"),
        pytest.param(errors.IpamUnavailableError("x"), 11, id="ipam away"),
        pytest.param(errors.ConflictError("x"), 11, id="conflict"),
        pytest.param(errors.PoolExhaustedError("x"), 101, id="full"),
        pytest.param(errors.AddressTakenError("x"), 102, id="taken"),
        pytest.param(errors.NetworkNotFoundError("x"), 103, id="no network"),
        pytest.param(errors.LinkSetupError("x"), 104, id="link"),
        pytest.param(errors.OverloadedError("x"), 11, id="overloaded"),
        pytest.param(errors.DelegateError("x", code=999), 999, id="a delegate's own code"),
        pytest.param(
            CniRequestError("x", code=CniCode.INCOMPATIBLE_VERSION), 1, id="the request's own"
        ),
        pytest.param(
            errors.SeveralErrors([errors.ConflictError("a"), errors.LinkSetupError("b")]),
            104,
            id="what lasts decides",
        ),
        pytest.param(
            errors.SeveralErrors([errors.ConflictError("a"), errors.OverloadedError("b")]),
            11,
            id="all transient",
        ),
    ],
)
def test_codes(error: errors.DanmError, code: int) -> None:
    """Each error has the code that docs/specification.md C2 and the CNI specification name."""
    assert code == code_of(error)
    assert error.reason == error_object(error).message
