"""A whole danmd on fakes, asked by its socket as the executables ask."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from aiohttp import web

from danm_api.ipam_api import PodOwnerMessage
from danm_api.node_call import call_daemon
from danm_api.node_frame import PROGRAM_DANM, encode_request
from danm_api.telemetry import configure_tracing, shutdown_tracing
from danm_api.testing.builders import NAMESPACE
from danm_cni.testing.demo import INTERNAL
from danm_cni.testing.fake_addresses import Entry
from danm_cni.testing.node import FakeNode, config_for
from tests.monitoring.stages.stage import HOST, Fault, Stage

_ADDRESS: Final = "198.18.0.250/24"
_NAMESPACE: Final = "/run/netns/left"
_NEVER_NS: Final = 2**63


@asynccontextmanager
async def danmd(port: int) -> AsyncIterator[Stage]:
    """Run danmd on a node of its own, with its traces taken by somebody."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(_traced())
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        root = Path(directory)
        config = replace(config_for(root), health_host=HOST, health_port=port)
        node = FakeNode(root, config=config)
        node.add_network("internal", host_device="ens3", cidr="10.240.1.0/24")
        node.add_pod(interfaces=[INTERNAL])
        stop = asyncio.Event()
        running = asyncio.create_task(node.run(stop))
        await node.until(config.paths.ready_marker.exists)
        try:
            yield Stage(
                tick=lambda: _serve(node),
                faults={"leak": Fault(make=lambda: _leak(node), mend=lambda: _end_leak(node))},
            )
        finally:
            stop.set()
            await running


@asynccontextmanager
async def _traced() -> AsyncIterator[None]:
    """Have a collector on loopback that takes traces and keeps none; exemplars name them."""

    async def take(_request: web.Request) -> web.Response:
        return web.Response(content_type="application/x-protobuf")

    app = web.Application()
    app.router.add_post("/v1/traces", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, HOST, 0)
    await site.start()
    port = runner.addresses[0][1]
    # The exporter looks there itself.
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://{HOST}:{port}"
    configure_tracing("danmd")
    try:
        yield
    finally:
        await asyncio.to_thread(shutdown_tracing)
        await runner.cleanup()


async def _serve(node: FakeNode) -> None:
    """Make a sandbox and remove it, and refuse one of a Pod that nobody knows."""
    for verb, pod in (("ADD", "pod-1"), ("CHECK", "pod-1"), ("DEL", "pod-1"), ("ADD", "unknown")):
        await asyncio.to_thread(_call, node, verb, pod)
    node.kube.bookmark()
    node.daemon.upkeep.wake()


def _call(node: FakeNode, verb: str, pod: str) -> None:
    request = node.request(verb, f"c-{pod}", pod=pod)
    frame = encode_request(
        program=PROGRAM_DANM,
        deadline_ns=0,
        environment=b"\0".join(f"{k}={v}".encode() for k, v in request.environment.items()),
        stdin=request.config,
    )
    call_daemon(str(node.config.paths.socket), frame, deadline_ns=_NEVER_NS)


async def _leak(node: FakeNode) -> None:
    """Leave an interface of which no journal tells."""
    owner = PodOwnerMessage(namespace=NAMESPACE, name="gone", uid="uid-gone")
    node.addresses.entries.append(
        Entry(owner=owner, interface="eth0", network="internal", address=_ADDRESS, attempt=1)
    )
    node.kernel.namespaces[_NAMESPACE].interfaces["eth0"] = [_ADDRESS]


async def _end_leak(node: FakeNode) -> None:
    """Let the namespace go; danmd gives the address back by itself."""
    del node.kernel.namespaces[_NAMESPACE]
