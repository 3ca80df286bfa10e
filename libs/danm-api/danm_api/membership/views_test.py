"""Tests of what is kept of Pods and interfaces."""

from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Interface, ip_address

from danm_api.membership.views import (
    InterfaceView,
    PodView,
    id_of,
    owner_of,
    view_of_interface,
    view_of_pod,
)
from danm_api.model.danmep import DanmEp, EndpointInterface
from danm_api.model.pod import Pod, PodPhase
from danm_api.names import (
    ContainerId,
    InterfaceName,
    Namespace,
    NetworkName,
    NodeName,
    PodName,
    PodUid,
)

POD = Pod(
    namespace=Namespace("vnf"),
    name=PodName("lb-0"),
    uid=PodUid("u"),
    resource_version="1",
    labels={"app": "lb"},
    node=NodeName("n1"),
    phase=PodPhase.RUNNING,
    ready=True,
    deleting=True,
    hostname="lb-0",
    subdomain="lb",
)

ENDPOINT = DanmEp(
    namespace=Namespace("vnf"),
    name="ep-1",
    network=NetworkName("internal"),
    network_type="ipvlan",
    endpoint_id="e",
    interface=EndpointInterface(
        name=InterfaceName("int"),
        address=IPv4Interface("10.0.0.1/24"),
        address_ipv6=IPv6Interface("fd00::1/64"),
    ),
    node=NodeName("n1"),
    pod=PodName("lb-0"),
    pod_uid=PodUid("u"),
    container_id=ContainerId("c"),
    netns="/run/netns/x",
)


def test_a_pods_view_holds_what_endpoints_are_made_of() -> None:
    """Name, uids, labels, node, conditions and DNS names."""
    # SPEC S1, S2
    expected = PodView(
        namespace=Namespace("vnf"),
        name=PodName("lb-0"),
        uid=PodUid("u"),
        runtime_uid=PodUid("u"),
        labels={"app": "lb"},
        node=NodeName("n1"),
        ready=True,
        terminating=True,
        ended=False,
        hostname="lb-0",
        subdomain="lb",
    )
    assert view_of_pod(POD) == expected


def test_a_heartbeat_leaves_the_view_as_it_was() -> None:
    """A new version, or an annotation, changes no endpoint."""
    # DESIGN P6
    again = replace(POD, resource_version="2", annotations={"seen": "now"})
    assert view_of_pod(again) == view_of_pod(POD)


def test_an_interfaces_view_holds_its_addresses() -> None:
    """Addresses without their prefix lengths, IPv4 first."""
    expected = InterfaceView(
        namespace=Namespace("vnf"),
        name="ep-1",
        network=NetworkName("internal"),
        node=NodeName("n1"),
        pod_uid=PodUid("u"),
        addresses=(ip_address("10.0.0.1"), ip_address("fd00::1")),
    )
    assert view_of_interface(ENDPOINT) == expected


def test_an_interface_that_is_going_has_no_address() -> None:
    """Its address may be another Pod's before its record has gone."""
    assert view_of_interface(replace(ENDPOINT, deleting=True)).addresses == ()


def test_an_interface_is_of_the_pod_of_its_own_node() -> None:
    """A node that says of another's Pod, or of another namespace's, what it has is not believed."""
    # DESIGN, "A rooted node must stay one node"
    interface, pod = view_of_interface(ENDPOINT), view_of_pod(POD)
    assert id_of(pod) == owner_of(interface)
    for other in (
        replace(pod, node=NodeName("n2")),
        replace(pod, node=None),
        replace(pod, namespace=Namespace("other")),
        replace(pod, runtime_uid=PodUid("another")),
    ):
        assert id_of(other) != owner_of(interface)
