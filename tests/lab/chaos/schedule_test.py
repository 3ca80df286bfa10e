"""A seed's schedule of faults."""

from itertools import islice

import pytest

from tests.lab.chaos.schedule import IPAM_DECK, Card, Fault, Kind, Part, round_s, schedule


def _first(seed: int, count: int) -> list[Fault]:
    return list(islice(schedule(seed, replicas=3), count))


def test_a_seed_says_it_all() -> None:
    """The same seed gives the same faults, another one others."""
    assert _first(7, 100) == _first(7, 100)
    assert _first(7, 100) != _first(8, 100)


@pytest.mark.parametrize("seed", range(20))
def test_a_round_breaks_everything(seed: int) -> None:
    """Whatever the seed, a round has every kind of fault, in the order of time."""
    faults = _first(seed, 21)
    assert {fault.kind for fault in faults} == {card.kind for card in IPAM_DECK}
    assert [fault.at for fault in faults] == sorted(fault.at for fault in faults)
    assert {fault.replica for fault in faults} <= {0, 1, 2}


def test_faults_may_be_further_apart() -> None:
    """The same faults, with more time between."""
    usual, calm = _first(7, 21), list(islice(schedule(7, replicas=3, apart=4), 21))
    assert [fault.kind for fault in usual] == [fault.kind for fault in calm]
    assert calm[0].at == pytest.approx(4 * usual[0].at)
    assert calm[-1].at > 2 * usual[-1].at


@pytest.mark.parametrize("seed", range(20))
def test_a_process_is_whole_before_it_is_broken_again(seed: int) -> None:
    """A replica is neither killed while it is frozen nor frozen while it is down."""
    whole = [0.0, 0.0, 0.0]
    for fault in _first(seed, 200):
        if fault.kind in {Kind.KILL, Kind.FREEZE}:
            assert fault.at >= whole[fault.replica]
            whole[fault.replica] = fault.at + fault.duration_s


@pytest.mark.parametrize("seed", range(20))
def test_what_breaks_all_is_alone(seed: int) -> None:
    """A fault of a replica that is not known before meets no other one of that part."""
    deck = [
        Card(kind=Kind.FREEZE, part=Part.PROCESS, shortest_s=1, longest_s=9),
        Card(kind=Kind.KILL, part=Part.PROCESS, shortest_s=1, longest_s=9),
        Card(kind=Kind.FREEZE_LEADER, part=Part.PROCESS, shortest_s=1, longest_s=9, whole=True),
    ]
    faults = list(islice(schedule(seed, replicas=3, deck=deck), 60))
    for leader in (fault for fault in faults if fault.kind is Kind.FREEZE_LEADER):
        others = [fault for fault in faults if fault is not leader]
        assert all(
            fault.at >= leader.at + leader.duration_s or fault.at + fault.duration_s <= leader.at
            for fault in others
        )
    assert round_s(deck) > 0
