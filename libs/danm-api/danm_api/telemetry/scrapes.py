"""Metrics as Prometheus asks for them: OpenMetrics, which has exemplars, or the plain text."""

from typing import Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Gauge,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.openmetrics import exposition as openmetrics

_OPENMETRICS: Final = "application/openmetrics-text"

# When each series began, as a series of its own: nobody asks, and it is one in seven of all.
disable_created_metrics()  # type: ignore[no-untyped-call]

READY: Final = Gauge("danm_ready", "1 while the process says so at /readyz.")


def exposition(accept: str, registry: CollectorRegistry = REGISTRY) -> tuple[bytes, str]:
    """Return a registry's metrics and their content type.

    Args:
        accept: The request's header of that name; whoever does not ask for OpenMetrics gets the
            plain text.
        registry: What to show.
    """
    if _OPENMETRICS in accept:
        body: bytes = openmetrics.generate_latest(registry)  # type: ignore[no-untyped-call]
        return body, openmetrics.CONTENT_TYPE_LATEST
    return generate_latest(registry), CONTENT_TYPE_LATEST
