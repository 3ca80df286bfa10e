"""Every query of every panel and alert, and whether a Prometheus has an answer."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from monitoring.alerts import alerts
from tests.monitoring.prometheus import Prometheus

DIRECTORY: Final = Path(__file__).parents[2] / "deploy" / "monitoring"
# What a panel shows where something has not happened yet.
_OR_ZERO: Final = " or vector(0)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A query, and who asks it."""

    where: str
    expression: str


def committed_queries(*, window: str) -> list[Asked]:
    """Return what the committed dashboards and the alerts ask.

    Args:
        window: In the place of Grafana's window: several times the scrapes' interval.
    """
    return [*_of_dashboards(window), *_of_alerts()]


def unanswered(
    prometheus: Prometheus, queries: list[Asked], *, zero_counts: bool
) -> dict[str, str]:
    """Return the queries that have no answer with a number: where -> what is asked.

    Args:
        prometheus: Who is asked.
        queries: What is asked.
        zero_counts: Whether a zero that a panel shows for what never happened is an answer.
    """
    left = {}
    for asked in queries:
        expression = asked.expression
        if not zero_counts:
            expression = expression.removesuffix(_OR_ZERO)
        if not prometheus.query(expression):
            left[asked.where] = expression
    return left


def _of_dashboards(window: str) -> Iterator[Asked]:
    for path in sorted((DIRECTORY / "dashboards").glob("*.json")):
        dashboard = json.loads(path.read_text())
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                yield Asked(
                    where=f"{path.stem}: {panel['title']}: {target['refId']}",
                    expression=_filled_in(target["expr"], dashboard, window),
                )


def _filled_in(expression: str, dashboard: dict[str, Any], window: str) -> str:
    """Return an expression as Grafana sends it while all values are chosen."""
    text = expression.replace("$__rate_interval", window)
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            text = re.sub(rf"\${variable['name']}\b", variable["allValue"], text)
    assert "$" not in text, text
    return text


def _of_alerts() -> Iterator[Asked]:
    for alert in alerts():
        for cause in alert.causes:
            yield Asked(where=f"{alert.name}: {cause.reason}", expression=cause.measure)
