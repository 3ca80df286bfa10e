"""Rates and percentiles."""

import pytest

from tests.lab.bench.figures import figures, middle, percentile


@pytest.mark.parametrize(
    ("percent", "expected"),
    [
        pytest.param(0, 1.0, id="least"),
        pytest.param(50, 50.0, id="median"),
        pytest.param(99, 99.0, id="99"),
        pytest.param(99.5, 100.0, id="rounded up"),
        pytest.param(100, 100.0, id="greatest"),
    ],
)
def test_percentile_is_a_measured_value(percent: float, expected: float) -> None:
    """Of 1 to 100, the nth percentile is n."""
    assert percentile([float(value) for value in range(1, 101)], percent) == expected


def test_one_value_is_every_percentile() -> None:
    """A single measurement is its own median and its own worst case."""
    found = figures([7.0], failed=0, seconds=0.5)
    assert (found.p50_ms, found.p99_ms, found.max_ms, found.rate) == (7.0, 7.0, 7.0, 2.0)


def test_order_does_not_matter_and_failures_are_no_rate() -> None:
    """The rate counts what succeeded; times come in the order of answers."""
    found = figures([9.0, 1.0, 5.0], failed=2, seconds=1.5)
    assert (found.done, found.failed, found.rate) == (3, 2, 2.0)
    assert (found.p50_ms, found.max_ms) == (5.0, 9.0)


@pytest.mark.parametrize(("times", "seconds"), [([], 1.0), ([1.0], 0.0)])
def test_nothing_measured_has_no_figures(times: list[float], seconds: float) -> None:
    """A load in which nothing succeeded is refused, not shown as infinitely fast or slow."""
    with pytest.raises(ValueError, match="no"):
        figures(times, failed=1, seconds=seconds)


def test_middle_of_repeats() -> None:
    """Each figure is the median of the repeats, so that one slow moment decides nothing."""
    repeats = [figures([ms], failed=1, seconds=ms / 1000) for ms in (1.0, 100.0, 2.0)]
    found = middle(repeats)
    assert (found.p50_ms, found.rate, found.failed) == (2.0, 500.0, 3)
