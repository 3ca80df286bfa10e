"""Tests of spreading endpoints over slices."""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from danm_api.model.endpoint_slice import Endpoint, EndpointSlice, PodReference
from danm_api.model.service import EndpointPort, IpFamily, Service
from danm_api.names import PodName, PodUid
from svcwatcher.endpoints import Membership
from svcwatcher.slicing import MANAGED_BY, SlicePlan, plan_slices, slice_name
from svcwatcher.testing.builders import a_service

SERVICE = a_service(families=(IpFamily.IPV4,))


def an_endpoint(number: int, *, ready: bool = True) -> Endpoint:
    """Build an endpoint of the Pod with a number."""
    return Endpoint(
        address=ip_address(0x0A000000 + number),
        ready=ready,
        pod=PodReference(name=PodName(f"p{number}"), uid=PodUid(f"u{number}")),
    )


def of(numbers: Sequence[int]) -> Membership:
    """Build the endpoints of Pods by number."""
    return Membership(endpoints=tuple(an_endpoint(number) for number in sorted(numbers)))


def after(plan: SlicePlan, observed: Sequence[EndpointSlice]) -> list[EndpointSlice]:
    """Execute a plan."""
    slices = {s.name: s for s in observed}
    for created in plan.creates:
        assert created.name not in slices
        slices[created.name] = replace(created, resource_version="1")
    for replaced in plan.replaces:
        assert slices[replaced.name].resource_version == replaced.resource_version
        slices[replaced.name] = replace(replaced, resource_version=f"{replaced.resource_version}1")
    for deleted in plan.deletes:
        del slices[deleted.name]
    return list(slices.values())


def written(
    found: Membership, service: Service = SERVICE, observed: Sequence[EndpointSlice] = ()
) -> list[EndpointSlice]:
    """Return the slices that follow from what was observed."""
    return after(plan_slices(service, found, observed), observed)


def numbers_in(slices: Sequence[EndpointSlice]) -> list[int]:
    """Return which Pods are in some slices."""
    return [int(e.address) - 0x0A000000 for s in slices for e in s.endpoints]


def test_a_new_service_gets_a_slice_of_its_own_name() -> None:
    """Name, labels, owner and ports follow from the Service alone."""
    # SPEC S2
    expected = EndpointSlice(
        namespace=SERVICE.namespace,
        name=slice_name(SERVICE, IpFamily.IPV4, 0),
        service=SERVICE.name,
        owner=SERVICE.uid,
        managed_by=MANAGED_BY,
        headless=True,
        family=IpFamily.IPV4,
        endpoints=(an_endpoint(1),),
        ports=(EndpointPort(port=5555),),
    )
    assert plan_slices(SERVICE, of([1]), ()) == SlicePlan(creates=(expected,))


def test_a_service_without_endpoints_has_one_empty_slice_of_its_primary_family() -> None:
    """An empty slice says that the Service was looked after, as in Kubernetes."""
    service = a_service(families=(IpFamily.IPV6, IpFamily.IPV4))
    (slice_,) = written(Membership(), service)
    assert (slice_.family, slice_.endpoints) == (IpFamily.IPV6, ())


def test_each_family_has_slices_of_its_own() -> None:
    """A slice holds addresses of one family."""
    # SPEC S2
    found = Membership(endpoints=(an_endpoint(1), Endpoint(address=ip_address("fd00::1"))))
    slices = written(found, a_service())
    assert [(s.family, len(s.endpoints)) for s in slices] == [
        (IpFamily.IPV4, 1),
        (IpFamily.IPV6, 1),
    ]


def test_no_slice_holds_more_than_a_hundred() -> None:
    """The 101st endpoint opens a slice."""
    # SPEC S2
    assert sorted(len(s.endpoints) for s in written(of(range(250)))) == [50, 100, 100]


def test_one_change_rewrites_one_slice() -> None:
    """A Pod that comes, goes or changes its readiness costs one write of one slice."""
    # DESIGN P6
    observed = written(of(range(250)))
    gone = plan_slices(SERVICE, of(range(1, 250)), observed)
    come = plan_slices(SERVICE, of(range(251)), observed)
    unready = Membership(
        endpoints=(an_endpoint(0, ready=False), *(an_endpoint(n) for n in range(1, 250)))
    )
    flipped = plan_slices(SERVICE, unready, observed)
    for plan in (gone, come, flipped):
        assert (len(plan.replaces), plan.creates, plan.deletes) == (1, (), ())


def test_a_replaced_pod_takes_the_place_of_its_predecessor() -> None:
    """A new endpoint goes where something is written anyway."""
    observed = written(of(range(250)))
    plan = plan_slices(SERVICE, of([*range(5, 250), 300, 301]), observed)
    assert (len(plan.replaces), plan.creates, plan.deletes) == (1, (), ())


def test_half_empty_slices_are_merged() -> None:
    """After scaling down, what is left fits few slices."""
    observed = written(of(range(500)))
    slices = written(of(range(0, 500, 5)), observed=observed)
    assert len(slices) == 1


def test_of_a_service_that_is_not_served_everything_goes() -> None:
    """Slices go when the annotations go."""
    # SPEC S2
    observed = written(of(range(150)))
    assert written(Membership(), observed=observed)
    plan = plan_slices(None, Membership(), observed)
    assert after(plan, observed) == []


def test_a_service_that_was_made_again_shares_nothing_with_its_predecessor() -> None:
    """Slices of the old Service go with it, so its successor writes others."""
    observed = written(of([1]))
    successor = replace(SERVICE, uid=a_service(uid="s-2").uid)
    plan = plan_slices(successor, of([1]), observed)
    assert ({s.owner for s in plan.creates}, len(plan.deletes)) == ({"s-2"}, 1)


def test_changed_ports_rewrite_every_slice() -> None:
    """Ports are part of each slice."""
    observed = written(of(range(150)))
    moved = replace(SERVICE, ports=(EndpointPort(port=80),))
    assert len(plan_slices(moved, of(range(150)), observed).replaces) == len(observed)


@pytest.mark.parametrize("count", [0, 1, 100, 101, 250])
def test_what_is_as_it_should_be_is_not_written(count: int) -> None:
    """A second look changes nothing."""
    # SPEC S3
    observed = written(of(range(count)))
    assert not plan_slices(SERVICE, of(range(count)), observed)


populations = st.lists(
    st.sets(st.integers(min_value=0, max_value=400))
    | st.builds(set, st.builds(range, st.just(400))),
    min_size=1,
    max_size=6,
)


@settings(deadline=None)  # how fast it is depends on who else uses the machine
@given(populations)
def test_slices_hold_exactly_the_endpoints_whatever_came_before(
    history: list[set[int]],
) -> None:
    """After any history: each endpoint once, no slice too full, few slices, nothing left to do."""
    # SPEC S2, S3
    observed: list[EndpointSlice] = []
    for numbers in history:
        plan = plan_slices(SERVICE, of(sorted(numbers)), observed)
        observed = after(plan, observed)
        assert sorted(numbers_in(observed)) == sorted(numbers)
        assert all(len(s.endpoints) <= 100 for s in observed)
        assert len(observed) == 1 or len(numbers) > 50 * len(observed)
        assert not plan_slices(SERVICE, of(sorted(numbers)), observed)


@settings(deadline=None)  # how fast it is depends on who else uses the machine
@given(st.sets(st.integers(0, 400)), st.sets(st.integers(0, 400)))
def test_no_endpoint_that_stays_is_missing_in_between(before: set[int], then: set[int]) -> None:
    """Slices are written in an order in which an endpoint is in one of them all the time."""
    # DESIGN "Controllers"
    observed = written(of(sorted(before)))
    plan = plan_slices(SERVICE, of(sorted(then)), observed)
    steps = [
        *(SlicePlan(creates=(s,)) for s in plan.creates),
        *(SlicePlan(replaces=(s,)) for s in plan.replaces),
        *(SlicePlan(deletes=(s,)) for s in plan.deletes),
    ]
    for step in steps:
        observed = after(step, observed)
        assert before & then <= set(numbers_in(observed))
