"""The checker refuses what is wrong, rule by rule, and accepts what is right."""

import pytest

from tests.lab.chaos.checker import check
from tests.lab.chaos.history import (
    ClockStep,
    End,
    Entry,
    Fault,
    Pool,
    Record,
    Release,
    Reserve,
    ReserveAnswer,
    Seen,
    Send,
    Snapshot,
    Wish,
)

_ONE, _TWO = "10.0.0.1", "10.0.0.2"


def _pool(*addresses: str, cooldown_s: float = 0.0, network: str = "net", wire: str = "") -> Pool:
    return Pool(
        network=network,
        family=4,
        addresses=addresses or (_ONE,),
        cooldown_s=cooldown_s,
        wire=wire,
    )


def _ask(
    owner: str,
    start: float,
    end: float,
    *addresses: str,
    answer: ReserveAnswer = "held",
    attempt: int = 1,
    exactly: str = "",
    until: float | None = None,
    wishes: int = 1,
    network: str = "net",
) -> Reserve:
    return Reserve(
        owner=owner,
        wishes=tuple(
            Wish(
                holder=owner if wishes == 1 else f"{owner}/{number}",
                network=network,
                family=4,
                exactly=exactly,
            )
            for number in range(wishes)
        ),
        sends=(Send(attempt=attempt, at=start),),
        start=start,
        end=end,
        answer=answer,
        addresses=addresses,
        attempt=attempt if addresses else 0,
        until=until,
    )


def _give(owner: str, start: float, end: float, *, attempt: int = 1) -> Release:
    return Release(
        owner=owner, holders=(owner,), attempt=attempt, start=start, end=end, answer="done"
    )


def _saw(
    at: float, address: str, holder: str = "", attempt: int = 1, *, network: str = "net"
) -> Seen:
    attempt = attempt if holder else 0
    return Seen(network=network, address=address, at=at, holder=holder, attempt=attempt)


def _on_a_wire(*records: Record) -> list[Record]:
    return [_pool(_ONE, wire="w"), _pool(_TWO, network="other", wire="w"), *records]


def _cooling(*records: Record, cooldown_s: float = 5.0) -> list[Record]:
    """Have an owner from 0.5 s to 2.5 s, then something, and look at 20 s."""
    return [
        _pool(cooldown_s=cooldown_s),
        _ask("a", 0, 1, _ONE),
        _saw(0.5, _ONE, "a"),
        _give("a", 2, 3),
        *records,
    ]


def _look(at: float, **held: str) -> Snapshot:
    return Snapshot(
        at=at,
        held=tuple(
            Entry(network="net", address=address, holder=holder, attempt=1)
            for holder, address in held.items()
        ),
    )


def _rules(history: list[Record]) -> set[str]:
    return {violation.rule for violation in check(history)}


_REFUSED = [
    pytest.param(
        "double",
        [
            _ask("a", 0, 2, _ONE),
            _saw(1, _ONE, "a"),
            _ask("b", 3, 4, _ONE),
            _look(10, a=_ONE),
        ],
        id="two answers while nobody gave back",
    ),
    pytest.param(
        "double",
        [
            _ask("a", 0, 2, _ONE),
            _ask("b", 1, 3, _ONE),
            _give("a", 3.5, 4),
            _look(10, b=_ONE),
        ],
        id="two answers to requests at one time, one given back too late",
    ),
    pytest.param(
        "double",
        [
            _ask("a", 0, 1, _ONE),
            _ask("a", 2, 3, answer="unknown", attempt=2),
            _ask("b", 4, 5, _ONE),
            _look(10, b=_ONE),
        ],
        id="a request without an answer gives nothing up",
    ),
    pytest.param(
        "double",
        [
            _ask("a", 0, 1, _ONE, attempt=2),
            _give("a", 2, 3, attempt=1),
            _ask("b", 4, 5, _ONE),
            _look(10, b=_ONE),
        ],
        id="a late release of an older attempt gives nothing up",
    ),
    pytest.param(
        "double",
        [
            _ask("a", 0, 1, _ONE, until=9),
            _ask("b", 7, 8, _ONE),
            _look(10, b=_ONE),
        ],
        id="before the owner's time was over",
    ),
    pytest.param(
        "double",
        [
            _ask("a", 0, 1, _ONE),
            _ask("b", 2, 3, _TWO),
            _ask("c", 4, 5, _ONE),
            _look(10, b=_TWO, c=_ONE),
        ],
        id="another address between",
    ),
    pytest.param(
        "lost",
        [
            _ask("a", 0, 2, _ONE),
            _saw(1, _ONE, "a"),
            _saw(3, _ONE),
            _saw(3.5, _ONE, "a", 2),
            _ask("a", 3, 4, _ONE, attempt=2),
            _look(10, a=_ONE),
        ],
        id="nobody had it for a moment",
    ),
    pytest.param(
        "lost",
        [
            _ask("a", 0, 2, _ONE),
            _saw(1, _ONE, "a"),
            _ask("b", 2.5, 4, answer="unknown"),
            _saw(3, _ONE, "b"),
            _saw(4.5, _ONE),
            _look(10, a=_ONE),
        ],
        id="taken over by one who got no answer",
    ),
    pytest.param(
        "lost",
        [
            _ask("a", 0, 2, _ONE),
            _saw(1, _ONE, "a"),
            _saw(3, _ONE),
            _give("a", 3.1, 4),
            _look(10),
        ],
        id="gone before it was given back",
    ),
    pytest.param(
        "lost",
        [
            _ask("a", 0, 1, _ONE, attempt=2),
            _saw(0.5, _ONE, "a", 2),
            _give("a", 2, 4, attempt=1),
            _saw(3, _ONE),
            _look(10),
        ],
        id="freed by a late release of an older attempt",
    ),
    pytest.param(
        "lost",
        [
            _ask("a", 0, 1, _ONE),
            _saw(0.5, _ONE, "a"),
            _ask("a", 2, 3, _TWO, attempt=2),
            _saw(2.5, _TWO, "a", 2),
            _look(10, a=_TWO),
        ],
        id="another answer to the same owner",
    ),
    pytest.param(
        "lost",
        [_ask("a", 0, 1, _ONE), _saw(0.5, _ONE, "a"), _look(10)],
        id="not in the record at the end",
    ),
    pytest.param(
        "lost",
        [
            _ask("a", 0, 1, _ONE, until=20),
            _saw(0.5, _ONE, "a"),
            _saw(5, _ONE),
            _look(21),
        ],
        id="freed before its time was over",
    ),
    pytest.param(
        "lost",
        [
            _ask("a", 0, 1, _ONE, until=20),
            _saw(0.5, _ONE, "a"),
            ClockStep(since=3, at=3.2, forward_s=14),
            ClockStep(since=4, at=4.2, forward_s=-2),
            ClockStep(since=20, at=20.2, forward_s=9),
            _saw(5, _ONE),
            _look(21),
        ],
        id="freed before its time was over by a clock that was set",
    ),
    pytest.param(
        "full",
        [_pool(), _ask("a", 0, 1, answer="exhausted"), _look(10)],
        id="nobody ever had anything",
    ),
    pytest.param(
        "full",
        [
            _pool(),
            _ask("a", 0, 1, _ONE),
            _saw(0.5, _ONE, "a"),
            _give("a", 2, 3),
            _saw(2.5, _ONE),
            _ask("b", 3, 4, answer="exhausted"),
            _look(10),
        ],
        id="given back before",
    ),
    pytest.param(
        "full",
        [
            _pool(_ONE, _TWO),
            _ask("a", 0, 1, _ONE),
            _saw(0.5, _ONE, "a"),
            _ask("b", 2, 9, answer="exhausted"),
            _ask("c", 3, 4, _TWO),
            _saw(3.5, _TWO, "c"),
            _give("a", 1.1, 2.5),
            _saw(2.6, _ONE),
            _look(10, c=_TWO),
        ],
        id="one or the other was free at each moment",
    ),
    pytest.param(
        "full",
        [
            _pool(_ONE, _TWO, "10.0.0.3"),
            _ask("a", 0, 1, _ONE),
            _saw(0.5, _ONE, "a"),
            _ask("b", 2, 3, answer="exhausted", wishes=2),
            _look(10, a=_ONE),
        ],
        id="two wanted and two free",
    ),
    pytest.param(
        "full",
        [
            _pool(),
            _ask("a", 0, 1, answer="unknown"),
            _ask("b", 2, 3, answer="exhausted"),
            _look(10),
        ],
        id="a request that never took effect takes no room",
    ),
    pytest.param(
        "full",
        [_ask("a", 0, 1, answer="taken", exactly=_ONE), _look(10)],
        id="a static address that nobody had",
    ),
    pytest.param(
        "full",
        [
            _pool(cooldown_s=2),
            _ask("a", 0, 1, _ONE),
            _saw(0.5, _ONE, "a"),
            _give("a", 2, 3),
            _saw(2.5, _ONE),
            _ask("b", 7, 8, answer="exhausted"),
            _look(10),
        ],
        id="long after the cooldown",
    ),
    pytest.param(
        "stranger",
        [_ask("a", 0, 1, _ONE), _look(10, a=_ONE)],
        id="an answer that no record had",
    ),
    pytest.param(
        "stranger",
        [_ask("a", 0, 1, _ONE, attempt=2), _saw(0.5, _ONE, "a", 1), _look(10, a=_ONE)],
        id="an answer to another attempt than the recorded one",
    ),
    pytest.param(
        "stranger",
        [_saw(1, _ONE, "x"), _saw(2, _ONE), _look(10)],
        id="recorded for one who never asked",
    ),
    pytest.param(
        "stranger",
        [_saw(1, _ONE, "a"), _ask("a", 2, 3, _ONE), _look(10, a=_ONE)],
        id="recorded before it was asked for",
    ),
    pytest.param(
        "leak",
        [_ask("a", 0, 1, answer="unknown"), _saw(2, _ONE, "a"), _look(10, a=_ONE)],
        id="left by a request without an answer",
    ),
    pytest.param(
        "leak",
        [
            _ask("a", 0, 1, _ONE),
            _saw(0.5, _ONE, "a"),
            _give("a", 2, 3),
            _look(10, a=_ONE),
        ],
        id="released and still there",
    ),
    pytest.param(
        "leak",
        [
            _ask("a", 0, 1, _ONE),
            _saw(0.5, _ONE, "a"),
            End(owner="a", at=2),
            _look(10, a=_ONE),
        ],
        id="of a node that is gone",
    ),
    pytest.param(
        "leak",
        [
            _ask("a", 0, 1, _ONE, until=5),
            _saw(0.5, _ONE, "a"),
            _look(10, a=_ONE),
        ],
        id="of an owner whose time is over",
    ),
    pytest.param(
        "leak",
        [
            _ask("a", 0, 1, _ONE),
            _saw(0.5, _ONE, "a"),
            _ask("a", 2, 3, answer="unknown", attempt=2),
            _saw(3, _TWO, "a", 2),
            _look(10, a=_TWO),
        ],
        id="a second address of an owner that has its first",
    ),
    pytest.param(
        "double",
        _on_a_wire(
            _ask("a", 0, 2, _ONE),
            _saw(1, _ONE, "a"),
            _ask("b", 3, 4, _ONE, network="other", exactly=_ONE),
            _saw(3.5, _ONE, "b", network="other"),
        ),
        id="on one wire, by another network",
    ),
    pytest.param(
        "double",
        _on_a_wire(
            _ask("a", 0, 2, _ONE),
            _ask("a", 3, 4, _ONE, network="other", exactly=_ONE, attempt=2),
        ),
        id="on one wire, by two networks to one owner",
    ),
    pytest.param(
        "double",
        _on_a_wire(
            _ask("a", 0, 2, answer="unknown"),
            _saw(1, _ONE, "a"),
            _ask("b", 0, 4, answer="unknown", network="other", exactly=_ONE),
            _saw(1.5, _ONE, "b", network="other"),
            _saw(2, _ONE),
            _saw(2.5, _ONE, network="other"),
        ),
        id="recorded on one wire by two networks, though neither was answered",
    ),
    pytest.param(
        "early",
        _cooling(_saw(2.5, _ONE), _ask("b", 5, 6, _ONE), _saw(5.5, _ONE, "b")),
        id="while it cooled",
    ),
    pytest.param(
        "early",
        _cooling(_ask("b", 1, 6, _ONE), _saw(2.5, _ONE, "b")),
        id="by the very write that freed it",
    ),
    pytest.param(
        "early",
        _cooling(
            _saw(2.5, _ONE), _ask("b", 5, 6, answer="unknown"), _saw(5.5, _ONE, "b"), _saw(6, _ONE)
        ),
        id="while it cooled, to one who heard nothing of it",
    ),
    pytest.param(
        "early",
        _cooling(_saw(2.5, _ONE), _ask("a", 5, 6, _ONE, attempt=2), _saw(5.5, _ONE, "a", 2)),
        id="while it cooled, to who had it before",
    ),
    pytest.param(
        "early",
        _cooling(_saw(2.5, _ONE), _ask("b", 5, 6, _ONE, exactly=_TWO), _saw(5.5, _ONE, "b")),
        id="while it cooled, to one who asked for another one",
    ),
    pytest.param(
        "early",
        [
            _pool(cooldown_s=5),
            _ask("a", 0, 1, _ONE),
            _saw(0.5, _ONE, "a"),
            End(owner="a", at=2),
            _saw(3, _ONE),
            _ask("b", 5, 6, _ONE),
            _saw(5.5, _ONE, "b"),
        ],
        id="while it cooled after its owner's node was gone",
    ),
    pytest.param(
        "early",
        [
            _pool(cooldown_s=9),
            _ask("a", 0, 1, _ONE, until=5),
            _saw(0.5, _ONE, "a"),
            _saw(6, _ONE),
            _ask("b", 11, 12, _ONE),
            _saw(11.5, _ONE, "b"),
        ],
        id="while it cooled after its owner's time was over",
    ),
    pytest.param(
        "early",
        _cooling(
            _saw(2.5, _ONE),
            ClockStep(since=3, at=3.2, forward_s=1.0),
            ClockStep(since=3, at=3.2, forward_s=-9.0),
            ClockStep(since=7, at=8, forward_s=9.0),
            _ask("b", 5, 6, _ONE),
            _saw(5.5, _ONE, "b"),
        ),
        id="while it cooled, though the wall clock was set",
    ),
    pytest.param("unproven", [_ask("a", 0, 1, answer="refused")], id="nobody looked"),
    pytest.param(
        "unproven",
        [_look(5), _ask("a", 6, 7, answer="refused")],
        id="nobody looked after the last request",
    ),
    pytest.param(
        "unproven",
        [Fault(kind="kill", target="one", start=1, end=2), _look(33)],
        id="looked when more than 30 s had passed",
    ),
    pytest.param(
        "unproven",
        [_look(5), Fault(kind="kill", target="one", start=1, end=6)],
        id="looked before the last fault was over",
    ),
]


@pytest.mark.parametrize(("rule", "history"), _REFUSED)
def test_refuses(rule: str, history: list[Record]) -> None:
    """Each broken promise is found, whatever hides it."""
    assert rule in _rules(history)


_ACCEPTED = [
    pytest.param([_look(1)], id="nothing"),
    pytest.param(
        [
            _pool(),
            _ask("a", 0, 1, _ONE),
            _saw(0.5, _ONE, "a"),
            _give("a", 2, 5),
            _ask("b", 2.5, 4, _ONE),
            _saw(2.9, _ONE),
            _saw(3, _ONE, "b"),
            _look(10, b=_ONE),
        ],
        id="given to the next before the release is answered",
    ),
    pytest.param(
        [
            _ask("a", 0, 1, answer="unknown"),
            _saw(0.9, _ONE, "a"),
            _ask("a", 2, 3, _ONE, attempt=2),
            _saw(2.5, _ONE, "a", 2),
            _look(10, a=_ONE),
        ],
        id="asked again after an answer was lost",
    ),
    pytest.param(
        [
            _pool(),
            _ask("a", 0, 1, answer="unknown"),
            _ask("b", 2, 4, answer="exhausted"),
            _saw(5, _ONE, "a"),
            _give("a", 6, 7),
            _saw(6.5, _ONE),
            _look(10),
        ],
        id="full by a request whose answer was lost, which is seen late",
    ),
    pytest.param(
        [
            _pool(_ONE, _TWO),
            _ask("a", 0, 1, _ONE),
            _saw(0.5, _ONE, "a"),
            _ask("b", 2, 3, answer="exhausted", wishes=2),
            _look(10, a=_ONE),
        ],
        id="two wanted and one free",
    ),
    pytest.param(
        [
            _pool(_ONE, _TWO),
            _ask("a", 0, 1, _ONE),
            _saw(0.5, _ONE, "a"),
            _ask("b", 2, 9, answer="exhausted"),
            _ask("c", 3, 4, _TWO),
            _saw(3.5, _TWO, "c"),
            _give("c", 5, 6),
            _saw(5.5, _TWO),
            _look(10, a=_ONE),
        ],
        id="full for one moment",
    ),
    pytest.param(
        [
            _ask("a", 0, 1, _ONE),
            _saw(0.5, _ONE, "a"),
            _ask("b", 2, 3, answer="taken", exactly=_ONE),
            _look(10, a=_ONE),
        ],
        id="a static address that somebody has",
    ),
    pytest.param(
        [
            _pool(cooldown_s=2),
            _ask("a", 0, 1, _ONE),
            _saw(0.5, _ONE, "a"),
            _give("a", 2, 3),
            _saw(2.5, _ONE),
            _ask("b", 4, 5, answer="exhausted"),
            _look(10),
        ],
        id="cooling",
    ),
    pytest.param(
        [
            _ask("a", 0, 1, _ONE),
            _saw(0.5, _ONE, "a"),
            _give("a", 2, 3),
            _ask("a", 4, 5, _ONE, attempt=2),
            _saw(5.5, _ONE),
            _saw(6, _ONE, "a", 2),
            _look(10, a=_ONE),
        ],
        id="seen long after it happened",
    ),
    pytest.param(
        [
            _ask("a", 0, 1, _ONE, attempt=2),
            _saw(0.5, _ONE, "a", 2),
            _ask("a", 0, 9, _TWO, attempt=1),
            _saw(0.4, _TWO, "a", 1),
            _saw(3, _TWO),
            _look(10, a=_ONE),
        ],
        id="an answer to an attempt that was given up is not used",
    ),
    pytest.param(
        [
            _ask("a", 0, 1, _ONE, until=5),
            _saw(0.5, _ONE, "a"),
            _ask("b", 5.5, 6, _ONE),
            _saw(5.7, _ONE, "b"),
            _look(10, b=_ONE),
        ],
        id="taken when its owner's time was over",
    ),
    pytest.param(
        [
            _ask("a", 0, 7, _ONE, until=5),
            _saw(4.9, _ONE, "a"),
            _ask("b", 5.5, 6, _ONE),
            _saw(5.7, _ONE, "b"),
            _look(10, b=_ONE),
        ],
        id="taken when its owner's time was over, which heard too late that it had it",
    ),
    pytest.param(
        [
            _ask("a", 0, 1, _ONE, until=20),
            _saw(0.5, _ONE, "a"),
            ClockStep(since=3, at=3.2, forward_s=16),
            _saw(5, _ONE),
            _look(21),
        ],
        id="its owner's time was over earlier, since the wall clock was set",
    ),
    pytest.param(
        [
            _pool(cooldown_s=3),
            _ask("a", 0, 1, _ONE),
            _saw(0.5, _ONE, "a"),
            _give("a", 2, 3),
            _saw(2.5, _ONE),
            ClockStep(since=3, at=3.2, forward_s=-4),
            _ask("b", 9.5, 10, answer="exhausted"),
            _look(11),
        ],
        id="an address cooled longer, since the wall clock was set back",
    ),
    pytest.param(
        [
            _ask("a", 0, 1, _ONE),
            _saw(0.5, _ONE, "a"),
            End(owner="a", at=2),
            _saw(3, _ONE),
            _ask("b", 3, 4, _ONE),
            _saw(3.5, _ONE, "b"),
            _look(10, b=_ONE),
        ],
        id="freed for a node that is gone",
    ),
    pytest.param(
        [
            *_on_a_wire(
                _ask("a", 0, 1, _ONE),
                _saw(0.5, _ONE, "a"),
                _ask("b", 0, 1, _TWO, network="other"),
                _saw(0.5, _TWO, "b", network="other"),
                _give("a", 2, 3),
                _saw(2.5, _ONE),
                _ask("c", 3, 4, _ONE, network="other", exactly=_ONE),
                _saw(3.5, _ONE, "c", network="other"),
                _give("b", 5, 6),
                _saw(5.5, _TWO, network="other"),
                _give("c", 5, 6),
                _saw(5.6, _ONE, network="other"),
            ),
            _look(10),
        ],
        id="on one wire, one after the other",
    ),
    pytest.param(
        [
            _pool(),
            _pool(network="other"),
            _ask("a", 0, 1, _ONE),
            _saw(0.5, _ONE, "a"),
            _ask("b", 0, 1, _ONE, network="other"),
            _saw(0.5, _ONE, "b", network="other"),
            _give("a", 2, 3),
            _saw(2.5, _ONE),
            _give("b", 2, 3),
            _saw(2.5, _ONE, network="other"),
            _look(10),
        ],
        id="on two wires at once",
    ),
    pytest.param(
        [
            *_cooling(_saw(2.5, _ONE), _ask("b", 1, 8, _ONE), _saw(7, _ONE, "b")),
            _look(20, b=_ONE),
        ],
        id="asked for before it was given back, and given when it had cooled",
    ),
    pytest.param(
        [
            *_cooling(_saw(6.5, _ONE), _ask("b", 6, 8, _ONE), _saw(7, _ONE, "b")),
            _look(20, b=_ONE),
        ],
        id="cooled since its release, which the record showed long after",
    ),
    pytest.param(
        [
            *_cooling(_saw(2.5, _ONE), _ask("b", 5, 6, _ONE, exactly=_ONE), _saw(5.5, _ONE, "b")),
            _look(20, b=_ONE),
        ],
        id="cooling, and asked for by its address",
    ),
    pytest.param(
        [
            *_cooling(
                _saw(2.5, _ONE),
                ClockStep(since=3, at=3.2, forward_s=2.0),
                _ask("b", 5, 6, _ONE),
                _saw(5.5, _ONE, "b"),
            ),
            _look(20, b=_ONE),
        ],
        id="cooled sooner, since the wall clock was set",
    ),
    pytest.param(
        [
            _pool(cooldown_s=5),
            _ask("a", 0, 1, answer="exhausted", wishes=2),
            _saw(0.5, _ONE, "a/0"),
            _saw(0.7, _ONE),
            _ask("b", 1, 2, _ONE),
            _saw(1.5, _ONE, "b"),
            _look(20, b=_ONE),
        ],
        id="given back by a request that failed, so that nobody ever had it",
    ),
    pytest.param(
        [
            _pool(cooldown_s=9),
            _ask("a", 0, 1, _ONE, until=5),
            _saw(0.5, _ONE, "a"),
            _saw(13, _ONE),
            _ask("b", 13, 15, _ONE),
            _saw(14.5, _ONE, "b"),
            _look(20, b=_ONE),
        ],
        id="cooled since its owner's time was over",
    ),
]


@pytest.mark.parametrize("history", _ACCEPTED)
def test_accepts(history: list[Record]) -> None:
    """What some order of the unseen moments explains is blamed on nobody."""
    assert check(history) == []
