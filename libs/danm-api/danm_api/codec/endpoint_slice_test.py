"""Tests of the EndpointSlice codec."""

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from danm_api.codec.endpoint_slice import (
    decode_endpoint_slice,
    encode_endpoint_slice,
    manager_of_slice,
    service_of_slice,
)
from danm_api.model.endpoint_slice import Endpoint, EndpointSlice, PodReference
from danm_api.model.service import EndpointPort, IpFamily
from danm_api.names import Namespace, NodeName, PodName, PodUid, ServiceName, ServiceUid

SLICE = EndpointSlice(
    namespace=Namespace("vnf"),
    name="lb-x",
    service=ServiceName("lb"),
    owner=ServiceUid("s-1"),
    managed_by="svcwatcher.danm.k8s.io",
    headless=True,
    family=IpFamily.IPV4,
    endpoints=(
        Endpoint(
            address=ip_address("10.1.0.1"),
            ready=False,
            serving=True,
            terminating=True,
            hostname="lb-0",
            node=NodeName("n1"),
            pod=PodReference(name=PodName("lb-0"), uid=PodUid("u-1")),
        ),
    ),
    ports=(EndpointPort(name="sig", port=3868),),
    resource_version="9",
)


def test_survives_the_round_trip() -> None:
    """What is written is read back as it was."""
    assert decode_endpoint_slice(encode_endpoint_slice(SLICE)) == SLICE


def test_writes_what_consumers_look_for() -> None:
    """The labels and the reference that kube-proxy, CoreDNS and the collector go by (SPEC S2)."""
    raw = encode_endpoint_slice(replace(SLICE, endpoints=(), ports=(), resource_version=""))
    assert raw == {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": "vnf",
            "name": "lb-x",
            "labels": {
                "kubernetes.io/service-name": "lb",
                "endpointslice.kubernetes.io/managed-by": "svcwatcher.danm.k8s.io",
                "service.kubernetes.io/headless": "",
            },
            "ownerReferences": [
                {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "name": "lb",
                    "uid": "s-1",
                    "controller": True,
                }
            ],
        },
        "addressType": "IPv4",
        "endpoints": [],
        "ports": [],
    }


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        pytest.param({}, (True, True, False), id="nothing-said"),
        pytest.param({"ready": False}, (False, False, False), id="serving-follows-ready"),
        pytest.param(
            {"ready": False, "serving": True, "terminating": True},
            (False, True, True),
            id="drains",
        ),
    ],
)
def test_conditions_that_are_not_said(
    conditions: dict[str, bool], expected: tuple[bool, bool, bool]
) -> None:
    """The API says what an absent condition means."""
    raw: dict[str, Any] = encode_endpoint_slice(SLICE)
    raw["endpoints"][0]["conditions"] = conditions
    (endpoint,) = decode_endpoint_slice(raw).endpoints
    assert (endpoint.ready, endpoint.serving, endpoint.terminating) == expected


def test_what_is_no_pod_has_no_pod_reference() -> None:
    """Slices of other controllers refer to Nodes, or to nothing."""
    raw = encode_endpoint_slice(SLICE)
    raw["endpoints"][0]["targetRef"] = {"kind": "Node", "name": "n1"}
    raw["metadata"].pop("ownerReferences")
    slice_ = decode_endpoint_slice(raw)
    assert (slice_.endpoints[0].pod, slice_.owner) == (None, None)


def test_names_instead_of_addresses_are_refused() -> None:
    """A slice of type FQDN holds nothing that DANM could use."""
    raw = encode_endpoint_slice(SLICE) | {"addressType": "FQDN"}
    with pytest.raises(ValueError, match="FQDN"):
        decode_endpoint_slice(raw)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param(encode_endpoint_slice(SLICE)["metadata"]["labels"], True, id="labelled"),
        pytest.param(None, False, id="bare"),
    ],
)
def test_labels_tell_service_and_manager_of_any_slice(
    labels: dict[str, str] | None, *, expected: bool
) -> None:
    """What is in the slice does not count, so slices that DANM could not read are told apart."""
    raw = {"metadata": {"name": "x", "labels": labels}, "addressType": "FQDN"}
    told = (service_of_slice(raw), manager_of_slice(raw))
    assert told == (("lb", "svcwatcher.danm.k8s.io") if expected else ("", ""))
