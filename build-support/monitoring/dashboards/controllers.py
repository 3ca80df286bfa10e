"""What follows the API server: watches, queues, Leases, verdicts and endpoints."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from monitoring import metrics as m
from monitoring.panels import (
    Query,
    dashboard,
    graph,
    quantile,
    quantiles,
    rate,
    rate_or_none,
)


def controllers() -> Dashboard:
    """Return the dashboard."""
    return (
        dashboard(
            "controllers", "DANM / Controllers", "Validator, netwatcher, svcwatcher, watches."
        )
        .with_panel(
            graph(
                "Who leads",
                "One of each Lease's candidates.",
                Query(
                    expr=f"sum by (lease, instance) ({m.LEADING})", legend="{{lease}} {{instance}}"
                ),
                maximum=1,
            )
        )
        .with_panel(
            graph(
                "Since a watch heard something",
                "The alert DanmStaleWatch begins at five minutes.",
                Query(
                    expr=f"max by (job, resource) (time() - {m.INFORMER_HEARD})",
                    legend="{{job}} {{resource}}",
                ),
                unit="s",
            )
        )
        .with_panel(
            graph(
                "Keys that wait",
                "By queue; those that wait for their next try too.",
                Query(expr=f"sum by (job, queue) ({m.QUEUE_DEPTH})", legend="{{job}} {{queue}}"),
            )
        )
        .with_panel(
            graph(
                "Reconciles",
                "By outcome.",
                Query(
                    expr=rate(m.RECONCILES, "job", "queue", "outcome"),
                    legend="{{job}} {{queue}} {{outcome}}",
                ),
                unit="ops",
            )
        )
        .with_panel(
            graph(
                "Time of one reconcile, 99 %",
                "By queue.",
                Query(
                    expr=quantile(m.RECONCILE.bucket, 0.99, "job", "queue"),
                    legend="{{job}} {{queue}}",
                ),
                unit="s",
            )
        )
        .with_panel(
            graph(
                "Objects in memory",
                "By kind; of one process.",
                Query(
                    expr=f"max by (job, resource) ({m.INFORMER_OBJECTS})",
                    legend="{{job}} {{resource}}",
                ),
            )
        )
        .with_panel(
            graph(
                "News of watches",
                "By kind.",
                Query(
                    expr=rate(m.INFORMER_EVENTS, "job", "resource"), legend="{{job}} {{resource}}"
                ),
                unit="ops",
            )
        )
        .with_panel(
            graph(
                "Watches that failed, lists, objects that cannot be read",
                "A list reads all objects of a kind.",
                Query(expr=rate(m.INFORMER_ERRORS, "job"), legend="failed {{job}}"),
                Query(expr=rate(m.INFORMER_LISTS, "job"), legend="lists {{job}}"),
                Query(expr=rate(m.INFORMER_UNDECODABLE, "job"), legend="unreadable {{job}}"),
                unit="ops",
            )
        )
        .with_panel(
            graph(
                "From an event to the end of a Service's slices",
                "svcwatcher's promise is a second.",
                *quantiles(m.FOLLOW.bucket),
                unit="s",
            )
        )
        .with_panel(
            graph(
                "Objects that svcwatcher writes",
                "By kind and what is done.",
                Query(expr=rate(m.WRITES, "resource", "verb"), legend="{{verb}} {{resource}}"),
                unit="ops",
            )
        )
        .with_panel(
            graph(
                "Told to users",
                "Verdicts about DanmNets, and complaints about Services, by reason.",
                Query(expr=rate_or_none(m.VERDICTS, "verdict"), legend="verdict {{verdict}}"),
                Query(expr=rate_or_none(m.COMPLAINTS, "reason"), legend="complaint {{reason}}"),
                unit="ops",
            )
        )
        .with_panel(
            graph(
                "Kubernetes Events that were not written",
                "Too many at once, or refused.",
                Query(expr=rate(m.EVENTS_LOST, "job", "cause"), legend="{{job}} {{cause}}"),
                unit="ops",
            )
        )
    )
