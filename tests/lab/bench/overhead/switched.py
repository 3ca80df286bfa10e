"""Runs a module whose metrics and traces a switch turns off and on while it runs.

DANM_BENCH_SWITCH=FILE python -m tests.lab.bench.overhead.switched -m MODULE [ARGUMENT...]

Both sides of a comparison are one process then: two processes of the same program differ by more
than what is looked for.
"""

import os
import runpy
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import prometheus_client
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from prometheus_client import metrics

from danm_api.telemetry import traces
from tests.lab.bench.overhead.switch import VARIABLE, Switch


def _nothing(*_args: object, **_options: object) -> None:
    """Take the place of what counts."""


@contextmanager
def _no_time(*_args: object) -> Iterator[None]:
    """Take the place of a block that is timed."""
    yield


class _NoSeries:
    """Takes the place of a series."""

    inc = dec = set = observe = set_to_current_time = set_function = staticmethod(_nothing)
    time = staticmethod(_no_time)


_NO_SERIES: Final = _NoSeries()


def _no_series(*_args: object, **_options: object) -> _NoSeries:
    """Take the place of the choice of a series."""
    return _NO_SERIES


def _either(switch: Switch, on: Callable[..., Any], off: Callable[..., Any]) -> Callable[..., Any]:
    shared = switch.shared

    def chosen(*args: Any, **options: Any) -> Any:  # noqa: ANN401  (whatever the two take)
        return on(*args, **options) if shared[0] else off(*args, **options)

    return chosen


def switch_metrics(switch: Switch) -> None:
    """Have the metrics of this process count while the switch is on, those that others hold too.

    Gauges whose value is asked for when they are scraped are as ever.
    """
    for kind, names in (
        (prometheus_client.Counter, ("inc",)),
        (prometheus_client.Gauge, ("inc", "dec", "set", "set_to_current_time")),
        (prometheus_client.Histogram, ("observe",)),
    ):
        for name in names:
            setattr(kind, name, _either(switch, getattr(kind, name), _nothing))
    for timed in (prometheus_client.Gauge, prometheus_client.Histogram):
        setattr(timed, "time", _either(switch, timed.time, _no_time))  # noqa: B010  (typed)
    family = metrics.MetricWrapperBase
    setattr(family, "labels", _either(switch, family.labels, _no_series))  # noqa: B010


def switch_traces(switch: Switch) -> None:
    """Have this process make and send spans while the switch is on; else it is as without."""

    def no_span(*_args: object) -> trace.Span:
        return trace.INVALID_SPAN

    name = "_instead_of_span"
    setattr(traces, name, _either(switch, getattr(traces, name), no_span))
    export = OTLPSpanExporter.export

    def export_while_on(
        exporter: OTLPSpanExporter, spans: Sequence[ReadableSpan]
    ) -> SpanExportResult:
        switch.wait_until_on()
        return export(exporter, spans)

    setattr(OTLPSpanExporter, "export", export_while_on)  # noqa: B010


def main() -> None:
    """Run the module that the arguments name as if it had been called itself."""
    flag, module, *arguments = sys.argv[1:]
    if flag != "-m":
        sys.exit(f"Expected -m MODULE, got {flag}.")
    switch = Switch(Path(os.environ[VARIABLE]))
    switch_metrics(switch)
    switch_traces(switch)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
