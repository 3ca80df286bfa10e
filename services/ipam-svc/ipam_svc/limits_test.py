"""Token buckets, and each caller's share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danm_api.errors import OverloadedError, RateLimitedError
from danm_api.model.caller import Caller
from danm_api.names import NodeName
from danm_api.testing.clock import FakeClock
from ipam_svc.limits import Admission, BodyBudget, Limits, Rate, RateLimiter

_JANE = Caller(username="jane", uid="", groups=())
_JOHN = Caller(username="john", uid="", groups=())


def _danmd(node: str) -> Caller:
    return Caller(username="danmd", uid="", groups=(), node=NodeName(node))


@given(
    st.lists(st.floats(0, 3), max_size=50),
    st.floats(0.1, 100),
    st.integers(1, 20),
)
def test_a_bucket_never_gives_more_than_its_rate(
    pauses: list[float], per_s: float, burst: int
) -> None:
    """Whatever the pauses, at most the burst and the rate times the time are given."""
    clock = FakeClock()
    limiter = RateLimiter[str](Rate(per_s=per_s, burst=burst), clock=clock)
    given_ = 0
    for pause in pauses:
        clock.advance(pause)
        given_ += limiter.take("k") == 0
    assert given_ <= burst + per_s * sum(pauses) + 1e-6


def test_a_bucket_says_when_there_is_a_token_again() -> None:
    """Who waits as long as told is served; who asks meanwhile loses nothing."""
    clock = FakeClock()
    limiter = RateLimiter[str](Rate(per_s=2, burst=1), clock=clock)
    assert limiter.take("k") == 0
    assert limiter.take("k") == 0.5
    clock.advance(0.25)
    assert limiter.take("k") == 0.25
    clock.advance(0.25)
    assert limiter.take("k") == 0


def test_whoever_looks_takes_nothing() -> None:
    """How long to wait is known without a token, also of a key that was never heard of."""
    clock = FakeClock()
    limiter = RateLimiter[str](Rate(per_s=2, burst=1), clock=clock)
    assert limiter.wait("k") == 0
    assert len(limiter) == 0
    assert limiter.take("k") == 0
    assert [limiter.wait("k"), limiter.wait("k")] == [0.5, 0.5]
    clock.advance(0.5)
    assert limiter.wait("k") == 0
    assert limiter.take("k") == 0


def test_keys_do_not_share() -> None:
    """One that asks too much takes nothing from another."""
    limiter = RateLimiter[str](Rate(per_s=1, burst=1), clock=FakeClock())
    assert [limiter.take(key) for key in ("a", "b", "a")] == [0, 0, 1]


def test_number_of_buckets_is_bounded() -> None:
    """However many keys ask, the last ones alone are remembered."""
    # DESIGN P6
    limiter = RateLimiter[int](Rate(per_s=1, burst=1), clock=FakeClock(), limit=3)
    for key in range(1000):
        limiter.take(key)
    assert len(limiter) == 3
    assert limiter.take(999) > 0


def test_requests_of_a_caller_at_once_are_bounded() -> None:
    """One caller leaves room for others, and gets more when it has its answers."""
    admission = Admission(Limits(caller_in_flight=2), danmd_user="danmd", clock=FakeClock())
    admission.enter(_JANE)
    admission.enter(_JANE)
    with pytest.raises(OverloadedError, match="2 requests of jane"):
        admission.enter(_JANE)
    admission.enter(_JOHN)
    admission.leave(_JANE)
    admission.enter(_JANE)


def test_nodes_have_a_rate_of_their_own() -> None:
    """Each node's danmd is a caller; a token of its user without a node is like anybody's."""
    limits = Limits(caller=Rate(per_s=1, burst=1), node=Rate(per_s=1, burst=2), caller_in_flight=9)
    admission = Admission(limits, danmd_user="danmd", clock=FakeClock())
    for node in ("n1", "n2"):
        admission.enter(_danmd(node))
        admission.enter(_danmd(node))
    with pytest.raises(RateLimitedError, match="danmd of n1"):
        admission.enter(_danmd("n1"))
    unbound = Caller(username="danmd", uid="", groups=())
    admission.enter(unbound)
    with pytest.raises(RateLimitedError):
        admission.enter(unbound)


def test_usual_limits_are_above_what_a_node_asks() -> None:
    """512 callers that come as one node's danmd, or as one tool, are not refused at once."""
    admission = Admission(Limits(), danmd_user="danmd", clock=FakeClock())
    for caller in (_danmd("n1"), _JANE):
        for _ in range(512):
            admission.enter(caller)


def test_bytes_of_bodies_that_have_not_come_whole_are_bounded() -> None:
    """One caller leaves room for others, all together have a bound, and what is read is free again.

    A node's danmd is a caller on each node.
    """
    # DESIGN P6
    budget = BodyBudget(Limits(body_bytes=10, caller_body_bytes=6))
    budget.add(_JANE, 4)
    with pytest.raises(OverloadedError, match="4 bytes of jane wait for the rest"):
        budget.add(_JANE, 3)
    budget.add(_danmd("n1"), 3)
    budget.add(_danmd("n2"), 3)
    with pytest.raises(OverloadedError, match="too many bodies"):
        budget.add(_JOHN, 1)
    budget.remove(_JANE, 4)
    budget.add(_JOHN, 4)
    for caller, size in ((_JOHN, 4), (_danmd("n1"), 3), (_danmd("n2"), 3), (_JANE, 0)):
        budget.remove(caller, size)
    assert len(budget) == 0
