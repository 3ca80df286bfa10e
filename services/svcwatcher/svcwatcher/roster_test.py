"""Tests of keeping up a Service's endpoints Pod by Pod."""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address

import pytest

from danm_api.membership.endpoints import Identity, Member, membership
from danm_api.membership.views import PodView, id_of
from danm_api.model.service import IpFamily
from danm_api.testing.service_builders import a_pod, a_service, an_interface
from svcwatcher.roster import Roster
from svcwatcher.testing.cluster import SELECTION

SERVICE = a_service()
A, B = a_pod("a"), a_pod("b")


def on(pod: PodView, *addresses: str) -> list[Member]:
    """Give a Pod one interface."""
    return [Member(pod=pod, interface=an_interface(pod, *addresses))]


def of(pod: PodView, address: str) -> Identity:
    """Name an endpoint."""
    return ip_address(address), pod.uid


def a_roster() -> Roster:
    """Build the roster of two Pods, of whose beginning everything has been asked."""
    roster = Roster(SERVICE, SELECTION)
    roster.set_pod(id_of(A), on(A, "10.0.0.2", "fd00::2"))
    roster.set_pod(id_of(B), on(B, "10.0.0.1"))
    roster.take_touched()
    roster.membership()
    return roster


@pytest.mark.parametrize(
    ("pod", "members", "touched"),
    [
        pytest.param(A, on(A, "10.0.0.2", "fd00::2"), set(), id="nothing-new"),
        pytest.param(
            A,
            on(replace(A, ready=False), "10.0.0.2", "fd00::2"),
            {of(A, "10.0.0.2"), of(A, "fd00::2")},
            id="readiness",
        ),
        pytest.param(
            A,
            on(A, "10.0.0.3", "fd00::2"),
            {of(A, "10.0.0.2"), of(A, "10.0.0.3")},
            id="another-address",
        ),
        pytest.param(B, [], {of(B, "10.0.0.1")}, id="gone"),
        pytest.param(
            a_pod("c"), on(a_pod("c"), "10.0.0.9"), {of(a_pod("c"), "10.0.0.9")}, id="come"
        ),
        pytest.param(A, on(A, "10.0.0.2", "fd00::2") * 2, set(), id="a-second-record"),
    ],
)
def test_what_has_changed_is_named_and_the_rest_is_as_it_was(
    pod: PodView, members: Sequence[Member], touched: set[Identity]
) -> None:
    """After any change the roster is what would be computed of all Pods anew."""
    # SPEC S3, DESIGN P6
    roster = a_roster()
    version = roster.version
    roster.set_pod(id_of(pod), members)
    assert roster.take_touched() == touched
    assert (roster.version > version) is bool(touched)
    assert roster.take_touched() == set()
    of_pod = {A.name: on(A, "10.0.0.2", "fd00::2"), B.name: on(B, "10.0.0.1")}
    of_pod[pod.name] = list(members)
    everything = [member for of_one in of_pod.values() for member in of_one]
    assert roster.membership() == membership(SERVICE, SELECTION, everything)


def test_a_pod_that_gets_its_node_is_the_same_one() -> None:
    """It is known under another id then, and what the old id gives up stays the new one's."""
    roster = a_roster()
    moved = replace(A, node=a_pod(node="n2").node)
    roster.set_pod(id_of(moved), on(moved, "10.0.0.2"))
    roster.set_pod(id_of(A), [])
    assert set(roster.of_family(IpFamily.IPV4)) == {of(A, "10.0.0.2"), of(B, "10.0.0.1")}
    assert set(roster.of_family(IpFamily.IPV6)) == set()
    assert roster.membership() == membership(
        SERVICE, SELECTION, [*on(moved, "10.0.0.2"), *on(B, "10.0.0.1")]
    )


def test_refused_addresses_go_with_their_pods() -> None:
    """The complaint about an address ends when nobody has it any more."""
    # SPEC S4
    roster = a_roster()
    roster.set_pod(id_of(B), on(B, "169.254.0.9"))
    assert roster.refused() == (ip_address("169.254.0.9"),)
    roster.set_pod(id_of(B), [])
    assert roster.refused() == ()
