"""One ADD is one trace, and one id in all logs: from the executable's request to the API server.

danmd and ipam-svc are real and speak HTTPS with each other and HTTP with an API server in memory.
"""

import asyncio
import dataclasses
import io
import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from prometheus_client import REGISTRY

from danm_api.codec.danmnet import decode_danmnet, encode_status
from danm_api.ipam_api import RELEASE_PATH, RESERVE_PATH
from danm_api.kube.api import DANMNETS, PODS, RawObject
from danm_api.names import INTERFACES_ANNOTATION, NodeName
from danm_api.node_call import call_daemon
from danm_api.node_frame import PROGRAM_DANM, encode_request
from danm_api.telemetry import configure_logging, exposition
from danm_api.testing.builders import NAMESPACE, a_raw_danmnet, accepted
from danm_api.testing.fake_kube import FakeKube
from danm_api.testing.http_kube import HttpKube
from danm_api.testing.recorded_traces import TRACE_ID, TRACEPARENT, recorded
from danm_cni.attempts import AttemptCounter
from danm_cni.config import Config
from danm_cni.daemon import Daemon, Edges
from danm_cni.handlers import Readiness, SandboxRequests
from danm_cni.ipam_client import NodeAddresses
from danm_cni.networks import Networks
from danm_cni.request import Program
from danm_cni.server import CniServer
from danm_cni.testing.node import FakeNode, config_for
from ipam_svc.testing.service import Service

NODE = "n1"
CONTAINER = "4c" * 32
POD = "pod-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A node whose danmd is asked by its socket."""

    node: FakeNode
    socket: Path
    server: HttpKube

    async def ask(self, verb: str, *, trace: str = TRACEPARENT) -> tuple[int, bytes]:
        """Send what the executable sends, in a trace of the runtime's unless there is none."""
        request = self.node.request(verb, CONTAINER, pod=POD)
        environment = dict(request.environment) | ({"TRACEPARENT": trace} if trace else {})
        frame = encode_request(
            program=PROGRAM_DANM,
            deadline_ns=time.monotonic_ns() + 10**10,
            environment=b"\0".join(f"{k}={v}".encode() for k, v in environment.items()),
            stdin=request.config,
        )
        until_ns = time.monotonic_ns() + 10**10
        return await asyncio.to_thread(
            call_daemon, str(self.socket), frame, deadline_ns=until_ns, patience_ns=0
        )


@asynccontextmanager
async def a_world(directory: Path, *, cidr: str = "198.18.0.0/24") -> AsyncIterator[World]:
    """Have a network with one Pod that wants an interface on it; the first address is excluded."""
    kube = FakeKube()
    raw = a_raw_danmnet(
        "net", host_device="ens3", cidr=cidr, container_prefix="eth0", exclude=["198.18.0.1"]
    )
    kube.add(DANMNETS, {**raw, "status": encode_status(accepted(decode_danmnet(raw)).status)})
    kube.add(PODS, a_pod())
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(HttpKube(kube).serving())
        service = Service(kube, api=await stack.enter_async_context(server.client()))
        stack.push_async_callback(service.close)
        await service.start()
        node = FakeNode(directory, config=config_of(directory))
        node.kube = kube
        attempts = AttemptCounter(directory / "attempts", clock_ms=lambda: int(time.time() * 1000))
        client = await stack.enter_async_context(service.client(f"danmd-{NODE}"))
        edges = Edges(
            kernel=node.kernel,
            plugins=node.plugins,
            addresses=NodeAddresses(client, node=NodeName(NODE), attempts=attempts),
            devices=node.devices,
        )
        api = await stack.enter_async_context(server.client())
        node.daemon = Daemon(node.config, api, edges, networks=Networks(api))
        node.daemon.load()
        await node.start()
        stack.push_async_callback(node.stop)
        readiness = Readiness(directory / "ready")
        readiness.set()
        handler = SandboxRequests(sandboxes=node.daemon.sandboxes, readiness=readiness)
        path = directory / "danmd.sock"
        await stack.enter_async_context(CniServer(path, handlers={Program.DANM: handler}))
        yield World(node=node, socket=path, server=server)


def config_of(directory: Path) -> Config:
    """Return danmd's settings."""
    return dataclasses.replace(config_for(directory), node=NodeName(NODE))


def a_pod() -> RawObject:
    """Return a Pod of the node that asks for an interface."""
    interfaces = '[{"network": "net", "ip": "dynamic"}]'
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": NAMESPACE,
            "name": POD,
            "uid": f"uid-{POD}",
            "annotations": {INTERFACES_ANNOTATION: interfaces},
        },
        "spec": {"nodeName": NODE},
        "status": {"phase": "Pending"},
    }


@pytest.fixture()
def log() -> Iterator[io.StringIO]:
    """Have all that is logged, as machines read it."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    configure_logging("test", level="debug", stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


async def test_one_add_is_one_trace(tmp_path: Path) -> None:
    """Its steps, ipam-svc's part of them, and each request to the API server for it."""
    async with asyncio.timeout(60), a_world(tmp_path) as world:
        with recorded() as traces:
            assert (await world.ask("ADD"))[0] == 0
            await world.node.until(lambda: "CNI ADD" in traces.paths())
            found = traces.paths()
            in_the_trace = [each for each in world.server.asked if TRACE_ID in each.traceparent]
    for step in ("pod", "plan", "journal", "reserve", "endpoints", "interfaces"):
        assert f"CNI ADD > {step}" in found
    reserve = f"CNI ADD > reserve > POST ipam-svc > POST {RESERVE_PATH}"
    assert f"{reserve} > POST tokenreviews" in found
    assert f"{reserve} > commit > POST danmipblocks" in found
    assert f"{reserve} > commit > PUT danmipblocks" in found
    assert "CNI ADD > endpoints > POST danmeps" in found
    assert {(each.method, each.resource) for each in in_the_trace} >= {
        ("POST", "danmipblocks"),
        ("PUT", "danmipblocks"),
        ("POST", "danmeps"),
    }
    # Nothing of it hangs in the air.
    assert all(each.startswith("CNI ADD") for each in found)


async def test_one_del_is_one_trace(tmp_path: Path) -> None:
    """Down to the write that frees the address."""
    async with asyncio.timeout(60), a_world(tmp_path) as world:
        assert (await world.ask("ADD", trace=""))[0] == 0
        await world.node.end_pod(POD)
        with recorded() as traces:
            assert (await world.ask("DEL"))[0] == 0
            await world.node.until(lambda: "CNI DEL" in traces.paths())
            found = traces.paths()
    assert "CNI DEL > interfaces" in found
    assert "CNI DEL > endpoints > DELETE danmeps" in found
    release = f"CNI DEL > release > POST ipam-svc > POST {RELEASE_PATH}"
    assert f"{release} > commit > PUT danmipblocks" in found


async def test_steps_lead_to_their_traces(tmp_path: Path) -> None:
    """Whoever sees a slow step in a histogram finds the trace of one that was so slow."""
    async with asyncio.timeout(60), a_world(tmp_path) as world:
        with recorded() as traces:
            assert (await world.ask("ADD"))[0] == 0
            await world.node.until(lambda: "CNI ADD" in traces.paths())
    text = exposition("application/openmetrics-text")[0].decode()
    reserves = [
        line
        for line in text.splitlines()
        if line.startswith("danmd_step_duration_seconds_bucket")
        and 'step="reserve"' in line
        and f'trace_id="{TRACE_ID}"' in line
    ]
    assert reserves


async def test_steps_are_counted_without_traces(tmp_path: Path) -> None:
    """Each once an ADD, by verb and result."""
    async with asyncio.timeout(60), a_world(tmp_path) as world:
        before = count_of("reserve")
        assert (await world.ask("ADD", trace=""))[0] == 0
        assert count_of("reserve") == before + 1


async def test_one_id_is_in_all_logs(tmp_path: Path, log: io.StringIO) -> None:
    """The container id, which the runtime logs too, leads from danmd to ipam-svc."""
    async with asyncio.timeout(60), a_world(tmp_path) as world:
        assert (await world.ask("ADD", trace=""))[0] == 0
    lines = [msgspec.json.decode(line) for line in log.getvalue().splitlines()]
    told = {line["message"]: line for line in lines if line.get("request_id") == CONTAINER}
    assert told["Added sandbox"]["logger"] == "danm_cni.sandbox"
    assert told["Reserved addresses"]["logger"] == "ipam_svc.http_api"


async def test_a_refusal_leads_to_its_pod(tmp_path: Path, log: io.StringIO) -> None:
    """What ipam-svc refuses is told there with the id under which the node tells of it."""
    async with asyncio.timeout(60), a_world(tmp_path, cidr="198.18.0.1/32") as world:
        assert (await world.ask("ADD", trace=""))[0] == 1
    lines = [msgspec.json.decode(line) for line in log.getvalue().splitlines()]
    told = {line["message"]: line for line in lines if line.get("request_id") == CONTAINER}
    assert told["Refused reservation"]["reason"] == "PoolExhaustedError"
    assert told["Refused request"]["code"] == 101


def count_of(step: str) -> float:
    """Return how often a step of an ADD has gone well."""
    labels = {"verb": "ADD", "step": step, "result": "ok"}
    return REGISTRY.get_sample_value("danmd_step_duration_seconds_count", labels) or 0.0
