"""Names of metrics are those that are shown."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from monitoring.metrics import Buckets, gauge, total


def test_names_are_those_of_the_samples() -> None:
    """As Prometheus gets them, suffixes included, whether the name was given with one or not."""
    registry = CollectorRegistry()
    level = Gauge("level", "A gauge", registry=registry)
    short = Counter("short", "A counter", registry=registry)
    long = Counter("long_total", "Another", registry=registry)
    took = Buckets(Histogram("took_seconds", "A histogram", registry=registry))
    shown = {
        line.split("{")[0].split(" ")[0]
        for line in generate_latest(registry).decode().splitlines()
        if not line.startswith("#")
    }
    assert {gauge(level), total(short), total(long), took.bucket, took.count, took.sum} <= shown
