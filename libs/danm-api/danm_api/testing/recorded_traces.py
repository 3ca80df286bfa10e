"""Spans in memory, for tests: nothing else in the process records any.

A tracer provider is set once for the life of a process. Spans are only made below a parent that
somebody sends (``TRACEPARENT``), so tests that send none are not concerned.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT_ID = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE_ID}-{PARENT_ID}-01"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What was recorded."""

    exporter: InMemorySpanExporter

    def spans(self, trace_id: str = TRACE_ID) -> Sequence[ReadableSpan]:
        """Return the spans of a trace that have ended."""
        return [
            each
            for each in self.exporter.get_finished_spans()
            if each.context is not None and f"{each.context.trace_id:032x}" == trace_id
        ]

    def paths(self, trace_id: str = TRACE_ID) -> list[str]:
        """Return each span as ``root > ... > span``, sorted; a parent elsewhere is left out."""
        spans = self.spans(trace_id)
        by_id = {each.context.span_id: each for each in spans if each.context is not None}

        def path(span: ReadableSpan) -> str:
            parent = None if span.parent is None else by_id.get(span.parent.span_id)
            return span.name if parent is None else f"{path(parent)} > {span.name}"

        return sorted(path(each) for each in spans)


@contextmanager
def recorded() -> Iterator[Recorded]:
    """Record spans for the time of the block."""
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider()
        trace.set_tracer_provider(provider)
    exporter = InMemorySpanExporter()
    # Processors cannot be taken off; one that has been shut down exports nothing.
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    try:
        yield Recorded(exporter=exporter)
    finally:
        exporter.shutdown()
