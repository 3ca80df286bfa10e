"""Tests of which endpoint goes into which slice."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from danm_api.membership.endpoints import SLICES_MANAGED_BY, Identity, Member, membership
from danm_api.membership.selection import Selection, select
from danm_api.membership.views import id_of
from danm_api.model.endpoint_slice import MAX_ENDPOINTS_PER_SLICE, Endpoint, EndpointSlice
from danm_api.model.service import EndpointPort, IpFamily, Service
from danm_api.testing.service_builders import a_pod, a_service, an_interface
from svcwatcher.layout import Layout, no_slices
from svcwatcher.roster import Roster
from svcwatcher.slicing import SlicePlan, slice_name
from svcwatcher.standing import Standing
from svcwatcher.testing.cluster import SELECTION

SERVICE = a_service(families=(IpFamily.IPV4,))


def of(numbers: Iterable[int], *, unready: Collection[int] = ()) -> list[Member]:
    """Build Pods by number, with an interface each."""
    return [a_member(number, ready=number not in unready) for number in sorted(numbers)]


def a_member(number: int, *, ready: bool = True) -> Member:
    """Build a Pod by number, with an interface."""
    pod = a_pod(f"p{number}", uid=f"u{number}", ready=ready)
    return Member(pod=pod, interface=an_interface(pod, str(ip_address(0x0A000000 + number))))


def a_standing(service: Service, members: Iterable[Member]) -> Standing:
    """Build what a replica knows of a valid Service when it begins to serve it."""
    selection = select(service)
    assert isinstance(selection, Selection)
    return Standing(service, selection, members)


def plan_slices(
    service: Service, members: Iterable[Member], observed: Collection[EndpointSlice]
) -> SlicePlan:
    """Plan with nothing remembered."""
    return a_standing(service, members).plan_slices(service, observed)


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
    found: Iterable[Member], service: Service = SERVICE, observed: Sequence[EndpointSlice] = ()
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
        managed_by=SLICES_MANAGED_BY,
        headless=True,
        family=IpFamily.IPV4,
        endpoints=membership(SERVICE, SELECTION, of([1])).endpoints,
        ports=(EndpointPort(port=5555),),
    )
    assert plan_slices(SERVICE, of([1]), ()) == SlicePlan(creates=(expected,))


def test_a_service_without_endpoints_has_one_empty_slice_of_its_primary_family() -> None:
    """An empty slice says that the Service was looked after, as in Kubernetes."""
    service = a_service(families=(IpFamily.IPV6, IpFamily.IPV4))
    (slice_,) = written([], service)
    assert (slice_.family, slice_.endpoints) == (IpFamily.IPV6, ())


def test_each_family_has_slices_of_its_own() -> None:
    """A slice holds addresses of one family."""
    # SPEC S2
    pod = a_pod()
    dual = Member(pod=pod, interface=an_interface(pod, "10.0.0.1", "fd00::1"))
    slices = written([dual], a_service())
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
    flipped = plan_slices(SERVICE, of(range(250), unready=[0]), observed)
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
    assert written([], observed=observed)
    assert after(no_slices(observed), observed) == []


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
    st.sets(st.integers(min_value=0, max_value=250))
    | st.builds(set, st.builds(range, st.just(250))),
    min_size=1,
    max_size=4,
)


@settings(max_examples=30, deadline=None)  # how fast it is depends on who else uses the machine
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


@settings(max_examples=30, deadline=None)  # how fast it is depends on who else uses the machine
@given(st.sets(st.integers(0, 250)), st.sets(st.integers(0, 250)))
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


# Pods by number: few enough for the same ones to come again, and enough for several slices.
RUNS = st.builds(
    lambda start, size: range(start, start + size),
    st.sampled_from([0, 40, 90]),
    st.sampled_from([1, 30, 130]),
)


class LayoutMachine(RuleBasedStateMachine):
    """One replica that remembers, through changes of Pods and damage to what it wrote.

    Whatever came before, two plans later each endpoint is in exactly one slice, and a replica that
    remembers nothing has nothing to add.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pods: dict[int, bool] = {}
        self.standing = a_standing(SERVICE, ())
        self.observed: list[EndpointSlice] = []
        self.doubles = 0
        self.service = SERVICE

    @rule(numbers=RUNS, ready=st.booleans(), written=st.booleans())
    def set_pods(self, numbers: range, *, ready: bool, written: bool) -> None:
        """Pods come, or their readiness changes."""
        for number in numbers:
            self.pods[number] = ready
            member = a_member(number, ready=ready)
            self.standing.roster.set_pod(id_of(member.pod), [member])
        if written:
            self.settle()

    @rule(numbers=RUNS, written=st.booleans())
    def delete_pods(self, numbers: range, *, written: bool) -> None:
        """Pods go."""
        for number in self.pods.keys() & set(numbers):
            del self.pods[number]
            self.standing.roster.set_pod(id_of(a_member(number).pod), [])
        if written:
            self.settle()

    @rule(data=st.data(), planned=st.booleans())
    def damage(self, data: st.DataObject, *, planned: bool) -> None:
        """Somebody deletes a slice, empties it, or doubles its endpoints in another one.

        Perhaps after a plan of which nothing could be written.
        """
        if planned:
            self.standing.plan_slices(self.service, self.observed)
        if not self.observed:
            return
        victim = data.draw(st.sampled_from(self.observed))
        self.observed.remove(victim)
        match data.draw(st.integers(0, 2)):
            case 0:
                return
            case 1:
                self.observed.append(replace(victim, endpoints=(), resource_version="9"))
            case _:
                self.doubles += 1  # a name is there once, as in a cluster
                name = f"{victim.name}-double-{self.doubles}"
                double = replace(victim, name=name, resource_version="9")
                self.observed += [victim, double]

    @rule(port=st.integers(1, 3))
    def change_ports(self, port: int) -> None:
        """The Service's ports change, which each slice tells."""
        self.service = replace(SERVICE, ports=(EndpointPort(port=port),))

    @rule()
    def write(self) -> None:
        """The plan is carried out; what it does not concern stays the very object that it was."""
        plan = self.standing.plan_slices(self.service, self.observed)
        self.observed = after(plan, self.observed)

    @rule()
    def list_anew(self) -> None:
        """All slices are read again, which changes none of them."""
        self.observed = [replace(slice_) for slice_ in self.observed]

    @rule()
    def settle(self) -> None:
        """After a second plan everything is in its place."""
        self.write()
        self.write()
        assert sorted(numbers_in(self.observed)) == sorted(self.pods)
        ready = {int(e.address) - 0x0A000000: e.ready for s in self.observed for e in s.endpoints}
        assert ready == self.pods
        members = [a_member(number, ready=ready) for number, ready in self.pods.items()]
        assert not plan_slices(self.service, members, self.observed)
        assert not self.standing.plan_slices(self.service, self.observed)


LayoutMachine.TestCase.settings = settings(max_examples=10, stateful_step_count=12, deadline=None)
TestLayoutMachine = LayoutMachine.TestCase


class Counting(dict[Identity, Endpoint]):
    """Counts how often it is asked."""

    asked = 0

    def __contains__(self, key: object) -> bool:
        self.asked += 1
        return super().__contains__(key)


class CountingRoster(Roster):
    """A roster that says how often its endpoints were looked up."""

    counting: Counting | None = None

    def of_family(self, family: IpFamily) -> Mapping[Identity, Endpoint]:
        """Return the endpoints of a family, counting from now on."""
        self.counting = Counting(super().of_family(family))
        return self.counting


@pytest.mark.parametrize("size", [500, 5000])
def test_the_change_of_one_pod_costs_the_same_in_a_service_of_any_size(size: int) -> None:
    """What is looked at are the slices that differ, not all endpoints.

    Counts look-ups rather than time.
    """
    # SPEC S3, DESIGN P6
    roster, layout = CountingRoster(SERVICE, SELECTION), Layout()
    for member in of(range(size)):
        roster.set_pod(id_of(member.pod), [member])
    observed = after(layout.plan(SERVICE, roster, ()), ())
    assert not layout.plan(SERVICE, roster, observed)
    changed = a_member(7, ready=False)
    roster.set_pod(id_of(changed.pod), [changed])
    plan = layout.plan(SERVICE, roster, observed)
    assert (len(plan.replaces), plan.creates, plan.deletes) == (1, (), ())
    assert roster.counting is not None
    assert 0 < roster.counting.asked <= 3 * MAX_ENDPOINTS_PER_SLICE


def test_what_was_planned_and_never_written_is_not_lost() -> None:
    """A write fails, and the slice that it was for goes: its endpoints are placed again."""
    # SPEC S3
    standing = a_standing(SERVICE, of(range(50)))
    observed = after(standing.plan_slices(SERVICE, ()), ())
    assert not standing.plan_slices(SERVICE, observed)
    unready = a_member(0, ready=False)
    standing.roster.set_pod(id_of(unready.pod), [unready])
    assert standing.plan_slices(SERVICE, observed).replaces
    slices = after(standing.plan_slices(SERVICE, ()), ())
    assert sorted(numbers_in(slices)) == list(range(50))
