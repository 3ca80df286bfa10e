"""What Prometheus gets for what it asks for."""

import pytest
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from danm_api.telemetry.scrapes import exposition

# As Prometheus 2.42 and 3.5 ask.
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


def a_registry() -> CollectorRegistry:
    """Have a histogram with an exemplar."""
    registry = CollectorRegistry()
    took = Histogram("took_seconds", "How long.", registry=registry, buckets=(0.5,))
    took.observe(0.25, exemplar={"trace_id": "0af7"})
    return registry


def test_prometheus_gets_exemplars() -> None:
    """Whoever asks for OpenMetrics gets it, and in it the traces behind a histogram."""
    body, content_type = exposition(PROMETHEUS, a_registry())
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    (family,) = text_string_to_metric_families(body.decode())  # type: ignore[no-untyped-call]
    exemplars = [each.exemplar for each in family.samples if each.exemplar is not None]
    assert [each.labels for each in exemplars] == [{"trace_id": "0af7"}]


@pytest.mark.parametrize(
    "accept",
    [
        pytest.param("", id="nothing"),
        pytest.param("*/*", id="anything"),
        pytest.param("text/plain;version=not-a-version", id="nonsense"),
    ],
)
def test_others_get_the_plain_text(accept: str) -> None:
    """That has no exemplars, nor a series that says when another one began."""
    body, content_type = exposition(accept, a_registry())
    assert content_type.startswith("text/plain")
    assert b'took_seconds_bucket{le="0.5"} 1.0\n' in body
    assert b"0af7" not in body
    assert b"_created" not in body
