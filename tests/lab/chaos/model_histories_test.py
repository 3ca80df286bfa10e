"""A right service is accepted, whatever it did; one mistake is enough to be refused."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.lab.chaos.checker import check
from tests.lab.chaos.history import Entry, Pool, Record, Reserve, Seen, Send, Snapshot, Wish
from tests.lab.chaos.holds import Hold, holds_of
from tests.lab.chaos.model_histories import NETWORK, POOL, model_history


@given(st.randoms(use_true_random=False))
def test_accepts_what_a_right_service_does(chance: Random) -> None:
    """No history of a service that is right by construction is refused."""
    assert check(model_history(chance)) == []


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mutation:
    """A way to make a right history wrong; it returns None where it does not apply."""

    rule: str
    apply: Callable[[list[Record], Random], list[Record] | None]


def _another_answer(history: list[Record], chance: Random) -> list[Record] | None:
    """Answer a request with what somebody else has for sure at that moment."""
    return _answered_with(history, chance, lambda own, other: own.holder != other.holder)


def _of_the_other_network(history: list[Record], chance: Random) -> list[Record] | None:
    """Answer a request with what somebody has on the wire by the other network."""
    return _answered_with(history, chance, lambda own, other: own.network != other.network)


def _answered_with(
    history: list[Record], chance: Random, picks: Callable[[Hold, Hold], bool]
) -> list[Record] | None:
    holds, _ = holds_of(history)
    found = [
        (position, hold.place[1])
        for position, record in enumerate(history)
        if isinstance(record, Reserve) and record.answer == "held"
        for own in holds
        if own.holder == record.owner and own.since == record.end
        for hold in holds
        if picks(own, hold) and hold.since <= record.end < hold.until
    ]
    if not found:
        return None
    position, address = chance.choice(found)
    changed = list(history)
    changed[position] = msgspec.structs.replace(history[position], addresses=(address,))
    return changed


def _taken_away(history: list[Record], chance: Random) -> list[Record] | None:
    """Let the record forget what somebody has for sure, if only for a moment."""
    holds, _ = holds_of(history)
    found = [hold for hold in holds if hold.until - hold.since > 0.01]
    if not found:
        return None
    hold = chance.choice(found)
    before = [
        (position, record)
        for position, record in enumerate(history)
        if isinstance(record, Seen)
        and record.address == hold.place[1]
        and record.at <= hold.since + 0.01
    ]
    position, last = before[-1]
    gone = Seen(network=hold.network, address=last.address, at=hold.since + 0.005)
    again = msgspec.structs.replace(last, at=hold.since + 0.006)
    return [*history[: position + 1], gone, again, *history[position + 1 :]]


def _refused(history: list[Record], _chance: Random) -> list[Record] | None:
    """Refuse somebody when all was over and nobody had the last address."""
    last = history[-1]
    assert isinstance(last, Snapshot)
    if sum(entry.network == NETWORK for entry in last.held) == len(POOL):
        return None
    late = Reserve(
        owner="late",
        wishes=(Wish(holder="late", network=NETWORK, family=4),),
        sends=(Send(attempt=1, at=last.at - 2),),
        start=last.at - 2,
        end=last.at - 1,
        answer="exhausted",
    )
    return [*history, late]


def _left(history: list[Record], _chance: Random) -> list[Record] | None:
    """Leave an entry of an owner that has nothing."""
    last = history[-1]
    assert isinstance(last, Snapshot)
    entry = Entry(network=NETWORK, address="10.0.0.9", holder="o1", attempt=99)
    return [*history[:-1], msgspec.structs.replace(last, held=(*last.held, entry))]


def _forgotten(history: list[Record], _chance: Random) -> list[Record] | None:
    """Leave an owner out of the last look."""
    last = history[-1]
    assert isinstance(last, Snapshot)
    if not last.held:
        return None
    return [*history[:-1], msgspec.structs.replace(last, held=last.held[1:])]


def _before_it_cooled(history: list[Record], _chance: Random) -> list[Record] | None:
    """Let the network promise to hand nothing out again for as long as the run lasts."""
    holds, _ = holds_of(history)
    owned = Counter(hold.place for hold in holds if hold.network == NETWORK)
    if max(owned.values(), default=0) < 2:
        return None
    return [
        (
            msgspec.structs.replace(record, cooldown_s=1000.0)
            if isinstance(record, Pool) and record.network == NETWORK
            else record
        )
        for record in history
    ]


def _invented(history: list[Record], chance: Random) -> list[Record] | None:
    """Record an address under a number that was never sent."""
    found = [
        position
        for position, record in enumerate(history)
        if isinstance(record, Seen) and record.holder
    ]
    if not found:
        return None
    position = chance.choice(found)
    changed = list(history)
    changed[position] = msgspec.structs.replace(history[position], attempt=77)
    return changed


@pytest.mark.parametrize(
    "mutation",
    [
        pytest.param(_Mutation(rule="double", apply=_another_answer), id="another answer"),
        pytest.param(_Mutation(rule="double", apply=_of_the_other_network), id="on the wire"),
        pytest.param(_Mutation(rule="early", apply=_before_it_cooled), id="before it cooled"),
        pytest.param(_Mutation(rule="lost", apply=_taken_away), id="taken away"),
        pytest.param(_Mutation(rule="full", apply=_refused), id="refused"),
        pytest.param(_Mutation(rule="leak", apply=_left), id="left"),
        pytest.param(_Mutation(rule="lost", apply=_forgotten), id="forgotten"),
        pytest.param(_Mutation(rule="stranger", apply=_invented), id="invented"),
    ],
)
@given(chance=st.randoms(use_true_random=False))
def test_refuses_what_one_mistake_makes_of_it(mutation: _Mutation, chance: Random) -> None:
    """One mistake in an otherwise right history is found, and under its own name."""
    changed = mutation.apply(model_history(chance), chance)
    assume(changed is not None)
    assert changed is not None
    assert mutation.rule in {violation.rule for violation in check(changed)}
