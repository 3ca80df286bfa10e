"""Durations as Prometheus reads them."""

import pytest

from monitoring.durations import Durations, write


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        pytest.param(86_400, "1d", id="day"),
        pytest.param(5400, "90m", id="no whole hours"),
        pytest.param(7200, "2h", id="hours"),
        pytest.param(2.5, "2500ms", id="parts of a second"),
        pytest.param(0, "0ms", id="nothing"),
    ],
)
def test_the_largest_unit_that_divides_it(seconds: float, text: str) -> None:
    """Nothing is lost by a unit."""
    assert write(seconds) == text


def test_tests_shrink_them() -> None:
    """Windows and waits alike."""
    durations = Durations(scale=0.01)
    assert durations.text(300) == "3s"
    assert durations.scaled(300) == pytest.approx(3)
