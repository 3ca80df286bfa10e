"""Tests of what is told of networks that are not there."""

from collections.abc import Callable

import pytest

from danm_api.codec.event import MAX_NOTE_LENGTH
from danm_api.membership.views import NetworkView
from danm_api.testing.service_builders import NAMESPACE, a_network, a_selection
from svcwatcher.absence import Absences
from svcwatcher.testing.cluster import KEY, SELECTION, Clock

GRACE_S = 5.0


def absences(clock: Clock) -> Absences:
    """Build what is tested."""
    return Absences(clock=clock, grace_s=GRACE_S)


@pytest.mark.parametrize(
    ("network", "reason", "state"),
    [
        pytest.param(None, "NetworkNotFound", "does not exist", id="missing"),
        pytest.param(
            a_network(deleting=True), "NetworkBeingDeleted", "is being deleted", id="deleting"
        ),
    ],
)
def test_a_network_that_is_not_there_is_named_with_the_rule_and_the_way_out(
    network: NetworkView | None, reason: str, state: str
) -> None:
    """Not before its time, and from then on each time that it is asked."""
    # SPEC S4, DESIGN P7
    clock = Clock()
    tested = absences(clock)
    assert (tested.judge(KEY, SELECTION, network), tested.wait_s(KEY)) == (None, GRACE_S)
    clock.now += GRACE_S - 1
    assert (tested.judge(KEY, SELECTION, network), tested.wait_s(KEY)) == (None, 1)
    clock.now += 1
    told = tested.judge(KEY, SELECTION, network)
    assert told is not None
    assert told.reason == reason
    assert f"DanmNet {NAMESPACE}/internal, which the annotation danm.k8s.io/network" in told.message
    assert state in told.message
    assert "correct the annotation" in told.message
    clock.now += 1
    assert (tested.judge(KEY, SELECTION, network), tested.wait_s(KEY)) == (told, 0)


def test_a_network_that_comes_gives_its_services_their_time_again() -> None:
    """Nothing is told of a DanmNet that is there, and nothing kept."""
    # DESIGN P6
    clock = Clock()
    tested = absences(clock)
    tested.judge(KEY, SELECTION, None)
    clock.now += GRACE_S
    assert tested.judge(KEY, SELECTION, a_network()) is None
    assert (len(tested), tested.wait_s(KEY)) == (0, 0)
    assert (tested.judge(KEY, SELECTION, None), tested.wait_s(KEY)) == (None, GRACE_S)


def test_a_network_that_goes_after_its_mark_is_told_of_at_once() -> None:
    """The time ran from its mark on."""
    clock = Clock()
    tested = absences(clock)
    tested.judge(KEY, SELECTION, a_network(deleting=True))
    clock.now += GRACE_S
    told = tested.judge(KEY, SELECTION, None)
    assert told is not None
    assert told.reason == "NetworkNotFound"


def test_what_is_forgotten_begins_anew() -> None:
    """A Service that goes, and all when leading ends."""
    clock = Clock()
    tested = absences(clock)
    forgetting: list[Callable[[], None]] = [lambda: tested.forget(KEY), tested.clear]
    for forget in forgetting:
        tested.judge(KEY, SELECTION, None)
        clock.now += GRACE_S
        forget()
        assert len(tested) == 0
        assert tested.judge(KEY, SELECTION, None) is None


@pytest.mark.parametrize("network", [None, a_network(deleting=True)], ids=["missing", "deleting"])
def test_the_longest_names_leave_room_for_the_way_out(network: NetworkView | None) -> None:
    """An Event's note is cut, so its end must not be what matters."""
    clock = Clock()
    tested = absences(clock)
    selection = a_selection("n" * 253, "s" * 63, app="lb")
    tested.judge(KEY, selection, network)
    clock.now += GRACE_S
    told = tested.judge(KEY, selection, network)
    assert told is not None
    assert len(told.message.encode()) <= MAX_NOTE_LENGTH
