"""The conventions find what they are for, and nothing among the metrics of the parts."""

from typing import Any

import pytest

from metrics_page.conventions import LABELS, violations
from metrics_page.inventory import MetricInfo, parts


def a_metric(**changes: Any) -> MetricInfo:  # noqa: ANN401  (of any field)
    """Return a metric as it should be, but for the changes."""
    given: dict[str, Any] = {
        "name": "danm_things_total",
        "type": "counter",
        "labels": ("reason",),
        "text": "Things that happened",
    }
    return MetricInfo(**(given | changes))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        pytest.param({"name": "svcwatcher_things_total"}, "begins with", id="prefix"),
        pytest.param({"name": "danm_things"}, "end with _total", id="counter"),
        pytest.param({"type": "gauge"}, "nothing else does", id="gauge"),
        pytest.param({"name": "danm_Things_total"}, "lower case", id="case"),
        pytest.param({"name": "danm__things_total"}, "single underscores", id="underscores"),
        pytest.param(
            {"name": "danm_wait_milliseconds", "type": "histogram"}, "no base unit", id="unit"
        ),
        pytest.param(
            {"name": "danm_seconds_waited", "type": "gauge"}, "comes last", id="unit first"
        ),
        pytest.param({"name": "danm_thing_count", "type": "gauge"}, "Prometheus' own", id="end"),
        pytest.param({"name": "danm_thing_info", "type": "histogram"}, "that is 1", id="info"),
        pytest.param({"name": "danm_thing_gauge", "type": "gauge"}, "its type", id="type"),
        pytest.param({"text": ""}, "no help", id="help"),
        pytest.param({"labels": ("pod",)}, "not in LABELS", id="unbounded"),
        pytest.param({"labels": ("Reason",)}, "no word", id="label"),
        pytest.param({"name": "danm_things_by_reason_total"}, "say its labels", id="label in name"),
    ],
)
def test_what_is_against_them_is_told(changes: dict[str, Any], sentence: str) -> None:
    """One sentence each."""
    (told,) = violations(a_metric(**changes))
    assert sentence in told


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="counter"),
        pytest.param({"name": "danm_wait_seconds", "type": "histogram"}, id="histogram"),
        pytest.param({"name": "danm_wait_seconds_total"}, id="counter of seconds"),
        pytest.param({"name": "danm_thing_info", "type": "gauge"}, id="information"),
        pytest.param({"name": "danmd_ends_timestamp_seconds", "type": "gauge"}, id="moment"),
    ],
)
def test_what_is_as_it_should_be_is_left_alone(changes: dict[str, Any]) -> None:
    """No sentence."""
    assert list(violations(a_metric(**changes))) == []


def test_all_metrics_follow_them() -> None:
    """Names, units, and labels whose values do not grow with what users do."""
    assert [told for part in parts() for each in part.metrics for told in violations(each)] == []


def test_every_label_that_is_explained_is_used() -> None:
    """The page explains no label that nobody has."""
    used = {label for part in parts() for each in part.metrics for label in each.labels}
    assert used == set(LABELS)
