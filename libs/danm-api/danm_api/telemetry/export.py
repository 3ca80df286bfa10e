"""Where traces go, and that nobody waits long for that."""

import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, assert_never

from opentelemetry import trace

from danm_api.telemetry.export_settings import Exporter, read_export_settings
from danm_api.telemetry.logs import get_logger
from danm_api.telemetry.sampling import Sampling
from danm_api.telemetry.traces import TRACER_NAME, begin_recording

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

_SAMPLER: Final = "OTEL_TRACES_SAMPLER"
# A collector that is well answers within some ms. What stops has better use for its grace period
# than the exporter's patience, up to 30 s, with one that is not.
_SENT_WITHIN_S: Final = 2.0

_log = get_logger(__name__)


def configure_tracing(component: str, *, environ: Mapping[str, str] | None = None) -> bool:
    """Export the process's spans if and as OpenTelemetry's standard variables say.

    OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG choose which traces are recorded; without them
    some in each second are (``danm_api.telemetry.sampling``).

    Args:
        component: The service name, unless OTEL_SERVICE_NAME names another.
        environ: The environment; the process's own when None.

    Returns:
        Whether spans are exported.
    """
    environ = os.environ if environ is None else environ
    settings = read_export_settings(environ)
    for each in settings.ignored:
        _log.warning(
            "Ignored a setting of traces",
            variable=each.variable,
            value=each.value,
            instead=each.instead,
        )
    if not settings.exporters:
        return False
    # Imported here and below: the SDK, and protobuf and requests of an exporter, need not be
    # loaded by a process that exports nothing.
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON

    name = environ.get("OTEL_SERVICE_NAME") or component
    provider = TracerProvider(
        resource=Resource.create({"service.name": name}),
        # None: what the variables say.
        sampler=None if environ.get(_SAMPLER) else ALWAYS_ON,
    )
    for exporter in settings.exporters:
        provider.add_span_processor(_processor(exporter))
    trace.set_tracer_provider(provider)
    begin_recording(provider.get_tracer(TRACER_NAME), None if environ.get(_SAMPLER) else Sampling())
    return True


def _processor(exporter: Exporter) -> "SpanProcessor":
    from opentelemetry.sdk.trace.export import (
        BatchSpanProcessor,
        ConsoleSpanExporter,
        SimpleSpanProcessor,
    )

    match exporter:
        case Exporter.OTLP:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            return BatchSpanProcessor(OTLPSpanExporter())
        case Exporter.CONSOLE:
            return SimpleSpanProcessor(ConsoleSpanExporter(formatter=_line))
        case _:
            assert_never(exporter)


def _line(span: "ReadableSpan") -> str:
    return f"{span.to_json(indent=None)}\n"


def shutdown_tracing() -> None:
    """Send what is left, for two seconds at most; what has not been taken by then is lost."""
    shutdown = getattr(trace.get_tracer_provider(), "shutdown", None)
    if shutdown is None:
        return
    # It takes no time-out, and waits for an answer, and between tries, as long as for any other.
    ending = threading.Thread(target=shutdown, name="traces' end", daemon=True)
    ending.start()
    ending.join(_SENT_WITHIN_S)
    if ending.is_alive():
        _log.warning("Lost traces that were not sent in time", within_s=_SENT_WITHIN_S)
