"""The back-off of queues and informers."""

from hypothesis import given
from hypothesis import strategies as st

from danm_api.kube.backoff import delay_after


def test_delays_double_up_to_their_bound() -> None:
    """Without jitter the delays double until the longest."""
    delays = [delay_after(n, base_s=0.1, max_s=1.0, rng=lambda: 0.0) for n in range(1, 7)]
    assert delays == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


@given(st.integers(min_value=0, max_value=10**9), st.floats(min_value=0, max_value=1))
def test_jitter_only_shortens(failures: int, uniform: float) -> None:
    """Whatever the randomness, the bound holds and no delay vanishes."""
    delay = delay_after(failures, base_s=0.05, max_s=30, rng=lambda: uniform)
    assert 0.05 * 0.75 <= delay <= 30
