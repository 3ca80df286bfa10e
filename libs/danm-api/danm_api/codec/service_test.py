"""Tests of the Service codec."""

from typing import Any

import pytest

from danm_api.codec.service import decode_port, decode_service, encode_port
from danm_api.model.service import EndpointPort, IpFamily, Service, TransportProtocol
from danm_api.names import Namespace, ServiceName, ServiceUid


def raw_service(**spec: Any) -> dict[str, Any]:  # noqa: ANN401  (JSON values)
    """Build the smallest Service that an API server could send."""
    return {"metadata": {"namespace": "vnf", "name": "lb", "uid": "s-1"}, "spec": spec}


def test_decodes_all_that_danm_reads() -> None:
    """Every field of the model comes from its place in the object (SPEC S1)."""
    raw = raw_service(
        clusterIP="None",
        selector={"app": "lb"},
        ipFamilies=["IPv6", "IPv4"],
        publishNotReadyAddresses=True,
        ports=[
            {"name": "sig", "port": 3868, "targetPort": 9999, "protocol": "SCTP"},
            {"name": "web", "port": 80, "appProtocol": "http"},
        ],
    )
    raw["metadata"] |= {
        "resourceVersion": "5",
        "annotations": {"a": "b"},
        "deletionTimestamp": "2026-01-01T00:00:00Z",
    }
    expected = Service(
        namespace=Namespace("vnf"),
        name=ServiceName("lb"),
        uid=ServiceUid("s-1"),
        resource_version="5",
        annotations={"a": "b"},
        headless=True,
        selector={"app": "lb"},
        ports=(
            EndpointPort(name="sig", port=3868, protocol=TransportProtocol.SCTP),
            EndpointPort(name="web", port=80, app_protocol="http"),
        ),
        families=(IpFamily.IPV6, IpFamily.IPV4),
        publish_not_ready=True,
        deleting=True,
    )
    assert decode_service(raw) == expected


@pytest.mark.parametrize(
    ("cluster_ip", "headless"),
    [("None", True), ("10.96.0.1", False), ("", False), (None, False)],
)
def test_only_the_word_none_makes_a_service_headless(
    cluster_ip: str | None, *, headless: bool
) -> None:
    """A Service that has no cluster IP yet, or is an alias, is not headless."""
    assert decode_service(raw_service(clusterIP=cluster_ip)).headless is headless


def test_without_families_both_count() -> None:
    """Kubernetes leaves families away in old objects; then neither is excluded."""
    assert decode_service(raw_service()).families == (IpFamily.IPV4, IpFamily.IPV6)


def test_a_port_without_name_and_protocol_is_tcp() -> None:
    """The API server writes an absent name as empty text in slices."""
    assert decode_port({"name": "", "port": 53}) == EndpointPort(port=53)


def test_a_port_survives_the_round_trip() -> None:
    """What is written is read back as it was."""
    port = EndpointPort(
        name="dns", port=53, protocol=TransportProtocol.UDP, app_protocol="kubernetes.io/x"
    )
    assert decode_port(encode_port(port)) == port
