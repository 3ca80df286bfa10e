"""Series of times."""

import pytest

from tests.lab.bench.cni.results import times


def test_a_series_is_summed_up() -> None:
    """Of 1 to 100, the nth percentile is n, in whatever order they come."""
    found = times([float(value) for value in range(100, 0, -1)])
    assert (found.count, found.p50, found.p90, found.p99, found.max) == (100, 50, 90, 99, 100)


def test_one_time_is_every_percentile() -> None:
    """A single measurement is its own median and its own worst case."""
    found = times([7.0])
    assert (found.p50, found.p90, found.p99, found.max) == (7.0, 7.0, 7.0, 7.0)


def test_nothing_measured_has_no_times() -> None:
    """A case in which nothing succeeded is refused, not shown as infinitely fast."""
    with pytest.raises(ValueError, match="nothing"):
        times([])
