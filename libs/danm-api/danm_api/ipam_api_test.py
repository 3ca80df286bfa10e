"""The messages of ipam-svc's API."""

import msgspec
import pytest

from danm_api.ipam_api import (
    AttachmentRequest,
    ContainerOwnerMessage,
    ExternalOwnerMessage,
    OwnerMessage,
    PodOwnerMessage,
    Problem,
    ReserveRequest,
    network_reservations_path,
    network_usage_path,
    node_reservations_path,
)

POD = PodOwnerMessage(namespace="a", name="p", uid="u")


@pytest.mark.parametrize(
    "owner",
    [
        pytest.param(POD, id="Pod"),
        pytest.param(ContainerOwnerMessage(namespace="a", container_id="c"), id="container"),
        pytest.param(ExternalOwnerMessage(namespace="a", name="router"), id="external"),
    ],
)
def test_each_kind_of_owner_is_told_apart(owner: OwnerMessage) -> None:
    """By its ``kind``, in camel case."""  # SPEC I3
    request = ReserveRequest(
        owner=owner, attempt=1, attachments=[AttachmentRequest(network="n", interface="eth0")]
    )
    assert msgspec.json.decode(msgspec.json.encode(request), type=ReserveRequest) == request


def test_messages_have_camel_case_keys() -> None:
    """And leave out what is as usual."""  # SPEC I2
    request = ReserveRequest(owner=POD, attempt=1, attachments=[], via_fakeipam=True)
    assert msgspec.to_builtins(request) == {
        "owner": {"kind": "Pod", "namespace": "a", "name": "p", "uid": "u"},
        "attempt": 1,
        "attachments": [],
        "viaFakeipam": True,
    }


def test_fields_of_a_later_release_are_ignored() -> None:
    """Parts of two releases understand each other."""  # DESIGN, "What every process has"
    text = b'{"type": "t", "title": "x", "status": 409, "detail": "d", "later": 1}'
    assert msgspec.json.decode(text, type=Problem).status == 409


def test_paths_are_versioned() -> None:
    """As the OpenAPI document has them."""  # SPEC I2
    base = "/apis/ipam.danm.k8s.io/v1"
    assert network_reservations_path("a", "n") == f"{base}/namespaces/a/networks/n/reservations"
    assert network_usage_path("a", "n") == f"{base}/namespaces/a/networks/n/usage"
    assert node_reservations_path("node-1") == f"{base}/nodes/node-1/reservations"
