"""What the checker's rules look at is there, and under its own key."""

import pytest

from tests.lab.chaos.history import (
    ClockStep,
    End,
    Fault,
    Pool,
    Record,
    Release,
    Reserve,
    Seen,
    Send,
    Snapshot,
    Wish,
)
from tests.lab.chaos.sorted_history import SortedHistory, sorted_history

_ONE, _TWO = "10.0.0.1", "10.0.0.2"
_POOL = Pool(network="net", family=4, addresses=(_ONE, _TWO), cooldown_s=5.0)
_ASKED = Reserve(
    owner="o",
    wishes=(
        Wish(holder="a", network="net", family=4),
        Wish(holder="b", network="net", family=4, exactly=_TWO),
    ),
    sends=(Send(attempt=1, at=1.0), Send(attempt=3, at=2.0)),
    start=1.0,
    end=4.0,
    answer="unknown",
)
_GIVEN_BACK = Release(owner="o", holders=("a",), attempt=3, start=5.0, end=6.0, answer="done")
_BROKEN = Fault(kind="kill", target="replica 0", start=7.0, end=8.0)
_SEEN = Seen(network="net", address=_ONE, at=3.0, holder="a", attempt=3)
_SEEN_FREE = Seen(network="net", address=_ONE, at=6.0)
_LOOK = Snapshot(at=9.0, held=())
_BACK = ClockStep(since=1.0, at=2.0, forward_s=-3.0)
_FORWARD = ClockStep(since=4.0, at=5.0, forward_s=2.0)


def _on_a_wire(network: str) -> Pool:
    return Pool(network=network, family=4, addresses=(_ONE,), wire="w")


@pytest.mark.parametrize(
    ("records", "wanted"),
    [
        pytest.param([], SortedHistory(wires={}), id="nothing"),
        pytest.param(
            [_POOL],
            SortedHistory(
                wires={},
                places={("net", 4): (("net", _ONE), ("net", _TWO))},
                cooldown_s={"net": 5.0},
            ),
            id="a pool",
        ),
        pytest.param(
            [_ASKED],
            SortedHistory(
                wires={},
                reserves=[_ASKED],
                ends=[4.0],
                asked={("a", 1): 1.0, ("a", 3): 2.0, ("b", 1): 1.0, ("b", 3): 2.0},
                exactly={("b", 1, ("net", _TWO)), ("b", 3, ("net", _TWO))},
            ),
            id="each attempt of a reserve, and what it asks for by its address",
        ),
        pytest.param([_GIVEN_BACK], SortedHistory(wires={}, ends=[6.0]), id="a release"),
        pytest.param([_BROKEN], SortedHistory(wires={}, ends=[8.0]), id="a fault"),
        pytest.param(
            [_SEEN, _SEEN_FREE],
            SortedHistory(wires={}, seen={("net", _ONE): [_SEEN, _SEEN_FREE]}),
            id="changes of an address, on no wire, in their order",
        ),
        pytest.param([_LOOK], SortedHistory(wires={}, snapshots=[_LOOK]), id="a snapshot"),
        pytest.param([_BACK], SortedHistory(wires={}, steps=[_BACK]), id="a step of the clock"),
        pytest.param(
            [End(owner="o", at=1.0)],
            SortedHistory(wires={}),
            id="an owner's end, which holds_of looks at",
        ),
    ],
)
def test_a_record_is_sorted_in(records: list[Record], wanted: SortedHistory) -> None:
    """By what it is of, and nowhere else."""
    assert sorted_history(records) == wanted


def test_networks_of_one_wire_share_its_addresses() -> None:
    """Also where a change was written down before its network's pool; others are wires alone."""
    first = Seen(network="first", address=_ONE, at=1.0, holder="a", attempt=1)
    second = Seen(network="second", address=_ONE, at=2.0, holder="b", attempt=1)
    run = sorted_history([first, second, _on_a_wire("first"), _on_a_wire("second"), _SEEN, _POOL])
    assert run.on_wire == {("w", _ONE): [first, second]}
    assert run.seen == {
        ("first", _ONE): [first],
        ("second", _ONE): [second],
        ("net", _ONE): [_SEEN],
    }
    assert run.place_of("second", _ONE) == ("w", _ONE)
    assert run.place_of("net", _ONE) == ("net", _ONE)


@pytest.mark.parametrize(
    ("network", "steps", "at_most_s"),
    [
        pytest.param("net", [], 6.0, id="a second more, since another clock counts"),
        pytest.param("net", [_BACK], 9.0, id="a clock that was set back counts longer"),
        pytest.param("net", [_BACK, _BACK], 12.0, id="set back twice"),
        pytest.param("net", [_FORWARD], 6.0, id="one that was set forward may, or may not"),
        pytest.param("other", [_BACK], 0.0, id="a network without a cooldown"),
    ],
)
def test_how_long_an_address_cools_at_most(
    network: str, steps: list[ClockStep], at_most_s: float
) -> None:
    """Beyond that whoever is refused it is wronged."""
    run = sorted_history([_POOL, *steps])
    assert run.cools_for_s(network) == pytest.approx(at_most_s)


@pytest.mark.parametrize(
    ("network", "steps", "since", "until", "cool_until"),
    [
        pytest.param("net", [], 3.0, 7.0, 7.8, id="nearly its whole time"),
        pytest.param("net", [_FORWARD], 3.0, 7.0, 5.8, id="the clock was set forward meanwhile"),
        pytest.param("net", [_FORWARD], 6.0, 9.0, 10.8, id="it had been before"),
        pytest.param("net", [_FORWARD], 1.0, 4.0, 5.8, id="it was afterwards"),
        pytest.param("net", [_BACK], 1.5, 7.0, 6.3, id="set back it counts no less"),
        pytest.param("other", [], 3.0, 7.0, 2.8, id="a network without a cooldown"),
    ],
)
def test_until_when_an_address_cools_at_least(
    network: str, steps: list[ClockStep], since: float, until: float, cool_until: float
) -> None:
    """Before that nobody else may be given it."""
    run = sorted_history([_POOL, *steps])
    assert run.cools_until(network, since, until) == pytest.approx(cool_until)
