"""Traces: the context travels."""

import asyncio
import time
from collections.abc import Iterator

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    StatusCode,
    TraceFlags,
    get_current_span,
    set_span_in_context,
    use_span,
)

from danm_api.telemetry import (
    current_trace_id,
    extract,
    inject,
    shared_by,
    span,
    traces,
    wait_span,
)

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"


class Recorded:
    """What this process records."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        """Read what an exporter has got."""
        self._exporter = exporter

    def spans(self) -> dict[str, ReadableSpan]:
        """Return all by their names, which are different."""
        return {each.name: each for each in self._exporter.get_finished_spans()}


@pytest.fixture()
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorded]:
    """Have all spans recorded."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(traces, "_tracer", provider.get_tracer("t"))
    monkeypatch.setattr(traces, "_sampling", None)
    yield Recorded(exporter)
    provider.shutdown()


def test_work_within_work_is_its_child(recorded: Recorded) -> None:
    """And afterwards the outer one is current again, and then none."""
    with span("outer", network="internal") as outer:
        with span("inner"):
            pass
        assert get_current_span() is outer
    assert not get_current_span().get_span_context().is_valid
    spans = recorded.spans()
    assert spans["inner"].parent == spans["outer"].context
    assert dict(spans["outer"].attributes or {}) == {"network": "internal"}
    assert spans["outer"].status.status_code is StatusCode.UNSET


def test_what_fails_says_so_and_what_is_given_up_does_not(recorded: Recorded) -> None:
    """The error goes on, and is on each span that it went through."""
    with pytest.raises(ValueError, match="no"), span("outer"), span("inner"):
        raise ValueError("no")
    with pytest.raises(asyncio.CancelledError), span("given up"):
        raise asyncio.CancelledError
    spans = recorded.spans()
    for name in ("outer", "inner"):
        assert spans[name].status.status_code is StatusCode.ERROR
        assert spans[name].status.description == "ValueError: no"
        assert [event.name for event in spans[name].events] == ["exception"]
    assert spans["given up"].status.status_code is StatusCode.UNSET
    assert spans["given up"].end_time is not None


def test_a_wait_is_traced_if_it_was_one(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From its beginning; one that failed always."""
    now = [time.time_ns()]
    monkeypatch.setattr(time, "time_ns", lambda: now[0])
    with span("outer"):
        with wait_span("short"):
            now[0] += 999_999
        began = now[0]
        with wait_span("long"):
            now[0] += 1_000_000
        with pytest.raises(ValueError, match="no"), wait_span("failed"):
            raise ValueError("no")
    spans = recorded.spans()
    assert set(spans) == {"outer", "long", "failed"}
    assert spans["long"].start_time == began
    assert spans["long"].parent == spans["outer"].context
    assert spans["failed"].status.status_code is StatusCode.ERROR


def test_a_wait_of_nobody_who_is_traced_is_not_traced(recorded: Recorded) -> None:
    """It begins no trace of its own."""
    with pytest.raises(ValueError, match="no"), wait_span("failed"):
        raise ValueError("no")
    assert recorded.spans() == {}


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
