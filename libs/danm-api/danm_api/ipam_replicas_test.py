"""The order in which replicas are asked."""

from danm_api.ipam_replicas import ReplicaOrder


class _Clock:
    """Seconds that the test moves."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


_GIVEN = ["a", "b", "c"]


def test_who_answered_last_is_asked_first() -> None:
    """The others keep the order in which they are given: the ready ones first."""
    order = ReplicaOrder(_Clock())
    assert order.of(_GIVEN) == ["a", "b", "c"]
    order.prefer("b")
    assert order.of(_GIVEN) == ["b", "a", "c"]
    assert order.of(["a", "c"]) == ["a", "c"]


def test_a_silent_replica_costs_only_those_who_asked_it_first() -> None:
    """Who was asked and answered nothing for a second is not asked while there are others."""
    clock = _Clock()
    order = ReplicaOrder(clock)
    order.prefer("a")
    order.sent("a")
    clock.seconds += 0.9
    assert order.of(_GIVEN) == ["a", "b", "c"]
    order.sent("a")
    clock.seconds += 0.2
    assert order.of(_GIVEN) == ["b", "c", "a"]
    order.heard("a", parts=False)
    assert order.of(_GIVEN) == ["a", "b", "c"]


def test_a_slow_answer_is_no_silence_while_others_come() -> None:
    """A replica that answers something is alive, whatever it takes for one request."""
    clock = _Clock()
    order = ReplicaOrder(clock)
    order.sent("a")
    clock.seconds += 5
    order.heard("a", parts=False)
    clock.seconds += 5
    assert order.of(_GIVEN) == ["a", "b", "c"]


def test_those_that_stop_come_last_the_earliest_of_them_first() -> None:
    """At the address of the one that stopped first there may be its successor."""
    clock = _Clock()
    order = ReplicaOrder(clock)
    order.prefer("a")
    order.heard("a", parts=True)
    clock.seconds += 1
    order.heard("b", parts=True)
    assert order.of(_GIVEN) == ["c", "a", "b"]
    order.heard("a", parts=False)
    assert order.of(_GIVEN) == ["a", "c", "b"]


def test_a_replica_that_is_gone_is_forgotten() -> None:
    """Whoever has its address later begins without its past."""
    clock = _Clock()
    order = ReplicaOrder(clock)
    order.sent("a")
    order.heard("b", parts=True)
    clock.seconds += 5
    assert order.of(["c"]) == ["c"]
    assert order.of(_GIVEN) == ["a", "b", "c"]
