"""Every query of every panel and alert has an answer where DANM runs."""

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest

from monitoring import metrics as m
from monitoring.alerts import alerts
from tests.lab.process import wait_until
from tests.monitoring.cast import playing
from tests.monitoring.prometheus import Prometheus, running
from tests.monitoring.queries import Asked, committed_queries, unanswered

# What these parts in memory do not do: the lab's test asks for it.
NOT_PLAYED: Final = frozenset(
    {
        # Nobody overloads this ipam-svc.
        "ipam-svc: Refused for their number: A",
    }
)
_WINDOW: Final = "5s"
_ANSWERED_S: Final = 60.0


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that scrapes all parts."""
    directory = tmp_path_factory.mktemp("queries")
    with playing(directory) as actors:
        scrape = [actor.scrape() for actor in actors.values()]
        with running(directory, scrape=scrape, interval="500ms") as started:
            wait_until(
                started.all_up,
                what=f"All parts are scraped (logs: {directory})",
                timeout_s=_ANSWERED_S,
            )
            yield started


def test_every_query_has_an_answer(prometheus: Prometheus) -> None:
    """No panel is empty, and no alert asks for what nobody shows."""
    queries = committed_queries(window=_WINDOW)
    left: dict[str, str] = {}

    def answered() -> bool:
        left.clear()
        left.update(unanswered(prometheus, queries, zero_counts=False))
        return left.keys() <= NOT_PLAYED

    try:
        wait_until(answered, what="All queries are answered", timeout_s=_ANSWERED_S, poll_s=1.0)
    finally:
        print("\n".join(f"{where}: {expression}" for where, expression in left.items()))
    assert left.keys() == NOT_PLAYED


def test_every_rule_is_asked(prometheus: Prometheus) -> None:
    """Prometheus understands each alert's whole query, which has no answer while all is well."""
    found: list[str] = []

    def none() -> bool:
        found[:] = [alert.name for alert in alerts() if prometheus.query(alert.expression)]
        return not found

    try:
        # Parts that have only just started do not lead at once.
        wait_until(none, what="No alert has a cause", timeout_s=_ANSWERED_S, poll_s=1.0)
    finally:
        print(found)


def test_steps_have_dots_that_lead_to_traces(prometheus: Prometheus) -> None:
    """What the panel of steps asks for with exemplars, Prometheus has them of."""
    asked = f'{m.STEP.bucket}{{verb="ADD"}}'
    began = time.time() - _ANSWERED_S
    found: list[Mapping[str, Any]] = []

    def shown() -> bool:
        found[:] = prometheus.exemplars(asked, start=began, end=time.time() + _ANSWERED_S)
        return bool(found)

    wait_until(shown, what="There are exemplars", timeout_s=_ANSWERED_S)
    exemplars = [exemplar for series in found for exemplar in series["exemplars"]]
    assert {len(each["labels"]["trace_id"]) for each in exemplars} == {32}


def test_a_query_for_what_is_not_there_is_found(prometheus: Prometheus) -> None:
    """A metric, or a label's value, that nobody shows is told with the panel's name."""
    queries = [
        Asked(where="metric", expression="danm_renamed"),
        Asked(where="label", expression='danm_ready{job="renamed"}'),
        Asked(where="no number", expression="0 / (danm_ready - danm_ready)"),
        Asked(where="well", expression="danm_ready"),
    ]
    assert unanswered(prometheus, queries, zero_counts=False).keys() == {
        "metric",
        "label",
        "no number",
    }
