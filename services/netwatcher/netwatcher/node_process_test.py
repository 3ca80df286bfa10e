"""A whole netwatcher of a node, against a kernel and an API server in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp

from danm_api.codec.danm_node import decode_danm_node
from danm_api.codec.danmnet import encode_status
from danm_api.errors import ApiUnavailableError
from danm_api.kube.api import DANMNETS, DANMNODES, NODES
from danm_api.kube.informer import Change, Informer
from danm_api.model.danm_node import DanmNode
from danm_api.names import InterfaceName, NodeName
from danm_api.testing.builders import a_danmnet, a_raw_danmnet, accepted
from danm_api.testing.fake_kube import FakeKube
from netwatcher.config import NodeConfig
from netwatcher.group_limit import LIMIT_FILE
from netwatcher.links import OtherKind, alias_for
from netwatcher.node_process import NodeProcess, remove_all_links
from netwatcher.testing.fake_kernel import FakeKernel

NODE = NodeName("node-1")
CONFIG = NodeConfig(
    kubeconfig=None,
    node_name=NODE,
    compare_period_s=60,
    group_limit_file=LIMIT_FILE,
    health_host="127.0.0.1",
    health_port=0,
)


def a_cluster() -> FakeKube:
    """Build an API server with a node and an accepted VLAN."""
    api = FakeKube()
    api.add(NODES, {"metadata": {"name": NODE}})
    raw = a_raw_danmnet("external", host_device="ens4", vlan=300)
    raw["status"] = encode_status(
        accepted(a_danmnet("external", host_device="ens4", vlan=300)).status
    )
    api.add(DANMNETS, raw)
    return api


@asynccontextmanager
async def running(
    api: FakeKube, kernel: FakeKernel, config: NodeConfig = CONFIG
) -> AsyncIterator[NodeProcess]:
    """Run a netwatcher, and stop it as a signal would."""
    process = NodeProcess(config, api, kernel)
    stop = asyncio.Event()
    task = asyncio.create_task(process.run(stop))
    try:
        yield process
    finally:
        stop.set()
        await task


async def ask(process: NodeProcess, path: str) -> tuple[int, str]:
    """Ask a process's health port."""
    url = f"http://127.0.0.1:{process.health_port}{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text()


async def test_a_node_is_served_and_told_of() -> None:
    """Link, DanmNode, readiness and metrics; the link outlives the process."""  # SPEC N2, N6
    api, kernel = a_cluster(), FakeKernel()
    kernel.add_parent("ens4")
    async with asyncio.timeout(10), running(api, kernel) as process:
        while not all(
            network.up
            for raw in [api.stored(DANMNODES, NODE)]
            for network in ([] if raw is None else decode_danm_node(raw).networks)
        ) or not api.stored(DANMNODES, NODE):
            await asyncio.sleep(0.001)
        assert (await ask(process, "/healthz"))[0] == 200
        assert (await ask(process, "/readyz"))[0] == 200
        _, counted = await ask(process, "/metrics")
    assert 'danm_netwatcher_links{state="up"} 1.0' in counted
    assert "external.300" in kernel.names()


async def test_no_link_goes_before_the_networks_are_known() -> None:
    """A netwatcher that cannot reach the API server leaves everything as it is."""  # DESIGN P5
    api, kernel = a_cluster(), FakeKernel()
    kernel.add_parent("ens4")
    async with asyncio.timeout(10), running(api, kernel):
        while "external.300" not in kernel.names():
            await asyncio.sleep(0.001)
    away = ApiUnavailableError("away", status=0)
    api.fail_next("list", DANMNETS, away, times=1000)
    before, calls = len(kernel.executed), api.calls["list", "danmnets"]
    async with asyncio.timeout(10), running(api, kernel) as process:
        while api.calls["list", "danmnets"] < calls + 3:
            await asyncio.sleep(0.001)
        assert (await ask(process, "/readyz"))[0] == 503
        _, counted = await ask(process, "/metrics")
    # Or all links would look as if they were gone.
    assert "danm_netwatcher_links{" not in counted
    assert len(kernel.executed) == before


async def test_a_node_without_networks_is_told_of_too() -> None:
    """It counts among those that a network can be ready on."""  # SPEC N6
    api = FakeKube()
    api.add(NODES, {"metadata": {"name": NODE}})
    async with asyncio.timeout(10), running(api, FakeKernel()):
        while api.stored(DANMNODES, NODE) is None:
            await asyncio.sleep(0.001)


async def test_a_restart_does_not_look_like_an_outage() -> None:
    """No version of DanmNode says that a link is missing that nobody has looked at yet."""
    # SPEC N6; DESIGN P6
    api, kernel = a_cluster(), FakeKernel()
    kernel.add_parent("ens4")
    told: list[tuple[bool, ...]] = []

    def take(change: Change[DanmNode]) -> None:
        if change.new is not None and change.new.updated is not None:
            told.append(tuple(network.up for network in change.new.networks))

    nodes = Informer(api, DANMNODES, decode_danm_node)
    nodes.subscribe(take)
    watch = asyncio.create_task(nodes.run())
    async with asyncio.timeout(10):
        async with running(api, kernel):
            while (True,) not in told:
                await asyncio.sleep(0.001)
        told.clear()
        async with running(api, kernel):
            while not told:
                await asyncio.sleep(0.001)
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)
    assert told[0] == (True,)


async def test_what_no_event_told_is_found() -> None:
    """All links are compared from time to time, so that nothing stays wrong."""  # SPEC N4
    api, kernel = a_cluster(), FakeKernel()
    kernel.add_parent("ens4")
    often = replace(CONFIG, compare_period_s=0.01)
    async with asyncio.timeout(10), running(api, kernel, often):
        while "external.300" not in kernel.names():
            await asyncio.sleep(0.001)
        kernel.silent = True
        kernel.remove("external.300")
        while "external.300" not in kernel.names():
            await asyncio.sleep(0.001)


async def test_cleaning_removes_what_is_ours_only() -> None:
    """Uninstalling leaves no link behind, and touches no other."""
    api, kernel = a_cluster(), FakeKernel()
    kernel.add_parent("ens4")
    kernel.add_foreign("mine", OtherKind(name="dummy"))
    async with asyncio.timeout(10), running(api, kernel):
        while "external.300" not in kernel.names():
            await asyncio.sleep(0.001)
    assert kernel.named("external.300").alias == alias_for(InterfaceName("external.300"))
    assert await remove_all_links(kernel) == ["external.300"]
    assert kernel.names() == {"ens4", "mine"}
