"""The sentences that tell what was freed."""

from datetime import UTC, datetime
from ipaddress import IPv4Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danm_api.codec.event import MAX_NOTE_LENGTH
from danm_api.model.danmep import EndpointIdentity
from danm_api.model.ip_block import ExternalOwner, Held
from danm_api.names import InterfaceName, Namespace, NetworkName, NodeName, PodName
from danm_api.record.reasons import DOUBLE, EXPIRED, LOST_NODE, Reason
from ipam_svc.freed import tell_addresses, tell_endpoints

_BASE = int(IPv4Address("10.0.0.0"))


def _held(address: str, *, node: str = "n9") -> Held:
    return Held(
        address=ip_address(address),
        owner=ExternalOwner(namespace=Namespace("ns"), name="x", reason=""),
        node=NodeName(node),
        attempt=1,
        since=datetime(2026, 1, 1, tzinfo=UTC),
        mac="fa:16:3e:00:00:01",
    )


def _endpoint(name: str, *, pod: str = "", node: str = "n9") -> EndpointIdentity:
    return EndpointIdentity(
        namespace=Namespace("ns"),
        name=name,
        uid="u",
        resource_version="1",
        network=NetworkName("net"),
        node=NodeName(node),
        pod=PodName(pod),
        interface=InterfaceName("eth0"),
    )


@pytest.mark.parametrize(
    ("reason", "one", "many"),
    [
        pytest.param(
            LOST_NODE,
            "its node is gone or declared out of service",
            "of node n9, which is gone or declared out of service",
            id="lost node",
        ),
        pytest.param(
            EXPIRED, "its owner's time is over", "whose owners' time is over", id="expired"
        ),
        pytest.param(
            DOUBLE, "its owner has a newer one", "whose owners have newer ones", id="double"
        ),
    ],
)
def test_addresses_are_told_with_their_reason(reason: Reason, one: str, many: str) -> None:
    """A single address comes with its owner, several as ranges, IPv4 before IPv6."""
    # DESIGN P7
    assert tell_addresses(reason, [_held("10.0.0.7")]) == (
        f"freed 10.0.0.7 of the external owner ns/x: {one}"
    )
    several = ["2001:db8::2", "10.0.0.9", "10.0.0.1", "10.0.0.2", "2001:db8::1", "10.0.0.3"]
    assert tell_addresses(reason, [_held(each) for each in several]) == (
        f"freed 6 addresses {many}: 10.0.0.1-10.0.0.3, 10.0.0.9, 2001:db8::1-2001:db8::2"
    )


@given(st.sets(st.integers(0, 2**16), min_size=2, max_size=300))
def test_every_address_is_told_or_counted(numbers: set[int]) -> None:
    """An Event takes 1024 bytes: what has no room there is counted, and nothing is cut."""
    # DESIGN P6
    text = tell_addresses(EXPIRED, [_held(str(IPv4Address(_BASE + each))) for each in numbers])
    assert len(text.encode()) <= MAX_NOTE_LENGTH
    listed, _, more = text.partition(": ")[2].partition(" and ")
    told: set[int] = set()
    for run in listed.split(", "):
        first, _, last = run.partition("-")
        told |= set(range(int(IPv4Address(first)), int(IPv4Address(last or first)) + 1))
    assert told <= {_BASE + each for each in numbers}
    assert len(numbers) - len(told) == (int(more.split()[0]) if more else 0)
    assert not more or "the log names each" in more


def test_a_name_that_fills_an_event_is_counted() -> None:
    """What a node writes into its DanmEps, however long, makes no Event that is refused."""
    odd = [_endpoint("a", pod="x" * 2000), _endpoint("b", pod="x" * 2000)]
    head = "deleted 2 DanmEps of node n9, which is gone or declared out of service"
    assert tell_endpoints(odd) == f"{head}; the log names each"
    head = head.replace("2", "3", 1)
    text = tell_endpoints([*odd, _endpoint("c", pod="y")])
    assert text == f"{head}: y (eth0) and 2 more; the log names each"


def test_danmeps_are_told_by_their_pods() -> None:
    """One that names no Pod is told by its own name."""
    why = "its node is gone or declared out of service"
    assert tell_endpoints([_endpoint("ep", pod="p")]) == (
        f"deleted DanmEp ep of Pod ns/p (interface eth0): {why}"
    )
    assert tell_endpoints([_endpoint("ep")]) == f"deleted DanmEp ep: {why}"
    assert tell_endpoints([_endpoint("ep"), _endpoint("x", pod="p")]) == (
        "deleted 2 DanmEps of node n9, which is gone or declared out of service: ep, p (eth0)"
    )
