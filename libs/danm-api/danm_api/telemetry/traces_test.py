"""Traces: the context travels."""

from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    set_span_in_context,
    use_span,
)

from danm_api.telemetry import current_trace_id, extract, inject, shared_by, span

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"


def test_the_context_of_a_request_goes_on() -> None:
    """A span below a request's context has its trace, and hands it to the next request."""
    with span("work", parent=extract({"Traceparent": TRACEPARENT}), network="internal"):
        assert current_trace_id() == TRACE_ID
        headers: dict[str, str] = {}
        inject(headers)
    assert headers["traceparent"].split("-")[1] == TRACE_ID
    assert current_trace_id() == ""


def test_requests_without_context_start_anew() -> None:
    """Headers without or with a broken traceparent are no error."""
    for headers in ({}, {"traceparent": "nonsense"}):
        with span("work", parent=extract(headers)):
            assert current_trace_id() == ""


def test_spans_of_a_provider_carry_the_headers() -> None:
    """With the SDK, the injected header names the span that is current."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    headers: dict[str, str] = {}
    with use_span(provider.get_tracer("t").start_span("outer"), end_on_exit=True):
        inject(headers)
    (finished,) = exporter.get_finished_spans()
    assert finished.context is not None
    assert headers["traceparent"].split("-")[1] == f"{finished.context.trace_id:032x}"
    provider.shutdown()


def _carried(trace_id: int, flags: int) -> Context:
    """Return the context of somebody who waits for a shared piece of work."""
    context = SpanContext(trace_id, trace_id + 1, is_remote=False, trace_flags=TraceFlags(flags))
    return set_span_in_context(NonRecordingSpan(context), Context())


def test_work_for_several_is_a_child_of_the_first_that_is_recorded() -> None:
    """And is linked to the other recorded ones, each once."""
    unrecorded, first, second = _carried(1, 0), _carried(2, 1), _carried(3, 1)
    parent, links = shared_by([None, unrecorded, first, second, first, second])
    assert parent is first
    assert [link.context.trace_id for link in links] == [3]


def test_work_for_nobody_who_records_is_not_recorded() -> None:
    """It has their context all the same: without one it would begin a trace of its own."""
    unrecorded = _carried(1, 0)
    assert shared_by([None, unrecorded]) == (unrecorded, [])
    assert shared_by([None]) == (None, [])
