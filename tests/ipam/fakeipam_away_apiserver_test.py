"""fakeipam under a real plugin while danmd or ipam-svc is away, or dies."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import pytest

from ipam_svc.config import API_PORT
from tests.ipam.cluster import eventually
from tests.ipam.plugin_node import ADDRESS, Container, PluginError, PluginNode
from tests.ipam.plugin_stage import bridge, joined_node, nothing_is_held, uid_of, with_networks

# Building Kubernetes, where the cache is empty.
pytestmark = [pytest.mark.apiserver(), pytest.mark.timeout(1500)]

# Less than 7 s, after which fakeipam gives danmd up and succeeds by itself.
_DEL_S: Final = 5.0


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PluginNode]:
    """Have an API server and a node for all tests of this file."""
    with joined_node(tmp_path_factory.mktemp("node")) as node:
        yield node


@pytest.fixture()
async def node(joined: PluginNode) -> AsyncIterator[PluginNode]:
    """Have the node, and a namespace with three DanmNets."""
    async with with_networks(joined) as made:
        yield made


@asynccontextmanager
async def answers_held(node: PluginNode) -> AsyncIterator[asyncio.Event]:
    """Have danmd reach ipam-svc through a relay; once the event is cleared, no answer passes."""
    passing = asyncio.Event()
    passing.set()
    tasks: set[asyncio.Task[None]] = set()

    async def accept(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection(ADDRESS, API_PORT)
        forward = asyncio.create_task(_copy(client, to_server))
        back = asyncio.create_task(_copy(server, to_client, passing))
        tasks.update((forward, back))

    relay = await asyncio.start_server(accept, ADDRESS, 0)
    node.kill_danmd()
    try:
        await node.publish_ipam(relay.sockets[0].getsockname()[1])
        await asyncio.to_thread(node.start_what_ended)
        yield passing
    finally:
        await node.publish_ipam()
        relay.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _copy(
    source: asyncio.StreamReader, target: asyncio.StreamWriter, passing: asyncio.Event | None = None
) -> None:
    try:
        while data := await source.read(1 << 16):
            if passing is not None:
                await passing.wait()
            target.write(data)
            await target.drain()
    finally:
        target.close()
        with suppress(OSError):
            await target.wait_closed()


async def test_danmd_killed_between_reserve_and_answer(node: PluginNode) -> None:
    """Kill -9 while the address is recorded and nobody was told it: it comes back, without DEL."""
    # DESIGN, P2
    first, pod = await node.run_pod(), await node.run_pod()
    async with answers_held(node) as passing:
        # So that danmd has a connection on which a request needs no handshake.
        await node.call("ADD", bridge(), first)
        passing.clear()
        adding = asyncio.create_task(node.call("ADD", bridge(), pod))
        await eventually(lambda: _holds(node, pod))
        node.kill_danmd()
        with pytest.raises(PluginError) as caught:
            await adding
        assert caught.value.code == 11
    assert await _holds(node, pod)
    await asyncio.to_thread(node.start_what_ended)

    async def is_given_back() -> bool:
        return not await _holds(node, pod)

    await eventually(is_given_back, within_s=25)
    assert await _holds(node, first), "what was answered stays"


async def _holds(node: PluginNode, container: Container) -> bool:
    return uid_of(container) in {
        getattr(each.owner, "uid", "") for each in await node.cluster.held()
    }


async def test_danmd_away(node: PluginNode) -> None:
    """ADD asks to try again, DEL succeeds and is done when danmd is back, STATUS stays good."""
    # DESIGN, P5; SPEC C4
    pod, late = await node.run_pod(), await node.run_pod()
    config = bridge("1.1.0")
    await node.call("ADD", config, pod)
    node.kill_danmd()
    with pytest.raises(PluginError, match="danm-cni") as caught:
        await node.call("ADD", config, late)
    assert caught.value.code == 11
    await node.call("DEL", config, pod)
    await node.call("STATUS", config)
    assert len(await node.held()) == 1
    await asyncio.to_thread(node.start_what_ended)
    await nothing_is_held(node)
    await node.call("DEL", config, late)
    await node.call("ADD", config, late)


async def test_ipam_svc_away(node: PluginNode) -> None:
    """ADD fails with a sentence, DEL succeeds, and both are finished later.

    A DEL is answered 2 s after fakeipam has started. danmd's own time is looked at: interpreters
    have to start before and after it, which takes a busy machine as long as it takes.
    """
    # DESIGN, P5; SPEC C4
    pod, late = await node.run_pod(), await node.run_pod()
    await node.call("ADD", bridge(), pod)
    node.kill_ipam()
    with pytest.raises(PluginError, match="ipam-svc did not answer") as caught:
        await node.call("ADD", bridge(), late)
    assert caught.value.code == 11
    before_s = await asyncio.to_thread(node.request_s, "fakeipam DEL")
    await node.call("DEL", bridge(), pod)
    took_s = await asyncio.to_thread(node.request_s, "fakeipam DEL") - before_s
    assert 0 < took_s < _DEL_S
    assert pod.addresses("net1") == set()
    assert len(await node.held()) == 1
    await asyncio.to_thread(node.start_what_ended)
    await nothing_is_held(node)
    await node.call("DEL", bridge(), late)
    await node.call("ADD", bridge(), late)
