"""Tests of computing a Service's endpoints."""

from ipaddress import ip_address

import pytest

from danm_api.membership.endpoints import Member, Membership, endpoints_object, membership
from danm_api.membership.selection import Selection, select
from danm_api.membership.views import PodView
from danm_api.model.endpoint_slice import Endpoint, EndpointsAddress, EndpointsSubset, PodReference
from danm_api.model.service import EndpointPort, IpFamily, Service, TransportProtocol
from danm_api.names import NodeName, PodName, PodUid
from danm_api.testing.service_builders import a_pod, a_service, an_interface


def found(service: Service, *members: Member) -> Membership:
    """Compute the endpoints of a valid Service."""
    selection = select(service)
    assert isinstance(selection, Selection)
    return membership(service, selection, members)


def member(pod: PodView, *addresses: str) -> Member:
    """Put an interface on a Pod."""
    return Member(pod=pod, interface=an_interface(pod, *addresses))


def test_an_endpoint_is_the_address_on_the_network_and_refers_to_the_pod() -> None:
    """Address, conditions, node, hostname and Pod come from interface and Pod."""
    # SPEC S1, S2
    service = a_service(name="lb")
    expected = Endpoint(
        address=ip_address("10.240.1.100"),
        ready=True,
        serving=True,
        terminating=False,
        hostname="lb-0",
        node=NodeName("n1"),
        pod=PodReference(name=PodName("lb-0"), uid=PodUid("uid-lb-0")),
    )
    (endpoint,) = found(service, member(a_pod(subdomain="lb"), "10.240.1.100")).endpoints
    assert endpoint == expected


@pytest.mark.parametrize(
    ("service", "pod", "expected"),
    [
        # ready, serving, terminating
        pytest.param(a_service(), a_pod(), (True, True, False), id="ready"),
        pytest.param(a_service(), a_pod(ready=False), (False, False, False), id="unready"),
        pytest.param(
            a_service(), a_pod(terminating=True), (False, True, True), id="drains-and-serves"
        ),
        pytest.param(
            a_service(publish_not_ready=True),
            a_pod(ready=False),
            (True, False, False),
            id="unready-tolerated",
        ),
        pytest.param(
            a_service(publish_not_ready=True),
            a_pod(terminating=True),
            (True, True, True),
            id="terminating-tolerated",
        ),
    ],
)
def test_conditions(service: Service, pod: PodView, expected: tuple[bool, bool, bool]) -> None:
    """Conditions mean what they mean in Kubernetes' own slices."""
    # SPEC S1, S2
    (endpoint,) = found(service, member(pod, "10.0.0.1")).endpoints
    assert (endpoint.ready, endpoint.serving, endpoint.terminating) == expected


def test_a_pod_that_has_ended_is_no_endpoint() -> None:
    """Its addresses may be somebody else's by now."""
    assert not found(a_service(), member(a_pod(ended=True), "10.0.0.1")).endpoints


def test_a_hostname_counts_only_below_the_service_that_the_pod_names() -> None:
    """Another Service over the same Pods gives no such names."""
    # SPEC S2
    pod = a_pod(subdomain="other")
    assert found(a_service(name="lb"), member(pod, "10.0.0.1")).endpoints[0].hostname is None


def test_two_interfaces_of_one_pod_on_one_network_are_two_endpoints() -> None:
    """A Pod may be attached to one network twice."""
    # SPEC B5, S1
    pod = a_pod()
    endpoints = found(a_service(), member(pod, "10.0.0.2"), member(pod, "10.0.0.1")).endpoints
    assert [str(e.address) for e in endpoints] == ["10.0.0.1", "10.0.0.2"]


def test_two_records_of_one_address_are_one_endpoint() -> None:
    """While a sandbox is replaced, the old record and the new one hold the same address."""
    pod = a_pod()
    assert len(found(a_service(), member(pod, "10.0.0.1"), member(pod, "10.0.0.1")).endpoints) == 1


def test_one_address_of_two_pods_is_two_endpoints() -> None:
    """While a Pod's successor has its address already, each is told with its own conditions."""
    former, next_one = a_pod("lb-0", terminating=True), a_pod("lb-1")
    result = found(a_service(), member(former, "10.0.0.1"), member(next_one, "10.0.0.1"))
    assert [(each.pod and each.pod.name, each.ready) for each in result.endpoints] == [
        ("lb-0", False),
        ("lb-1", True),
    ]


def test_both_families_of_an_interface_are_endpoints() -> None:
    """A dual-stack Pod is found under both families, whatever is there already.

    The program of 2022 left such a Pod out once the Endpoints had a subset.
    """
    # SPEC S2
    one = member(a_pod("lb-0"), "10.0.0.1")
    dual = member(a_pod("lb-1"), "10.0.0.2", "fd00::2")
    result = found(a_service(), one, dual)
    assert [str(e.address) for e in result.of_family(IpFamily.IPV4)] == ["10.0.0.1", "10.0.0.2"]
    assert [str(e.address) for e in result.of_family(IpFamily.IPV6)] == ["fd00::2"]


def test_a_family_that_the_service_does_not_have_is_left_out() -> None:
    """``ipFamilies`` of a Service limits what it answers."""
    service = a_service(families=(IpFamily.IPV6,))
    result = found(service, member(a_pod(), "10.0.0.2", "fd00::2"))
    assert [str(e.address) for e in result.endpoints] == ["fd00::2"]


def test_an_interface_without_address_is_no_endpoint() -> None:
    """An L2 attachment cannot be found by address."""
    # SPEC E6
    assert found(a_service(), member(a_pod())) == Membership()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "169.254.1.1",
        "224.0.0.1",
        "0.0.0.0",  # noqa: S104  (nobody binds to it)
        "fe80::1",
        "::1",
        "ff02::1",
        "::",
        "::ffff:a00:7",
    ],
)
def test_an_address_that_kubernetes_refuses_spoils_nobody_elses(address: str) -> None:
    """The API server would refuse the whole slice, so the address is named instead."""
    # SPEC S4
    result = found(a_service(), member(a_pod("bad"), address), member(a_pod("good"), "10.0.0.1"))
    assert [str(e.address) for e in result.endpoints] == ["10.0.0.1"]
    assert [str(a) for a in result.refused] == [address]


def test_endpoints_separate_ready_from_not_ready() -> None:
    """Ready and not-ready addresses come each from their own Pods.

    The program of 2019 built the list of not-ready addresses out of the ready ones.
    """
    # SPEC S1
    service = a_service()
    result = found(
        service,
        member(a_pod("a"), "10.0.0.10"),
        member(a_pod("b", ready=False), "10.0.0.9"),
        member(a_pod("c"), "10.0.0.2"),
        member(a_pod("d", ready=False), "10.0.0.1"),
    )
    (subset,) = endpoints_object(service, result).subsets
    assert [str(a.address) for a in subset.ready] == ["10.0.0.2", "10.0.0.10"]
    assert [str(a.address) for a in subset.not_ready] == ["10.0.0.1", "10.0.0.9"]


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        pytest.param(a_service(), [], id="left-out"),
        pytest.param(a_service(publish_not_ready=True), ["10.0.0.1", "10.0.0.2"], id="tolerated"),
    ],
)
def test_terminating_pods_in_endpoints_are_as_in_kubernetes(
    service: Service, expected: list[str]
) -> None:
    """Endpoints cannot say that an address is on its way out, so they do not hold it."""
    # SPEC S2
    result = found(
        service,
        member(a_pod("a", terminating=True), "10.0.0.1"),
        member(a_pod("b", terminating=True, ready=False), "10.0.0.2"),
    )
    subsets = endpoints_object(service, result).subsets
    assert [str(a.address) for s in subsets for a in s.ready] == expected
    assert [s.not_ready for s in subsets if s.not_ready] == []


def test_endpoints_carry_all_ports_of_the_service() -> None:
    """Names, numbers and protocols are the Service's own."""
    # SPEC S1
    ports = (
        EndpointPort(name="sig", port=3868, protocol=TransportProtocol.SCTP),
        EndpointPort(name="dns", port=53, protocol=TransportProtocol.UDP),
    )
    service = a_service(ports=ports)
    expected = EndpointsSubset(
        ready=(
            EndpointsAddress(
                address=ip_address("10.0.0.1"),
                node=NodeName("n1"),
                pod=PodReference(name=PodName("lb-0"), uid=PodUid("uid-lb-0")),
            ),
        ),
        ports=(ports[1], ports[0]),
    )
    written = endpoints_object(service, found(service, member(a_pod(), "10.0.0.1")))
    assert written.subsets == (expected,)


def test_without_addresses_there_is_no_subset() -> None:
    """The API server drops empty subsets, so none is written."""
    assert endpoints_object(a_service(), Membership()).subsets == ()


@pytest.mark.parametrize(
    ("ready", "not_ready", "terminating", "expected"),
    [
        # kept ready, kept not ready, cut
        pytest.param(600, 400, 0, (600, 400, False), id="just-fits"),
        pytest.param(600, 600, 0, (600, 400, True), id="ready-first"),
        pytest.param(1000, 1, 0, (1000, 0, True), id="full-of-ready"),
        pytest.param(1100, 50, 0, (1000, 0, True), id="more-ready-than-fit"),
        pytest.param(990, 10, 20, (990, 10, False), id="terminating-do-not-count"),
    ],
)
def test_endpoints_are_cut_where_kubernetes_cuts_them(
    ready: int, not_ready: int, terminating: int, expected: tuple[int, int, bool]
) -> None:
    """Of more than 1000 addresses ready ones stay, and the object says that it was cut.

    Addresses of Pods that are not ready come first here, so that order alone would keep them.
    """
    # SPEC S2
    service = a_service()
    members = [
        member(
            a_pod(f"p{i}", ready=i >= not_ready, terminating=i >= not_ready + ready),
            f"10.0.{i // 250}.{i % 250 + 1}",
        )
        for i in range(ready + not_ready + terminating)
    ]
    written = endpoints_object(service, found(service, *members))
    (subset,) = written.subsets
    assert (len(subset.ready), len(subset.not_ready), written.truncated) == expected
    assert [a.address for a in subset.ready] == [
        ip_address(f"10.0.{i // 250}.{i % 250 + 1}")
        for i in range(not_ready, not_ready + expected[0])
    ]
