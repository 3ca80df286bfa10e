"""danmd as a process would run it: ready, installed, and an orderly end."""

import asyncio
import fcntl
import os
import time
from collections import Counter
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from danm_api.codec.cni import decode_result
from danm_api.errors import ApiUnavailableError, DeadlineExceededError, OverloadedError
from danm_api.kube.api import DANMEPS, PODS
from danm_api.node_call import DaemonUnreachableError, call_daemon
from danm_api.node_frame import PROGRAM_DANM, PROGRAM_FAKEIPAM, encode_request
from danm_cni.testing.demo import EXTERNAL, INTERNAL
from danm_cni.testing.node import FakeNode, a_node, config_for, free_port


def _call(
    node: FakeNode,
    verb: str,
    *,
    program: int = PROGRAM_DANM,
    pod: str = "pod-1",
    **config: Any,  # noqa: ANN401  (JSON values)
) -> tuple[int, bytes]:
    frame = _frame(node, verb, program=program, pod=pod, **config)
    return call_daemon(str(node.config.paths.socket), frame, deadline_ns=2**63)


def _frame(
    node: FakeNode,
    verb: str,
    *,
    program: int = PROGRAM_DANM,
    pod: str = "pod-1",
    deadline_ns: int = 0,
    **config: Any,  # noqa: ANN401  (JSON values)
) -> bytes:
    request = node.request(verb, f"c-{pod}", pod=pod, **config)
    return encode_request(
        program=program,
        deadline_ns=deadline_ns,
        environment=b"\0".join(f"{k}={v}".encode() for k, v in request.environment.items()),
        stdin=request.config,
    )


async def test_a_whole_life(tmp_path: Path) -> None:
    """Danmd becomes ready, installs itself, serves, shows health and metrics, and ends."""
    config = replace(config_for(tmp_path), health_port=free_port())
    node = FakeNode(tmp_path, config=config)
    node.add_network("internal", host_device="ens3", cidr="10.240.1.0/24")
    node.add_pod(interfaces=[INTERNAL])
    stop = asyncio.Event()
    running = asyncio.create_task(node.run(stop))
    paths = config.paths
    await node.until(lambda: paths.ready_marker.exists())
    await node.until(lambda: (tmp_path / "etc/cni/net.d/00-danm.conflist").exists())
    assert (tmp_path / "opt/cni/bin/danm").exists()
    assert (await asyncio.to_thread(_call, node, "ADD"))[0] == 0
    node.write_cni_config("late.conf", {"type": "x", "capabilities": {"bandwidth": True}})
    # SPEC C7
    own = tmp_path / "etc/cni/net.d/00-danm.conflist"
    await node.until(lambda: b'"bandwidth"' in own.read_bytes())
    url = f"http://127.0.0.1:{config.health_port}"
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{url}/readyz") as answer:
            assert answer.status == 200
        async with session.get(f"{url}/metrics") as answer:
            shown = await answer.text()
    assert 'danmd_request_duration_seconds_count{result="ok",verb="ADD"}' in shown
    assert "danm_ready 1.0" in shown
    stop.set()
    await asyncio.wait_for(running, 30)
    with pytest.raises(DaemonUnreachableError):
        await asyncio.to_thread(_call, node, "STATUS")
    # DESIGN, P5: what runs stays, and so does the way to it
    assert {"eth0"} == set(node.interfaces("c-pod-1"))
    assert (tmp_path / "etc/cni/net.d/00-danm.conflist").exists()


async def test_other_plugins_are_served_too(tmp_path: Path) -> None:
    """Fakeipam asks through the same socket; what it gets is an address without an interface."""
    # SPEC F2
    node = FakeNode(tmp_path)
    node.add_network("lan", cidr="198.18.0.0/24", fakeipam=True)
    node.add_pod("by-other")
    stop = asyncio.Event()
    running = asyncio.create_task(node.run(stop))
    await node.until(node.config.paths.ready_marker.exists)
    assert (tmp_path / "opt/cni/bin/fakeipam").exists()

    def call(verb: str) -> tuple[int, bytes]:
        ipam = {"type": "fakeipam", "network": "lan"}
        return _call(node, verb, program=PROGRAM_FAKEIPAM, pod="by-other", ipam=ipam)

    status, answer = await asyncio.to_thread(call, "ADD")
    assert (status, decode_result(answer).ips[0].address.ip) == (0, IPv4Address("198.18.0.10"))
    assert [True] == node.addresses.via_fakeipam
    assert {} == node.interfaces("c-by-other")
    assert [] == node.endpoints()
    assert await asyncio.to_thread(call, "STATUS") == (0, b"")
    assert await asyncio.to_thread(call, "CHECK") == (0, b"")
    assert await asyncio.to_thread(call, "DEL") == (0, b"")
    assert {} == node.leftovers()
    assert b"has given no address" in (await asyncio.to_thread(call, "CHECK"))[1]
    stop.set()
    await asyncio.wait_for(running, 30)


async def test_nothing_is_installed_before_it_works(tmp_path: Path) -> None:
    """While the API server does not answer there is no CNI configuration, and it says why."""
    node = FakeNode(tmp_path)
    node.kube.fail_next("list", PODS, ApiUnavailableError("away", status=0), times=10**6)
    stop = asyncio.Event()
    running = asyncio.create_task(node.run(stop))
    await node.until(node.config.paths.socket.exists)
    status, output = await asyncio.to_thread(_call, node, "STATUS")
    assert status == 1
    assert b"still starting" in output
    # Peers' complaint 10: long enough for whoever would not wait.
    await node.until(lambda: node.kube.calls["list", "pods"] > 2)
    assert [] == list((tmp_path / "etc/cni/net.d").iterdir())
    assert [] == list((tmp_path / "opt/cni/bin").iterdir())
    stop.set()
    await asyncio.wait_for(running, 30)


async def test_a_waiting_add_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """A danmd that never gets ready ends when it is told to, and answers whoever waits for it."""
    node = FakeNode(tmp_path)
    node.kube.fail_next("list", PODS, ApiUnavailableError("away", status=0), times=10**6)
    node.add_pod(interfaces=[INTERNAL])
    stop = asyncio.Event()
    running = asyncio.create_task(node.run(stop))
    await node.until(node.config.paths.socket.exists)
    reader, writer = await asyncio.open_unix_connection(node.config.paths.socket)
    writer.write(_frame(node, "ADD", deadline_ns=time.monotonic_ns() + 300 * 10**9))
    await writer.drain()
    # It has been accepted, and then this one, which is answered.
    await asyncio.to_thread(_call, node, "STATUS")
    stop.set()
    async with asyncio.timeout(60):
        await running
        assert b'"code":11' in await reader.read()
    writer.close()
    await writer.wait_closed()


async def test_one_that_follows_another_serves_at_once(tmp_path: Path) -> None:
    """What an earlier danmd has installed asks this one, even where it cannot install anything."""
    # docs/decisions/0021
    config = replace(config_for(tmp_path), health_port=free_port())
    node = FakeNode(tmp_path, config=config)
    config.paths.ready_marker.parent.mkdir(parents=True, exist_ok=True)
    config.paths.ready_marker.touch()
    executable = tmp_path / "image/danm"
    executable.rename(tmp_path / "away")
    stop = asyncio.Event()
    running = asyncio.create_task(node.run(stop))
    await node.until(lambda: node.daemon.readiness.reason is None)
    assert (await asyncio.to_thread(_call, node, "STATUS"))[0] == 0
    # Whoever follows the update sees that something is wrong here.
    shown = await _shown_ready(config.health_port)
    while shown[0] == 200:
        shown = await _shown_ready(config.health_port)
    assert shown[0] == 503
    assert "image/danm" in shown[1]
    (tmp_path / "away").rename(executable)
    await node.until((tmp_path / "etc/cni/net.d/00-danm.conflist").exists)
    assert (tmp_path / "opt/cni/bin/danm").exists()
    while shown[0] == 503:
        shown = await _shown_ready(config.health_port)
    stop.set()
    await asyncio.wait_for(running, 30)


async def _shown_ready(port: int) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/readyz") as answer,
    ):
        return answer.status, await answer.text()


async def test_nothing_is_installed_after_its_end(tmp_path: Path) -> None:
    """A danmd that is stopped while it installs ends when that is done: the next one may begin."""
    # docs/decisions/0021
    node = FakeNode(tmp_path)
    node.config.paths.ready_marker.parent.mkdir(parents=True, exist_ok=True)
    node.config.paths.ready_marker.touch()
    directory = os.open(tmp_path / "opt/cni/bin", os.O_RDONLY)
    try:
        # Whoever writes there waits.
        fcntl.flock(directory, fcntl.LOCK_EX)
        stop = asyncio.Event()
        running = asyncio.create_task(node.run(stop))
        await node.until(lambda: node.daemon.readiness.reason is None)
        stop.set()
        await node.until(lambda: not node.config.paths.socket.exists())
    finally:
        os.close(directory)
    await asyncio.wait_for(running, 30)
    assert {"danm", "fakeipam"} == {each.name for each in (tmp_path / "opt/cni/bin").iterdir()}


async def test_no_configuration_without_its_executables(tmp_path: Path) -> None:
    """When an executable cannot be put onto the node, the runtime hears nothing of DANM."""
    # Peers' complaint 10
    node = FakeNode(tmp_path)
    (tmp_path / "image/fakeipam").unlink()
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(30):
            await node.run(asyncio.Event())
    assert caught.group_contains(FileNotFoundError)
    assert not node.config.paths.ready_marker.exists()
    assert [] == list((tmp_path / "etc/cni/net.d").iterdir())


async def test_a_burst_is_bounded(tmp_path: Path) -> None:
    """So many ADDs work, so many wait, and the others are told at once to come again."""
    # Peers' complaint 9; DESIGN, P6
    config = replace(config_for(tmp_path), max_sandboxes=4, max_waiting=10)
    async with a_node(tmp_path, config=config) as node:
        node.add_network("internal", host_device="ens3", cidr="10.240.1.0/24")
        await node.knows_networks(1)
        names = [f"pod-{number}" for number in range(500)]
        for name in names:
            node.add_pod(name, interfaces=[INTERNAL])
        node.addresses.failures.hang("reserve")
        adds = {
            name: asyncio.create_task(node.add(f"c-{name}", pod=name, timeout_s=5))
            for name in names
        }
        await node.until(lambda: sum(each.done() for each in adds.values()) == 500 - 14)
        refused = [each.exception() for each in adds.values() if each.done()]
        assert all(isinstance(each, OverloadedError) for each in refused)
        await node.until(lambda: node.addresses.failures.hanging["reserve"] == 4)
        assert len(node.daemon.journal.records()) == 4
        # Those who wait do not wait for ever.
        ended = await asyncio.gather(*adds.values(), return_exceptions=True)
        assert sum(isinstance(each, DeadlineExceededError) for each in ended) == 14
        node.addresses.failures.heal()
        assert {} == node.leftovers()
        assert len((await node.add("c1")).ips) == 1


async def test_what_concerns_other_nodes_is_not_read(node: FakeNode) -> None:
    """Of Pods and DanmEps danmd holds its own node's, and an ADD or DEL reads nothing more."""
    # Peers' complaint 9; DESIGN, P6 and "An ADD", step 2
    pods, _, endpoints = node.daemon.informers
    node.add_pod("elsewhere", interfaces=[INTERNAL], on="node-2")
    node.add_pod("before", interfaces=[INTERNAL])
    await node.add("c0", pod="before")
    (foreign,) = node.endpoints()
    foreign["metadata"] |= {"name": "elsewhere", "uid": "uid-elsewhere"}
    foreign["metadata"]["labels"]["danm.k8s.io/node"] = "node-2"
    node.kube.add(DANMEPS, foreign)
    node.add_pod(interfaces=[INTERNAL, EXTERNAL])
    await node.until(lambda: len(pods.items()) == 2)
    before = Counter(node.kube.calls)
    await node.add()
    await node.end_pod()
    await node.until(lambda: len(endpoints.items()) == 3)
    assert {"before", "pod-1"} == {each.name for each in pods.items()}
    assert {"before", "pod-1"} == {each.pod for each in endpoints.items()}
    await node.delete()
    spent = node.kube.calls - before
    assert {verb for verb, _ in spent} <= {"create", "delete", "patch"}
    assert spent["create", "danmeps"] == spent["delete", "danmeps"] == 2
