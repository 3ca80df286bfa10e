"""Traces leave the process: what a collector receives, and what the end does without one."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Final

import msgspec
import pytest
from aiohttp import web

from danm_api import telemetry
from danm_api.telemetry import configure_tracing

# A process of its own: a tracer provider is set once for the life of a process.
PROGRAM: Final = f"""
from {telemetry.__name__} import configure_tracing, shutdown_tracing, span
assert configure_tracing("ipam-svc")
with span("reserve", network="internal"):
    pass
shutdown_tracing()
"""
# The clock is one for all processes.
_ENDING: Final = f"""
import time
from {telemetry.__name__} import configure_logging, configure_tracing, shutdown_tracing, span
configure_logging("ipam-svc")
assert configure_tracing("ipam-svc")
with span("reserve"):
    pass
print(time.monotonic())
shutdown_tracing()
"""
# The exporter's own, in s: without a bound, the end takes the 30 s that the SDK waits for it.
_PATIENCE: Final = "120"
_ENDED_WITHIN_S: Final = 15.0


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **more}


async def test_spans_are_exported_at_the_end() -> None:
    """With the standard variable set, a short process's spans arrive under its name."""
    received: list[bytes] = []

    async def collect(request: web.Request) -> web.Response:
        received.append(await request.read())
        return web.Response()

    app = web.Application()
    app.router.add_post("/v1/traces", collect)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    environment = _environment(
        {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{runner.addresses[0][1]}"}
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", PROGRAM, env=environment)
    assert await process.wait() == 0
    await runner.cleanup()
    (body,) = received
    # Protobuf keeps texts as they are.
    for text in (b"service.name", b"ipam-svc", b"reserve", b"network", b"internal"):
        assert text in body


@pytest.mark.parametrize("listening", [True, False], ids=["silent", "closed"])
def test_a_collector_that_does_not_answer_holds_up_no_end(*, listening: bool) -> None:
    """A Pod that stops has better use for its grace period; what is lost is told."""
    with socket.socket() as collector:
        # The port is taken, so that nobody else listens there, also where connections are refused.
        collector.bind(("127.0.0.1", 0))
        if listening:
            collector.listen()
        done = subprocess.run(
            [sys.executable, "-c", _ENDING],
            env=_environment(
                {
                    "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.getsockname()[1]}",
                    "OTEL_EXPORTER_OTLP_TIMEOUT": _PATIENCE,
                }
            ),
            capture_output=True,
            check=True,
        )
        took_s = time.monotonic() - float(done.stdout)
        if listening:
            # Its connection lies here, and what it has sent.
            collector.settimeout(0)
            connection, _ = collector.accept()
            with connection:
                assert connection.recv(4) == b"POST"
    assert took_s < _ENDED_WITHIN_S
    assert b"Lost traces that were not sent in time" in done.stderr


def test_the_console_has_a_line_of_each_span() -> None:
    """Whoever tries something out needs no collector."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=_environment({"OTEL_TRACES_EXPORTER": "console"}),
        capture_output=True,
        check=True,
    )
    (line,) = done.stdout.splitlines()
    told = msgspec.json.decode(line)
    assert told["name"] == "reserve"
    assert told["attributes"] == {"network": "internal"}
    assert told["resource"]["attributes"]["service.name"] == "ipam-svc"


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"OTEL_SDK_DISABLED": "true"}, id="disabled"),
        pytest.param({"OTEL_TRACES_EXPORTER": "none"}, id="none"),
    ],
)
def test_nothing_is_exported_where_the_variables_say_so(more: Mapping[str, str]) -> None:
    """Whatever says where traces would go; and without that nothing is exported either."""
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
    assert not configure_tracing("x", environ={**endpoint, **more})
    assert not configure_tracing("x", environ={})


def test_what_is_ignored_is_told_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    """With what is set, and what to set."""
    assert not configure_tracing("x", environ={"OTEL_TRACES_EXPORTER": "zipkin"})
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.danm_keys == {  # type: ignore[attr-defined]
        "variable": "OTEL_TRACES_EXPORTER",
        "value": "zipkin",
        "instead": "otlp, console, none",
    }
