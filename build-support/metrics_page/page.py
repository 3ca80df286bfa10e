"""The page, of what the parts define. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final

from metrics_page.conventions import LABELS
from metrics_page.inventory import MetricInfo, Part

_HEAD: Final = """# Metrics

Written by `PYTHONPATH=build-support python -m metrics_page` out of what the parts define; a test
says when to write it anew.

Names follow Prometheus' conventions: base units, `_total` for counters, and no label whose values
grow with what users do ([what bounds them](#labels)). Histograms have `_bucket`, `_sum` and
`_count`. All processes have the `process_` and `python_` metrics of prometheus-client as well.

Whoever asks for OpenMetrics, as Prometheus does, gets exemplars: a bucket of
`danmd_step_duration_seconds` names the trace (`trace_id`) of one ADD or DEL whose step took so
long, where traces are collected (`OTEL_EXPORTER_OTLP_ENDPOINT`). Prometheus keeps them with
`--enable-feature=exemplar-storage`.

Where an ADD's seconds go, as seconds of each step in the average ADD:

    sum by (step) (rate(danmd_step_duration_seconds_sum{verb="ADD"}[5m]))
      / scalar(sum(rate(danmd_request_duration_seconds_count{verb="ADD"}[5m])))
"""


def page(parts: Sequence[Part]) -> str:
    """Return the page in Markdown."""
    return "\n".join(_lines(parts)) + "\n"


def _lines(parts: Sequence[Part]) -> Iterator[str]:
    yield _HEAD
    for part in parts:
        yield f"## {part.title}\n\n{part.where}\n"
        yield "| metric | type | labels | unit | meaning |"
        yield "| --- | --- | --- | --- | --- |"
        yield from map(_row, part.metrics)
        yield ""
    yield "## Labels\n\n| label | its values |\n| --- | --- |"
    for label, values in sorted(LABELS.items()):
        yield f"| `{label}` | {values} |"


def _row(metric: MetricInfo) -> str:
    labels = ", ".join(f"`{each}`" for each in metric.labels)
    text = metric.text.replace("|", "\\|")
    return f"| `{metric.name}` | {metric.type} | {labels} | {metric.unit} | {text} |"
