"""DanmEps as plans and journal records tell of them."""

from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)

from danm_api.codec.pod import decode_pod
from danm_api.model.addresses import IPv4Route, IPv6Route
from danm_api.names import NodeName
from danm_cni.endpoints import recorded_endpoint
from danm_cni.journal import (
    InterfaceKind,
    InterfaceRecord,
    RouteRecord,
    SandboxRecord,
    SandboxState,
)


def test_a_record_tells_its_danmep() -> None:
    """Addresses and policy routes of both families, and none of the main table's routes."""
    interface = InterfaceRecord(
        interface="ext0",
        kind=InterfaceKind.OWN,
        network="external",
        network_type="ipvlan",
        endpoint="ep-1",
        ip="10.0.0.5/24",
        ip6="2001:db8::5/64",
        mac="02:00:00:00:00:01",
        routes=(
            RouteRecord(destination="192.0.2.0/24", gateway="10.0.0.1"),
            RouteRecord(destination="203.0.113.0/24", gateway="10.0.0.2", table=7),
            RouteRecord(destination="2001:db8:1::/48", gateway="2001:db8::1", table=7),
        ),
    )
    record = SandboxRecord(
        container_id="c1",
        namespace="ns",
        pod="p",
        pod_uid="u",
        netns="/var/run/netns/x",
        state=SandboxState.ADDED,
        interfaces=(interface,),
    )
    pod = decode_pod(
        {"metadata": {"namespace": "ns", "name": "p", "uid": "u", "labels": {"app": "x"}}}
    )
    endpoint = recorded_endpoint(record, interface, pod=pod, node=NodeName("n1"))
    assert (endpoint.name, endpoint.network, endpoint.network_type) == (
        "ep-1",
        "external",
        "ipvlan",
    )
    assert endpoint.pod_labels == {"app": "x"}
    found = endpoint.interface
    assert found.address == IPv4Interface("10.0.0.5/24")
    assert found.address_ipv6 == IPv6Interface("2001:db8::5/64")
    assert found.mac_address == "02:00:00:00:00:01"
    first = IPv4Route(destination=IPv4Network("203.0.113.0/24"), gateway=IPv4Address("10.0.0.2"))
    second = IPv6Route(
        destination=IPv6Network("2001:db8:1::/48"), gateway=IPv6Address("2001:db8::1")
    )
    assert found.policy_routes == (first,)
    assert found.policy_routes6 == (second,)
