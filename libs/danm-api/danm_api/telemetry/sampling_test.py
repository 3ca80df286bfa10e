"""How many traces are recorded, and that a trace is recorded whole or not at all."""

import os
import subprocess
import sys

import msgspec
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import TraceFlags

from danm_api import telemetry
from danm_api.telemetry import current_trace_id, extract, inject, span
from danm_api.telemetry.sampling import (
    BEGUN_AT_ONCE,
    JOINED_AT_ONCE,
    Allowance,
    Sampling,
)
from danm_api.testing.recorded_traces import TRACE_ID, TRACEPARENT

# A process of its own: a tracer provider is set once for the life of a process.
PROGRAM = f"""
import json
from {telemetry.__name__} import configure_tracing, current_trace_id, extract, inject, span
assert configure_tracing("x", environ={{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}})
def made(count, parent=None):
    found = []
    for _ in range(count):
        with span("root", parent=parent) as root, span("step") as step:
            headers = {{}}
            inject(headers)
            found.append((root.is_recording(), step.is_recording(), headers["traceparent"][-2:],
                          current_trace_id()))
    return found
print(json.dumps([made(400), made(400, extract({{"traceparent": "{TRACEPARENT}"}}))]))
"""


class _Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_is_cut_and_time_brings_the_right_back() -> None:
    """But never to more than was allowed at once."""
    clock = _Clock()
    allowance = Allowance(10, 2.0, clock)

    def taken() -> int:
        return sum(allowance.take() for _ in range(100))

    assert taken() == 10
    clock.now += 1.5
    assert taken() == 3
    clock.now += 3600
    assert taken() == 10


def test_what_a_process_does_all_the_time_leaves_room_for_what_is_rare() -> None:
    """Kinds of traces are counted apart."""
    sampling = Sampling()
    for _ in range(1000):
        sampling.may_begin("reconcile relabel")
    assert not sampling.may_begin("reconcile relabel")
    assert sampling.may_begin("CNI ADD")


def test_a_busy_process_records_some_whole_traces_and_says_so_of_the_others() -> None:
    """Those that begin in it and those of callers are counted apart; what is cut is cut whole."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"PYTHONPATH": os.pathsep.join(sys.path), "OTEL_BSP_SCHEDULE_DELAY": "3600000"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    begun, joined = msgspec.json.decode(done.stdout, type=list[list[tuple[bool, bool, str, str]]])
    # The time that these take brings back a few.
    assert BEGUN_AT_ONCE <= sum(recorded for recorded, *_ in begun) < 2 * BEGUN_AT_ONCE
    assert JOINED_AT_ONCE <= sum(recorded for recorded, *_ in joined) < 2 * JOINED_AT_ONCE
    for recorded, below, flags, trace_id in [*begun, *joined]:
        assert below == recorded
        assert bool(int(flags, 16) & TraceFlags.SAMPLED) == recorded
        # A log line has the id of a trace that somebody may have, in this process or elsewhere.
        assert bool(trace_id) == (recorded or (recorded, below, flags, trace_id) in joined)


def test_below_a_span_that_nobody_records_none_is_made() -> None:
    """Its context goes on to requests as it is, so that the next process records nothing either."""
    tracer = TracerProvider(sampler=ALWAYS_OFF).get_tracer("t")
    headers: dict[str, str] = {}
    with tracer.start_as_current_span("root") as root, span("step") as step:
        assert step is root
        inject(headers)
    context = root.get_span_context()
    _, trace_id, span_id, flags = headers["traceparent"].split("-")
    assert (int(trace_id, 16), int(span_id, 16)) == (context.trace_id, context.span_id)
    assert not int(flags, 16) & TraceFlags.SAMPLED


def test_a_caller_that_records_nothing_is_still_told_apart_in_logs() -> None:
    """Its trace's id is the current one, and so stands in log lines."""
    parent = extract({"traceparent": TRACEPARENT[:-1] + "0"})
    with span("request", parent=parent) as current:
        assert not current.is_recording()
        assert current_trace_id() == TRACE_ID
    assert trace.get_current_span() is trace.INVALID_SPAN
