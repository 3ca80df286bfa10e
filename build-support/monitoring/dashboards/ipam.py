"""ipam-svc: how quickly it answers, what it refuses, and how its record is written."""

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


def ipam() -> Dashboard:
    """Return the dashboard."""
    return (
        dashboard("ipam-svc", "DANM / ipam-svc", "The service that knows who holds which address.")
        .with_panel(
            graph(
                "Answers, 99 %",
                "By path.",
                Query(
                    expr=quantile(m.IPAM_REQUEST.bucket, 0.99, "method", "path"),
                    legend="{{method}} {{path}}",
                ),
                unit="s",
            )
        )
        .with_panel(
            graph(
                "Requests",
                "By path.",
                Query(
                    expr=rate(m.IPAM_REQUEST.count, "method", "path"),
                    legend="{{method}} {{path}}",
                ),
                unit="ops",
            )
        )
        .with_panel(
            graph(
                "Under way",
                "Requests and connections of each replica.",
                Query(expr=m.IN_FLIGHT, legend="requests {{instance}}"),
                Query(expr=m.CONNECTIONS, legend="connections {{instance}}"),
            )
        )
        .with_panel(
            graph(
                "Refused for their number",
                "503: too many of all; 429: too many of one caller.",
                Query(expr=rate_or_none(m.REFUSED, "status"), legend="{{status}}"),
                unit="ops",
            )
        )
        .with_panel(
            graph(
                "Writes of blocks",
                "How long one takes.",
                *quantiles(m.BLOCK_WRITE.bucket),
                unit="s",
            )
        )
        .with_panel(
            graph(
                "Changes in one write",
                "The more callers come at once, the more one write carries.",
                Query(
                    expr=f"sum(rate({m.BATCH.sum}[{WINDOW}]))"
                    f" / (sum(rate({m.BATCH.count}[{WINDOW}])) > 0)"
                    " or vector(0)",
                    legend="average",
                ),
            )
        )
        .with_panel(
            graph(
                "Conflicts, and lists that had to be consistent",
                "Both cost a request to the API server.",
                Query(expr=rate(m.CONFLICTS), legend="conflicts"),
                Query(expr=rate(m.CONSISTENT_LISTS), legend="lists"),
                unit="ops",
            )
        )
        .with_panel(
            graph(
                "DanmEps of lost nodes that were deleted",
                "Their Pods are on other nodes now, or gone.",
                Query(expr=rate(m.ENDPOINTS_DELETED), legend="deleted"),
                unit="ops",
            )
        )
        .with_panel(
            graph(
                "Until the certificates end",
                "A replica's own (serving) is renewed 15 days before, the authority a year before.",
                Query(expr=f"{m.CERTIFICATE_ENDS} - time()", legend="{{certificate}} {{instance}}"),
                unit="s",
                minimum=None,
            )
        )
    )
