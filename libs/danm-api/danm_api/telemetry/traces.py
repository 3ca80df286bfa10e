"""OpenTelemetry traces with W3C context.

Spans cost next to nothing until ``configure_tracing`` finds an OTLP endpoint in the standard
environment variables.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context, get_current
from opentelemetry.trace import Link, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROPAGATOR: Final = TraceContextTextMapPropagator()
_TRACER_NAME: Final = "danm"
_CONTEXT_HEADER: Final = "traceparent"

_exporting = False


def configure_tracing(component: str, *, environ: Mapping[str, str] | None = None) -> bool:
    """Export the process's spans by OTLP over HTTP when an endpoint is configured.

    Args:
        component: The service name, unless OTEL_SERVICE_NAME names another.
        environ: The environment; the process's own when None.

    Returns:
        Whether spans are exported.
    """
    environ = os.environ if environ is None else environ
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    if not any(environ.get(name) for name in _ENDPOINTS):
        return False
    # Imported here: the exporter brings protobuf and requests, which idle processes need not load.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    name = environ.get("OTEL_SERVICE_NAME") or component
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    # The library looks into the environment each time that it is asked for its provider.
    global _exporting  # noqa: PLW0603  (as its provider is)
    _exporting = True
    return True


def shutdown_tracing() -> None:
    """Send what is left; blocks for as long as the exporter's time-out at most."""
    shutdown = getattr(trace.get_tracer_provider(), "shutdown", None)
    if shutdown is not None:
        shutdown()


@contextmanager
def span(
    name: str,
    *,
    parent: Context | None = None,
    kind: SpanKind = SpanKind.INTERNAL,
    links: Iterable[Link] = (),
    **attributes: AttributeValue,
) -> Iterator[trace.Span]:
    """Trace a piece of work as a child of the current span, or of ``parent``.

    Args:
        name: One of few: what differs from one to the next is an attribute.
        parent: None for the current span.
        kind: SERVER for a request that came, CLIENT for one that is sent.
        links: Other spans for which the work is done as well.
        attributes: What differs.
    """
    if not _traced(parent):
        yield trace.INVALID_SPAN
        return
    tracer = trace.get_tracer(_TRACER_NAME)
    with tracer.start_as_current_span(
        name, context=parent, kind=kind, links=tuple(links), attributes=attributes
    ) as current:
        yield current


def _traced(parent: Context | None) -> bool:
    """Say whether a span would be exported, or carries the trace of somebody who asks.

    Otherwise it is not made: it would take longer than much of the work that it is about.
    """
    return _exporting or trace.get_current_span(parent).get_span_context().is_valid


def inject(headers: MutableMapping[str, str]) -> None:
    """Add ``traceparent`` of the current span to the headers of a request."""
    _PROPAGATOR.inject(headers)


def extract(headers: Mapping[str, str]) -> Context:
    """Return the context that a request carries, as a ``parent`` of ``span``."""
    lower = {name.lower(): value for name, value in headers.items()}
    if _CONTEXT_HEADER not in lower:
        return Context()
    return _PROPAGATOR.extract(lower, context=Context())


def current_trace_id() -> str:
    """Return the current trace's id in hexadecimal, or an empty text outside of recorded spans."""
    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else ""


def recorded_trace_id() -> str:
    """Return the current trace's id if somebody collects its spans, or else an empty text."""
    current = trace.get_current_span()
    return current_trace_id() if current.is_recording() else ""


def current_trace() -> Context | None:
    """Return what makes a later span, in another task, a child of the current one.

    None outside of traces, which as a parent is as good as any.
    """
    return get_current() if trace.get_current_span().get_span_context().is_valid else None


def links_to(traces: Iterable[Context | None]) -> list[Link]:
    """Return links to the spans of what ``current_trace`` has returned; each once."""
    found = {
        each.span_id: each
        for each in (trace.get_current_span(one).get_span_context() for one in traces if one)
    }
    return [Link(each) for each in found.values()]
