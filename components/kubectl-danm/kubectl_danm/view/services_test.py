"""What is said of Services against what svcwatcher decides by."""

from dataclasses import replace
from ipaddress import IPv4Interface

from hypothesis import given
from hypothesis import strategies as st

from danm_api.membership.endpoints import Member, membership
from danm_api.membership.selection import Selection, select
from danm_api.membership.views import id_of, owner_of, view_of_interface, view_of_pod
from danm_api.model.danmep import DanmEp
from danm_api.model.pod import Pod, PodPhase
from danm_api.model.service import IpFamily
from danm_api.names import Namespace, NodeName, PodName, PodUid
from danm_api.testing.builders import a_danmep
from danm_api.testing.service_builders import NAMESPACE, a_service
from kubectl_danm.view.services import State, Surroundings, view_service

NODES = [NodeName("n1"), NodeName("n2")]
ADDRESSES = ["10.0.0.1/24", "10.0.0.2/24", "10.0.0.3/24", "169.254.0.1/16"]
# The first alternative is the common one, so that endpoints come about and each obstacle alone.
MOSTLY = [True, True, True, True, False]


@st.composite
def pods_and_interfaces(draw: st.DrawFn) -> tuple[list[Pod], list[DanmEp]]:
    """Draw Pods of different UIDs and interfaces, a few of which are of other nodes or networks."""
    mostly = st.sampled_from(MOSTLY)
    pods, endpoints = [], []
    for number in range(draw(st.integers(1, 3))):
        pod = Pod(
            namespace=Namespace(NAMESPACE),
            name=PodName(f"pod-{number}"),
            uid=PodUid(f"uid-{number}"),
            labels={"app": "lb" if draw(mostly) else "db"},
            node=draw(st.sampled_from(NODES)) if draw(mostly) else None,
            phase=PodPhase.RUNNING if draw(mostly) else draw(st.sampled_from(PodPhase)),
            ready=draw(st.booleans()),
            deleting=not draw(mostly),
        )
        pods.append(pod)
        for place in range(draw(st.integers(0, 2))):
            here = draw(mostly) and pod.node is not None
            endpoint = a_danmep(
                f"ep-{number}-{place}",
                namespace=NAMESPACE,
                network="internal" if draw(mostly) else "external",
                pod_uid=pod.uid,
                node=pod.node if here and pod.node else draw(st.sampled_from(NODES)),
            )
            text = draw(st.sampled_from(ADDRESSES)) if draw(mostly) else None
            address = None if text is None else IPv4Interface(text)
            interface = replace(endpoint.interface, address=address)
            endpoints.append(replace(endpoint, interface=interface, deleting=not draw(mostly)))
    return pods, endpoints


@given(
    cluster=pods_and_interfaces(),
    tolerant=st.booleans(),
    families=st.sampled_from([(IpFamily.IPV4,), tuple(IpFamily), (IpFamily.IPV6,)]),
)
def test_in_is_exactly_what_svcwatcher_would_publish(
    *, cluster: tuple[list[Pod], list[DanmEp]], tolerant: bool, families: tuple[IpFamily, ...]
) -> None:
    """Each endpoint with its readiness, and nothing else; every Pod that could be meant is told."""
    # SPEC S1
    pods, endpoints = cluster
    service = a_service(publish_not_ready=tolerant, families=families)
    selection = select(service)
    assert isinstance(selection, Selection)
    members = [
        Member(pod=pod, interface=interface)
        for pod in map(view_of_pod, pods)
        for interface in map(view_of_interface, endpoints)
        if selection.admits(pod.labels)
        and owner_of(interface) == id_of(pod)
        and interface.network == selection.network
    ]
    expected = {
        (str(each.address), each.ready)
        for each in membership(service, selection, members).endpoints
    }
    found = view_service(
        service, Surroundings(pods=pods, endpoints=endpoints, networks={}, slices=())
    )
    said = {
        (each.address, each.state is State.READY)
        for each in found.endpoints
        if each.state is not State.OUT
    }
    assert said == expected
    selected = {pod.name for pod in pods if selection.admits(pod.labels)}
    assert selected <= {each.pod for each in found.endpoints}
    assert all(each.why for each in found.endpoints)
