"""Which refusals of a claim cost an interface its address."""

import pytest

from danm_api.errors import AddressTakenError, PodNotFoundError
from danm_api.ipam_api import ContainerOwnerMessage, OwnerMessage, PodOwnerMessage
from danm_cni.claims import is_final

_STATIC = "0d1f2a7f6c1b4a5d9e8f7a6b5c4d3e2f"


def _pod(uid: str) -> PodOwnerMessage:
    return PodOwnerMessage(namespace="ns", name="p", uid=uid)


@pytest.mark.parametrize(
    ("error", "owner", "final"),
    [
        pytest.param(
            PodNotFoundError("x"), _pod("0d1f2a7f-6c1b-4a5d-9e8f-7a6b5c4d3e2f"), True, id="gone"
        ),
        pytest.param(PodNotFoundError("x"), _pod(_STATIC), False, id="a static Pod's mirror"),
        pytest.param(AddressTakenError("x"), _pod(_STATIC), True, id="taken from a static Pod"),
        pytest.param(
            AddressTakenError("x"),
            ContainerOwnerMessage(namespace="ns", container_id="c"),
            True,
            id="taken from a container",
        ),
        pytest.param(
            PodNotFoundError("x"),
            ContainerOwnerMessage(namespace="ns", container_id="c"),
            False,
            id="a container was never a Pod",
        ),
    ],
)
def test_final_refusals(
    error: AddressTakenError | PodNotFoundError, owner: OwnerMessage, final: bool
) -> None:
    """A Pod that is gone, or an address that is taken; not a mirror that kubelet will create."""
    # DESIGN, P1, P3
    assert is_final(error, owner) is final
