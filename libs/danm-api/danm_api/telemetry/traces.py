"""OpenTelemetry traces with W3C context.

Spans cost next to nothing in a process that exports none (``danm_api.telemetry.export``), and
little in one that has so much to do that few are recorded.
"""

import random
import time
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import TracebackType
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from danm_api.telemetry.sampling import Sampling

_PROPAGATOR: Final = TraceContextTextMapPropagator()
TRACER_NAME: Final = "danm"
_CONTEXT_HEADER: Final = "traceparent"
_SHORT_NS: Final = 1_000_000


def _unrecorded(trace_id: int, span_id: int) -> trace.Span:
    """Return a span whose context says to the next process that nobody records it."""
    return NonRecordingSpan(SpanContext(trace_id, span_id, is_remote=False))


# Of all traces that begin here and are one too many.
_ONE_TOO_MANY: Final = _unrecorded(
    random.SystemRandom().getrandbits(128) | 1, random.SystemRandom().getrandbits(64) | 1
)

# Of a process that exports. The library looks into the environment each time that it is asked.
_tracer: trace.Tracer | None = None
# None where OTEL_TRACES_SAMPLER decides.
_sampling: Sampling | None = None


def begin_recording(tracer: trace.Tracer, sampling: Sampling | None) -> None:
    """Make spans by a tracer from now on.

    Args:
        tracer: Of a provider that exports.
        sampling: Which traces are recorded; None where OTEL_TRACES_SAMPLER decides.
    """
    global _tracer, _sampling  # noqa: PLW0603  (as the library's provider is)
    _tracer = tracer
    _sampling = sampling


def span(
    name: str,
    *,
    parent: Context | None = None,
    kind: SpanKind = SpanKind.INTERNAL,
    links: Iterable[Link] = (),
    **attributes: AttributeValue,
) -> AbstractContextManager[trace.Span]:
    """Trace a piece of work as a child of the current span, or of ``parent``.

    Args:
        name: One of few: what differs from one to the next is an attribute.
        parent: None for the current span.
        kind: SERVER for a request that came, CLIENT for one that is sent.
        links: Other spans for which the work is done as well.
        attributes: What differs.
    """
    instead = _instead_of_span(name, trace.get_current_span(parent))
    if instead is not None:
        if instead is trace.get_current_span():
            return nullcontext(instead)
        return _Current(instead)
    tracer = _tracer or trace.get_tracer(TRACER_NAME)
    made = tracer.start_span(
        name, context=parent, kind=kind, links=tuple(links), attributes=attributes
    )
    return _Current(made, end=True)


@contextmanager
def wait_span(name: str) -> Iterator[None]:
    """Trace a wait as ``span`` does if it takes a millisecond; nothing may be traced below it."""
    began_ns = time.time_ns()
    failure: BaseException | None = None
    try:
        yield
    except BaseException as error:
        failure = error
        raise
    finally:
        is_worth_it = failure is not None or time.time_ns() - began_ns >= _SHORT_NS
        if is_worth_it and trace.get_current_span().is_recording():
            tracer = _tracer or trace.get_tracer(TRACER_NAME)
            _end(tracer.start_span(name, start_time=began_ns), failure)


class _Current:
    """Makes a span the current one; ends it if it is its own.

    The library's own context managers for that are three generators, one in the other, and take
    half of a span's time.
    """

    __slots__ = ("_end", "_span", "_token")

    def __init__(self, current: trace.Span, *, end: bool = False) -> None:
        self._span = current
        self._end = end

    def __enter__(self) -> trace.Span:
        self._token = attach(trace.set_span_in_context(self._span))
        return self._span

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        detach(self._token)
        if self._end:
            _end(self._span, error)


def _end(ending: trace.Span, error: BaseException | None) -> None:
    """End a span; what is no Exception, such as that work is given up, is nobody's error."""
    if isinstance(error, Exception) and ending.is_recording():
        ending.record_exception(error)
        ending.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
    ending.end()


def _instead_of_span(name: str, above: trace.Span) -> trace.Span | None:
    """Return what is current where no span is made below ``above``; None where one is."""
    context = above.get_span_context()
    if not context.is_valid:
        if _tracer is None:
            # A span would take longer than much of the work that it is about.
            return trace.INVALID_SPAN
        return None if _sampling is None or _sampling.may_begin(name) else _ONE_TOO_MANY
    if not context.trace_flags.sampled:
        return above
    if context.is_remote and _sampling is not None and not _sampling.may_join():
        return _unrecorded(context.trace_id, context.span_id)
    return None


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
    current = trace.get_current_span()
    context = current.get_span_context()
    if current is _ONE_TOO_MANY or not context.is_valid:
        return ""
    return trace.format_trace_id(context.trace_id)


def recorded_trace_id() -> str:
    """Return the current trace's id if somebody collects its spans, or else an empty text."""
    current = trace.get_current_span()
    return current_trace_id() if current.is_recording() else ""


def current_trace() -> Context | None:
    """Return what makes a later span, in another task, a child of the current one.

    None outside of traces, which as a parent is as good as any.
    """
    return get_current() if trace.get_current_span().get_span_context().is_valid else None


def shared_by(traces: Sequence[Context | None]) -> tuple[Context | None, list[Link]]:
    """Return whose child a span is that does the work of several, and links to the others.

    Args:
        traces: What ``current_trace`` has returned to each.

    Returns:
        The first that is recorded, or else the first of all; and each other recorded one once.
    """
    known = [(one, trace.get_current_span(one).get_span_context()) for one in traces if one]
    recorded = {each.span_id: (one, each) for one, each in known if each.trace_flags.sampled}
    if not recorded:
        return (known[0][0] if known else None), []
    (parent, _), *others = recorded.values()
    return parent, [Link(each) for _, each in others]
