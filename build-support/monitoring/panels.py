"""Panels, so that all dashboards look alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from grafana_foundation_sdk.builders.common import VizLegendOptions
from grafana_foundation_sdk.builders.dashboard import (
    Dashboard,
    DatasourceVariable,
    QueryVariable,
    ThresholdsConfig,
)
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as Graph
from grafana_foundation_sdk.models.common import (
    DataSourceRef,
    LegendDisplayMode,
    LegendPlacement,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataTransformerConfig,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

T = TypeVar("T")

# Grafana fills in a window that holds several scrapes.
WINDOW: Final = "$__rate_interval"
_SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")
_HEIGHT: Final = 8
_COLUMNS: Final = 24
_TAG: Final = "danm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One query of a panel.

    Attributes:
        expr: PromQL.
        legend: How each series is called, with labels as Grafana has them: ``{{node}}``.
        exemplars: Show single requests that lead to their traces.
    """

    expr: str
    legend: str = ""
    exemplars: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """From a value on, something has a color."""

    at: float
    color: str


def dashboard(name: str, title: str, description: str) -> Dashboard:
    """Begin a dashboard; ``name`` is its file's and a part of its address."""
    return (
        Dashboard(title)
        .uid(f"danm-{name}")
        .description(description)
        .tags([_TAG])
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .time("now-6h", "now")
        .refresh("1m")
        .timezone("browser")
        .with_variable(DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )


def choice(label: str, metric: str) -> QueryVariable:
    """Let the reader choose values of a label, all of them by default."""
    return (
        QueryVariable(label)
        .datasource(_SOURCE)
        .query(f"label_values({metric}, {label})")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(multi=True)
        .include_all(include_all=True)
        .all_value(".*")
    )


def graph(
    title: str,
    description: str,
    *queries: Query,
    unit: str = "short",
    minimum: float | None = 0,
    maximum: float | None = None,
    span: int = _COLUMNS // 2,
) -> Graph:
    """Return curves over time; ``span`` is of 24 columns."""
    panel = (
        Graph()
        .title(title)
        .description(description)
        .datasource(_SOURCE)
        .unit(unit)
        .span(span)
        .height(_HEIGHT)
        .fill_opacity(8)
        .legend(
            VizLegendOptions()
            .show_legend(show_legend=True)
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
        )
    )
    if minimum is not None:
        panel = panel.min(minimum)
    if maximum is not None:
        panel = panel.max(maximum)
    for letter, query in _lettered(queries):
        panel = panel.with_target(_target(letter, query).range())
    return panel


def number(
    title: str,
    description: str,
    query: Query,
    *,
    unit: str = "short",
    steps: Sequence[Step] = (),
    span: int = 6,
) -> Stat:
    """Return a number of now, green below the first step."""
    return (
        Stat()
        .title(title)
        .description(description)
        .datasource(_SOURCE)
        .unit(unit)
        .span(span)
        .height(_HEIGHT // 2)
        .thresholds(_thresholds(steps))
        .with_target(_target("A", query).instant())
    )


def table(
    title: str,
    description: str,
    *columns: tuple[str, str, Query],
    hidden: Sequence[str] = (),
) -> Table:
    """Return a table with a row for each set of labels.

    Args:
        title: Above it.
        description: What it tells.
        columns: Heading, unit and query of each.
        hidden: Labels that are no columns.
    """
    panel = (
        Table()
        .title(title)
        .description(description)
        .datasource(_SOURCE)
        .span(_COLUMNS)
        .height(_HEIGHT)
        .with_transformation(DataTransformerConfig(id_val="merge", options={}))
    )
    renamed = {}
    for letter, (heading, unit, query) in _lettered(columns):
        panel = panel.with_target(_target(letter, query).instant().format(PromQueryFormat.TABLE))
        panel = panel.override_by_name(heading, [DynamicConfigValue(id_val="unit", value=unit)])
        renamed[f"Value #{letter}"] = heading
    excluded = {name: True for name in ("Time", *hidden)}
    options = {"renameByName": renamed, "excludeByName": excluded}
    return panel.with_transformation(DataTransformerConfig(id_val="organize", options=options))


def rate(counter: str, *by: str, where: str = "") -> str:
    """Return how often per second something is counted, summed up by labels."""
    return f"sum{_by(by)} (rate({counter}{where}[{WINDOW}]))"


def rate_or_none(counter: str, *by: str, where: str = "") -> str:
    """Return the same of a counter that shows nothing before the first time: then zero."""
    return f"{rate(counter, *by, where=where)} or vector(0)"


def quantile(bucket: str, part: float, *by: str, where: str = "") -> str:
    """Return within which time so large a part of what a histogram saw was done."""
    return f"histogram_quantile({part:g}, {rate(bucket, 'le', *by, where=where)})"


def quantiles(bucket: str, *by: str, where: str = "", exemplars: bool = False) -> list[Query]:
    """Return median, 95th and 99th percentile; single requests are shown with the last."""
    legend = " ".join(f"{{{{{label}}}}}" for label in by)
    return [
        Query(
            expr=quantile(bucket, part, *by, where=where),
            legend=f"{name} {legend}".rstrip(),
            exemplars=exemplars and part == max(_PARTS.values()),
        )
        for name, part in _PARTS.items()
    ]


_PARTS: Final = {"half": 0.5, "95 %": 0.95, "99 %": 0.99}


def _by(labels: Sequence[str]) -> str:
    return f" by ({', '.join(labels)})" if labels else ""


def _lettered(things: Sequence[T]) -> list[tuple[str, T]]:
    return [(chr(ord("A") + number), thing) for number, thing in enumerate(things)]


def _target(letter: str, query: Query) -> Dataquery:
    return (
        Dataquery()
        .ref_id(letter)
        .datasource(_SOURCE)
        .expr(query.expr)
        .legend_format(query.legend)
        .exemplar(query.exemplars)
    )


def _thresholds(steps: Sequence[Step]) -> ThresholdsConfig:
    return (
        ThresholdsConfig()
        .mode(ThresholdsMode.ABSOLUTE)
        .steps(
            [
                Threshold(value=None, color="green"),
                *(Threshold(value=step.at, color=step.color) for step in steps),
            ]
        )
    )
