"""Panels: what Grafana gets."""

import json
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Panel

from monitoring.panels import Query, Step, graph, number, quantiles, rate, rate_or_none, table


def _as_json(panel: Panel) -> dict[str, Any]:
    text = json.dumps(panel, cls=JSONEncoder)
    found: dict[str, Any] = json.loads(text)
    return found


def test_a_graph_asks_over_time() -> None:
    """Each query has a letter of its own, and exemplars only where they are asked for."""
    queries = [Query(expr="a", legend="{{node}}"), Query(expr="b", exemplars=True)]
    panel = _as_json(graph("Title", "Text", *queries, unit="s").build())
    assert (panel["type"], panel["title"], panel["description"]) == ("timeseries", "Title", "Text")
    assert [
        (each["refId"], each["expr"], each["exemplar"], each["range"]) for each in panel["targets"]
    ] == [("A", "a", False, True), ("B", "b", True, True)]
    assert panel["fieldConfig"]["defaults"]["unit"] == "s"


def test_a_number_is_green_below_its_first_step() -> None:
    """Colors change at the steps; the value is of now."""
    panel = _as_json(number("T", "D", Query(expr="a"), steps=[Step(at=1, color="red")]).build())
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert [(each["value"], each["color"]) for each in steps] == [(None, "green"), (1, "red")]
    assert panel["targets"][0]["instant"]


def test_a_table_has_a_column_for_each_query() -> None:
    """Under its heading, with its unit; the time of the query is no column."""
    columns = (("Free", "short", Query(expr="a")), ("Fill", "percentunit", Query(expr="b")))
    panel = _as_json(table("T", "D", *columns, hidden=["job"]).build())
    merge, organize = panel["transformations"]
    assert merge["id"] == "merge"
    assert organize["options"]["renameByName"] == {"Value #A": "Free", "Value #B": "Fill"}
    assert organize["options"]["excludeByName"] == {"Time": True, "job": True}
    assert [each["format"] for each in panel["targets"]] == ["table", "table"]
    assert [
        (each["matcher"]["options"], each["properties"][0]["value"])
        for each in panel["fieldConfig"]["overrides"]
    ] == [("Free", "short"), ("Fill", "percentunit")]


def test_rates_are_summed_by_labels() -> None:
    """A counter that shows nothing before the first time is zero until then."""
    assert rate("c_total", "a", "b", where='{x="1"}') == (
        'sum by (a, b) (rate(c_total{x="1"}[$__rate_interval]))'
    )
    assert rate_or_none("c_total") == "sum (rate(c_total[$__rate_interval])) or vector(0)"


def test_quantiles_keep_the_buckets_and_show_single_requests_once() -> None:
    """Median, 95 % and 99 %; the dots would hide one another on three curves."""
    asked = quantiles("h_bucket", "verb", exemplars=True)
    assert [each.expr for each in asked] == [
        f"histogram_quantile({part}, sum by (le, verb) (rate(h_bucket[$__rate_interval])))"
        for part in ("0.5", "0.95", "0.99")
    ]
    assert [each.exemplars for each in asked] == [False, False, True]
    assert [each.legend for each in asked] == ["half {{verb}}", "95 % {{verb}}", "99 % {{verb}}"]
