"""danmd --ipam-only as a process would run it: ready, serving fakeipam, and an orderly end."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from danm_api.errors import ApiError, DanmError
from danm_api.ipam_api import PodOwnerMessage
from danm_api.kube.api import DANMEPS, DANMNETS, PODS
from danm_api.node_call import DaemonUnreachableError, call_daemon
from danm_api.node_frame import PROGRAM_DANM, PROGRAM_FAKEIPAM, encode_request
from danm_api.testing.builders import NAMESPACE
from danm_api.testing.fake_plans import Method
from danm_cni.ipam_only import IpamOnlyDaemon
from danm_cni.journal import InterfaceKind, InterfaceRecord, Journal, SandboxRecord, SandboxState
from danm_cni.networks import Networks
from danm_cni.testing.fake_addresses import Entry
from danm_cni.testing.node import FakeNode, followed, netns_of


@pytest.fixture()
def node(tmp_path: Path) -> FakeNode:
    """Give the world around a danmd: a DanmNet that admits fakeipam."""
    made = FakeNode(tmp_path)
    made.config = replace(made.config, ipam_only=True)
    made.add_network("lan", cidr="198.18.0.0/24", fakeipam=True)
    return made


def a_daemon(node: FakeNode, networks: Networks) -> IpamOnlyDaemon:
    """Return a danmd on the node's disk that has not read it yet."""
    return IpamOnlyDaemon(
        node.config,
        node.kube,
        addresses=node.addresses,
        kernel=node.kernel,
        networks=networks,
    )


@asynccontextmanager
async def started(node: FakeNode) -> AsyncIterator[IpamOnlyDaemon]:
    """Run a danmd, ready or not, and the watch of DanmNets beside it, as its process does."""
    networks, stop = Networks(node.kube), asyncio.Event()
    daemon = a_daemon(node, networks)
    daemon.load()
    async with followed(networks.informer):
        task = asyncio.create_task(daemon.run(stop))
        try:
            yield daemon
        finally:
            stop.set()
            await asyncio.wait_for(task, 30)


@asynccontextmanager
async def running(node: FakeNode) -> AsyncIterator[IpamOnlyDaemon]:
    """Run a danmd that has become ready."""
    executable = node.root / "opt/cni/bin/fakeipam"
    async with started(node) as daemon:
        await node.until(lambda: daemon.readiness.reason is None and executable.exists())
        yield daemon


async def call(
    node: FakeNode,
    verb: str,
    *,
    program: int = PROGRAM_FAKEIPAM,
) -> tuple[int, Any]:
    """Send a request as the executable does."""
    status, output = await asyncio.to_thread(
        call_daemon,
        str(node.config.paths.socket),
        a_frame(node, verb, program=program),
        deadline_ns=2**63,
    )
    return status, json.loads(output) if output else None


def a_frame(
    node: FakeNode, verb: str, *, program: int = PROGRAM_FAKEIPAM, deadline_ns: int = 0
) -> bytes:
    """Return what an executable sends."""
    environment = node.request(verb, "c1").environment
    config = {"cniVersion": "1.1.0", "name": "cfg", "ipam": {"network": "lan"}}
    return encode_request(
        program=program,
        deadline_ns=deadline_ns,
        environment=b"\0".join(f"{k}={v}".encode() for k, v in environment.items()),
        stdin=json.dumps(config).encode(),
    )


async def test_a_whole_life(node: FakeNode) -> None:
    """It installs fakeipam alone, serves it, refuses danm, and its end leaves what runs."""
    # SPEC F2
    async with running(node):
        assert [each.name for each in (node.root / "opt/cni/bin").iterdir()] == ["fakeipam"]
        assert list((node.root / "etc/cni/net.d").iterdir()) == []
        status, answer = await call(node, "ADD")
        assert (status, answer["ips"][0]["address"]) == (0, "198.18.0.10/24")
        assert await call(node, "CHECK") == (0, None)
        assert await call(node, "STATUS") == (0, None)
        status, error = await call(node, "ADD", program=PROGRAM_DANM)
        assert (status, error["code"]) == (1, 50)
    with pytest.raises(DaemonUnreachableError):
        await call(node, "STATUS")
    assert len(node.addresses.entries) == 1
    async with running(node):
        assert await call(node, "DEL") == (0, None)
        assert node.addresses.entries == []
        assert (await call(node, "CHECK"))[1]["code"] == 3


async def test_one_that_cannot_install_serves_what_is_there(node: FakeNode) -> None:
    """An earlier danmd's fakeipam asks this one, and the new one comes when it can."""
    # docs/decisions/0021
    marker = node.config.paths.ready_marker
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.touch()
    executable = node.root / "image/fakeipam"
    executable.unlink()
    async with started(node) as daemon:
        await node.until(lambda: daemon.readiness.reason is None)
        assert (await call(node, "ADD"))[0] == 0


async def test_a_waiting_add_does_not_hold_up_the_end(node: FakeNode) -> None:
    """A danmd that never gets ready ends when it is told to, and answers whoever waits for it."""
    node.kube.fail_next("list", DANMNETS, ApiError("not allowed", status=403), times=10**6)
    async with started(node):
        await node.until(node.config.paths.socket.exists)
        reader, writer = await asyncio.open_unix_connection(node.config.paths.socket)
        writer.write(a_frame(node, "ADD", deadline_ns=time.monotonic_ns() + 300 * 10**9))
        await writer.drain()
        # It has been accepted, and then this one, which is answered.
        await call(node, "STATUS")
    async with asyncio.timeout(60):
        assert b'"code":11' in await reader.read()
    writer.close()
    await writer.wait_closed()


async def test_it_reads_neither_pods_nor_danmeps(node: FakeNode) -> None:
    """Its role is small: a Pod whose uid the runtime tells is not even read."""
    for kind in (PODS, DANMEPS):
        verbs: tuple[Method, ...] = ("list", "get", "watch")
        for verb in verbs:
            node.kube.fail_next(verb, kind, ApiError("not allowed", status=403), times=100)
    async with running(node) as daemon:
        assert (await call(node, "ADD"))[0] == 0
        await daemon.compare()
        assert len(node.addresses.entries) == 1


async def test_it_does_not_take_the_place_of_the_whole(node: FakeNode) -> None:
    """On a node whose runtime still calls danm it does not start, and says what to do."""
    (node.root / "etc/cni/net.d/00-danm.conflist").write_text("{}")
    with pytest.raises(DanmError, match="uninstall-node"):
        a_daemon(node, Networks(node.kube))


async def test_it_does_not_come_after_the_whole(node: FakeNode) -> None:
    """Nor where another danmd has installed all of DANM while this one waited."""
    # SPEC F2
    daemon = a_daemon(node, Networks(node.kube))
    (node.root / "etc/cni/net.d/00-danm.conflist").write_text("{}")
    with pytest.raises(DanmError, match="uninstall-node"):
        daemon.load()


async def test_what_the_whole_has_left_is_not_released(node: FakeNode) -> None:
    """Sandboxes in the journal of a full danmd keep their addresses."""
    # DESIGN, P3
    record = SandboxRecord(
        container_id="old",
        namespace=NAMESPACE,
        pod="old",
        pod_uid="uid-old",
        netns=netns_of("old"),
        state=SandboxState.ADDED,
        interfaces=(InterfaceRecord(interface="eth0", kind=InterfaceKind.OWN, network="lan"),),
    )
    journal = Journal(node.config.paths.state / "journal")
    journal.load()
    await journal.put(record)
    for name in ("old", "unknown"):
        owner = PodOwnerMessage(namespace=NAMESPACE, name=name, uid=f"uid-{name}")
        entry = Entry(
            owner=owner,
            interface="eth0",
            network="lan",
            address=f"198.18.0.{len(name)}/24",
            attempt=1,
        )
        node.addresses.entries.append(entry)
    daemon = a_daemon(node, Networks(node.kube))
    daemon.load()
    await daemon.compare()
    assert [each.address for each in node.addresses.entries] == ["198.18.0.3/24"]
    assert "gave back 198.18.0.7 of" in node.events("GaveBackAddress")["DanmNet/lan"]
