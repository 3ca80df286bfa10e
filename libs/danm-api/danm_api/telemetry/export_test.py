"""Traces leave the process: what a collector receives."""

import asyncio
import os
import sys

from aiohttp import web

from danm_api import telemetry

# A process of its own: a tracer provider is set once for the life of a process.
PROGRAM = f"""
from {telemetry.__name__} import configure_tracing, shutdown_tracing, span
assert configure_tracing("ipam-svc")
with span("reserve", network="internal"):
    pass
shutdown_tracing()
"""


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
    environment = os.environ | {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{runner.addresses[0][1]}",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", PROGRAM, env=environment)
    assert await process.wait() == 0
    await runner.cleanup()
    (body,) = received
    # Protobuf keeps texts as they are.
    for text in (b"service.name", b"ipam-svc", b"reserve", b"network", b"internal"):
        assert text in body
