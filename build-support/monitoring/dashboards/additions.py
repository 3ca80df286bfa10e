"""How long Pods wait for their networks."""

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from monitoring import metrics as m
from monitoring.panels import (
    WINDOW,
    Query,
    dashboard,
    graph,
    quantile,
    quantiles,
    rate,
    rate_or_none,
)

_ADD: Final = '{verb="ADD"}'
_FAILED: Final = '{result!="ok"}'


def additions() -> Dashboard:
    """Return the dashboard."""
    return (
        dashboard(
            "add-latency",
            "DANM / ADD latency",
            "From the runtime's request to danmd's answer. Dots are single requests; they lead to"
            " their traces.",
        )
        .with_panel(
            graph(
                "ADD",
                "All nodes, refusals too.",
                *quantiles(m.REQUEST.bucket, where=_ADD),
                unit="s",
            )
        )
        .with_panel(
            graph(
                "Steps of an ADD, 95 %",
                "Where the time goes; several steps of one request may run side by side. The dots"
                " are of single requests.",
                Query(
                    expr=quantile(m.STEP.bucket, 0.95, "step", where=_ADD),
                    legend="{{step}}",
                    exemplars=True,
                ),
                unit="s",
            )
        )
        .with_panel(
            graph(
                "Steps of an ADD, on average",
                "Each step's part of an average ADD, failed ones too.",
                Query(
                    expr=f"sum by (step) (rate({m.STEP.sum}{_ADD}[{WINDOW}]))"
                    f" / ignoring (step) group_left () {rate(m.REQUEST.count, where=_ADD)}",
                    legend="{{step}}",
                ),
                unit="s",
            )
        )
        .with_panel(
            graph(
                "Steps that failed or took too long",
                "By verb and step.",
                Query(
                    expr=rate_or_none(m.STEP.count, "verb", "step", "result", where=_FAILED),
                    legend="{{verb}} {{step}} {{result}}",
                ),
                unit="ops",
            )
        )
        .with_panel(
            graph(
                "ADD by node, 95 %",
                "A node that is slower than the others has a slow disk, or much to do.",
                Query(expr=quantile(m.REQUEST.bucket, 0.95, "node", where=_ADD), legend="{{node}}"),
                unit="s",
            )
        )
        .with_panel(
            graph(
                "Other verbs, 95 %",
                "DEL, CHECK, GC and STATUS, and those of fakeipam.",
                Query(
                    expr=quantile(m.REQUEST.bucket, 0.95, "verb", where='{verb!="ADD"}'),
                    legend="{{verb}}",
                ),
                unit="s",
            )
        )
        .with_panel(
            graph(
                "Requests",
                "By verb and result.",
                Query(expr=rate(m.REQUEST.count, "verb", "result"), legend="{{verb}} {{result}}"),
                unit="ops",
            )
        )
        .with_panel(
            graph(
                "ipam-svc's part: reservations",
                "How long ipam-svc takes to answer a node.",
                *quantiles(m.IPAM_REQUEST.bucket, where='{method="POST"}'),
                unit="s",
            )
        )
        .with_panel(
            graph(
                "The API server's part: writes of blocks",
                "One write carries the requests that came meanwhile.",
                *quantiles(m.BLOCK_WRITE.bucket),
                unit="s",
            )
        )
    )
