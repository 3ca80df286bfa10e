"""Both roles of netwatcher on a real API server and a real kernel."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
from pyroute2 import IPRoute, netns

from danm_api.codec.danm_node import decode_danm_node
from danm_api.codec.danmep import encode_danmep
from danm_api.codec.danmnet import decode_danmnet
from danm_api.errors import ConflictError
from danm_api.kube.api import (
    DANMEPS,
    DANMNETS,
    DANMNODES,
    EVENTS,
    NODES,
)
from danm_api.kube.client import KubeClient
from danm_api.model.danmnet import DanmNet, NodeSum, Vlan
from danm_api.names import InterfaceName, NodeName
from danm_api.testing.builders import a_danmep
from netwatcher.config import NodeConfig, ValidatorConfig
from netwatcher.group_limit import LIMIT_FILE
from netwatcher.links import alias_for
from netwatcher.netlink import NetlinkKernel
from netwatcher.node_process import NodeProcess
from netwatcher.validator_process import ValidatorProcess
from tests.lab.apiserver import ApiServer
from tests.lab.deployed import account_kubeconfig, apply_deployed
from tests.lab.kinds import install_kinds
from tests.lab.kube_objects import NAMESPACES

NODE: Final = NodeName("node-1")
# Much longer than anything takes but on a machine that starves.
_FOLLOW_S: Final = 60.0
# So that no comparison of all links makes up for an event that was missed.
_NEVER_S: Final = 3600.0

# Building Kubernetes, where the cache is empty.
pytestmark = [
    pytest.mark.apiserver(),
    pytest.mark.timeout(1500),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a netns"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """Start an API server for all tests of this file."""
    with ApiServer.start(tmp_path_factory.mktemp("apiserver")) as running:
        yield running


@pytest.fixture()
def node_netns() -> Iterator[str]:
    """Make a node's netns with the device ens3, up and addressed."""
    name = f"netwatcher-{uuid4().hex[:12]}"
    netns.create(name)
    with ThreadPoolExecutor(1) as hands:
        hands.submit(_by_hand, name, _set_up).result()
    yield name
    netns.remove(name)


def _by_hand(name: str, work: Callable[[IPRoute], object]) -> None:
    netns.setns(name, flags=0)
    with IPRoute() as route:
        work(route)


def _set_up(route: IPRoute) -> None:
    route.link("add", ifname="ens3", kind="veth", peer={"ifname": "peer"})
    for name in ("ens3", "peer"):
        route.link("set", ifname=name, state="up")
    index = route.link_lookup(ifname="ens3")[0]
    route.addr("add", index=index, address="198.18.0.1", prefixlen=24)


@dataclass
class World:
    """A namespace on a real API server, and a node with a real kernel."""

    api: KubeClient
    kernel: NetlinkKernel
    namespace: str
    netns: str

    async def create(self, name: str, **options: Any) -> None:  # noqa: ANN401  (JSON values)
        """Create a DanmNet as a user does."""
        body = {
            "apiVersion": DANMNETS.api_version,
            "kind": DANMNETS.kind,
            "metadata": {"name": name},
            "spec": {"NetworkID": name, "Options": options},
        }
        await self.api.create(DANMNETS, body, namespace=self.namespace)

    async def net(self, name: str) -> DanmNet:
        """Return a DanmNet."""
        return decode_danmnet(await self.api.get(DANMNETS, name, namespace=self.namespace))

    async def verdict(self, name: str) -> bool:
        """Wait for the verdict on the present spec."""
        async with asyncio.timeout(_FOLLOW_S):
            while True:
                net = await self.net(name)
                found = net.status.condition("Valid")
                if (
                    found is not None
                    # Or else the validator is still making sure.
                    and found.status is not None
                    and found.observed_generation == net.generation
                ):
                    assert net.marked_valid == found.status
                    return found.status is True
                await asyncio.sleep(0.01)

    async def until_link(self, name: str, *, there: bool) -> None:
        """Wait until a link is there and up, or gone."""
        async with asyncio.timeout(_FOLLOW_S):
            while True:
                link = await self.kernel.link_by_name(InterfaceName(name))
                if (link is not None and link.up) == there:
                    return
                await asyncio.sleep(0.005)

    async def by_hand(self, work: Callable[[IPRoute], object]) -> None:
        """Change the node's network behind netwatcher's back."""
        with ThreadPoolExecutor(1) as hands:
            await asyncio.get_running_loop().run_in_executor(hands, _by_hand, self.netns, work)


@pytest.fixture()
async def world(server: ApiServer, node_netns: str) -> AsyncIterator[World]:
    """Run a validator and the netwatcher of one node, with the rights that deploy/ gives them."""

    def a_kernel() -> NetlinkKernel:
        return NetlinkKernel(
            ThreadPoolExecutor(1, initializer=lambda: netns.setns(node_netns, flags=0))
        )

    def rights_of(account: str) -> Path:
        path = server.kubeconfig.with_name(f"{account}.kubeconfig")
        authority = server.trust.authority
        return account_kubeconfig(path, url=server.url, authority=authority, account=account)

    namespace = f"test-{uuid4().hex[:8]}"
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(await KubeClient.connect(server.kubeconfig))
        await install(api, namespace)
        validator = ValidatorProcess(
            ValidatorConfig(
                kubeconfig=None,
                pod_name=uuid4().hex,
                namespace="danm-system",
                health_host="127.0.0.1",
                health_port=0,
            ),
            await stack.enter_async_context(await KubeClient.connect(rights_of("danm-validator"))),
        )
        node = NodeProcess(
            NodeConfig(
                kubeconfig=None,
                node_name=NODE,
                compare_period_s=_NEVER_S,
                group_limit_file=LIMIT_FILE,
                health_host="127.0.0.1",
                health_port=0,
            ),
            await stack.enter_async_context(await KubeClient.connect(rights_of("danm-netwatcher"))),
            await stack.enter_async_context(a_kernel()),
        )
        kernel = await stack.enter_async_context(a_kernel())
        async with asyncio.TaskGroup() as group:
            for process in (validator, node):
                group.create_task(process.run(stop))
            yield World(api=api, kernel=kernel, namespace=namespace, netns=node_netns)
            for raw in (await api.list(DANMNETS, namespace=namespace)).items:
                await api.delete(DANMNETS, raw["metadata"]["name"], namespace=namespace)
            stop.set()


async def install(api: KubeClient, namespace: str) -> None:
    """Make DANM's kinds and roles, a node and the namespaces, unless another test did."""
    await api.create(NAMESPACES, {"metadata": {"name": namespace}})
    await apply_deployed(api, "namespace/namespace.yaml", "netwatcher/rbac.yaml")
    with suppress(ConflictError):
        await api.create(NODES, {"metadata": {"name": NODE}})
    await install_kinds(api)


async def test_from_a_manifest_to_a_link(world: World) -> None:
    """Verdict, spec in force, Event, link and DanmNode, as a user sees them."""  # SPEC N1, N2, N6
    options = {
        "host_device": "ens3",
        "vxlan": 600,
        "cidr": "10.240.1.0/24",
        "allocation_pool": {"start": "10.240.1.100", "end": "10.240.1.200"},
        "container_prefix": "int",
        "rt_tables": 200,
        "routes": {"10.99.0.0/16": "10.240.1.1"},
    }
    await world.create("internal", **options)
    assert await world.verdict("internal")
    net = await world.net("internal")
    # Nothing of it was pruned by the schema.
    assert net.status.applied == net.spec
    await world.until_link("vx_internal", there=True)
    link = await world.kernel.link_by_name(InterfaceName("vx_internal"))
    assert link is not None
    assert link.alias == alias_for(InterfaceName("vx_internal"))

    async with asyncio.timeout(_FOLLOW_S):
        while True:
            listed = await world.api.list(DANMNODES)
            nodes = [decode_danm_node(raw) for raw in listed.items]
            told = [n for node in nodes for n in node.networks if n.namespace == net.namespace]
            if [(n.link, n.up) for n in told] == [("vx_internal", True)]:
                break
            await asyncio.sleep(0.01)
    async with asyncio.timeout(_FOLLOW_S):
        while (await world.net("internal")).status.nodes != NodeSum(ready=1, total=1):
            await asyncio.sleep(0.01)
    events = await world.api.list(EVENTS, namespace=world.namespace)
    assert [event["reason"] for event in events.items] == ["Valid"]

    await world.api.delete(DANMNETS, "internal", namespace=world.namespace)
    await world.until_link("vx_internal", there=False)


async def test_a_mistake_is_told_and_put_right(world: World) -> None:
    """The condition says what to do; doing it is all that is needed."""  # SPEC N1
    pool = {"start": "10.240.1.200", "end": "10.240.1.100"}
    await world.create(
        "internal", host_device="ens3", vxlan=601, cidr="10.240.1.0/24", allocation_pool=pool
    )
    assert not await world.verdict("internal")
    refused = (await world.net("internal")).status.condition("Valid")
    assert refused is not None
    assert "lies after end" in refused.message
    patch = {"spec": {"Options": {"allocation_pool": {"start": pool["end"], "end": pool["start"]}}}}
    await world.api.patch(DANMNETS, "internal", patch, namespace=world.namespace)
    assert await world.verdict("internal")
    await world.until_link("vx_internal", there=True)


async def test_an_edit_that_would_cut_a_pod_off_waits(world: World) -> None:
    """It is accepted, named, and in force after the Pod."""  # SPEC N5
    await world.create("l2", host_device="ens3", vlan=300)
    assert await world.verdict("l2")
    endpoint = encode_danmep(a_danmep(namespace=world.namespace, network="l2", node=NODE))
    await world.api.create(DANMEPS, endpoint, namespace=world.namespace)
    patch = {"spec": {"Options": {"vlan": 301}}}
    await world.api.patch(DANMNETS, "l2", patch, namespace=world.namespace)
    assert await world.verdict("l2")
    net = await world.net("l2")
    waits = net.status.condition("Applied")
    assert waits is not None
    assert waits.status is False
    assert "processor-1" in waits.message
    assert net.status.applied is not None
    assert net.status.applied.segment == Vlan(vid=300)
    await world.api.delete(DANMEPS, "ep-1", namespace=world.namespace)
    async with asyncio.timeout(_FOLLOW_S):
        while (await world.net("l2")).status.applied != net.spec:
            await asyncio.sleep(0.01)


async def test_damage_is_repaired_without_a_comparison(world: World) -> None:
    """One link or many, removed or set down by hand: the kernel's events tell of it.

    That it is so within a second is `./lab bench controllers`' to measure, on a machine that has
    the time for it.
    """
    # SPEC N4
    names = [f"n{number}" for number in range(20)]
    for number, name in enumerate(names):
        await world.create(name, host_device="ens3", vxlan=700 + number)
    for name in names:
        await world.until_link(f"vx_{name}", there=True)

    def remove(route: IPRoute) -> None:
        route.link("del", ifname="vx_n0")

    def set_down(route: IPRoute) -> None:
        route.link("set", ifname="vx_n1", state="down")

    def remove_all(route: IPRoute) -> None:
        for name in names:
            route.link("del", ifname=f"vx_{name}")

    for damage in (remove, set_down, remove_all):
        await world.by_hand(damage)
        for name in names:
            await world.until_link(f"vx_{name}", there=True)
