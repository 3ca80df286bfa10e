"""Tests of the Endpoints codec."""

from ipaddress import ip_address

from danm_api.codec.endpoints import decode_endpoints, encode_endpoints
from danm_api.model.endpoint_slice import (
    Endpoints,
    EndpointsAddress,
    EndpointsSubset,
    PodReference,
)
from danm_api.model.service import EndpointPort
from danm_api.names import Namespace, NodeName, PodName, PodUid, ServiceName, ServiceUid

ENDPOINTS = Endpoints(
    namespace=Namespace("vnf"),
    name=ServiceName("lb"),
    owner=ServiceUid("s-1"),
    managed_by="svcwatcher",
    headless=True,
    subsets=(
        EndpointsSubset(
            ready=(
                EndpointsAddress(
                    address=ip_address("10.1.0.2"),
                    hostname="lb-0",
                    node=NodeName("n1"),
                    pod=PodReference(name=PodName("lb-0"), uid=PodUid("u-1")),
                ),
                EndpointsAddress(address=ip_address("10.1.0.10")),
            ),
            not_ready=(EndpointsAddress(address=ip_address("10.1.0.1")),),
            ports=(EndpointPort(name="a", port=2), EndpointPort(name="b", port=1)),
        ),
    ),
    truncated=True,
    resource_version="4",
)


def test_survives_the_round_trip() -> None:
    """What is written is read back as it was."""
    assert decode_endpoints(encode_endpoints(ENDPOINTS)) == ENDPOINTS


def test_the_order_of_the_api_server_means_nothing() -> None:
    """The API server sorts addresses and ports by keys of its own; that is no difference."""
    raw = encode_endpoints(ENDPOINTS)
    raw["subsets"][0]["addresses"].reverse()
    raw["subsets"][0]["ports"].reverse()
    assert decode_endpoints(raw) == ENDPOINTS


def test_kubernetes_is_told_not_to_mirror_it() -> None:
    """Without the label, slices of Kubernetes' mirroring would stand beside ours (SPEC S2)."""
    labels = encode_endpoints(ENDPOINTS)["metadata"]["labels"]
    assert labels == {
        "endpointslice.kubernetes.io/skip-mirror": "true",
        "danm.k8s.io/managed-by": "svcwatcher",
        "service.kubernetes.io/headless": "",
    }


def test_an_object_that_kubernetes_took_over_is_nobodys_of_ours() -> None:
    """Kubernetes replaces the labels of what it takes over."""
    raw = encode_endpoints(ENDPOINTS)
    raw["metadata"]["labels"] = {"app": "lb"}
    endpoints = decode_endpoints(raw)
    assert (endpoints.managed_by, endpoints.skip_mirror) == (None, False)


def test_cut_objects_say_so() -> None:
    """The annotation is the one of Kubernetes' own controller."""
    annotations = encode_endpoints(ENDPOINTS)["metadata"]["annotations"]
    assert annotations == {"endpoints.kubernetes.io/over-capacity": "truncated"}
