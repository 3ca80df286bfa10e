"""fakeipam with addresses of DanmNets, under the real bridge and macvlan plugins (SPEC F2).

Real are the plugins, network namespaces, danmd --ipam-only with the role of deploy/ipam-only,
ipam-svc and the API server; the runtime is the test.
"""

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from danm_api.kube.client import KubeClient
from danm_api.names import SYSTEM_NAMESPACE
from ipam_svc.config import API_PORT
from tests.ipam.cluster import Cluster, eventually, install_kinds
from tests.ipam.plugin_node import ADDRESS, PARENT, Container, PluginError, PluginNode, own_network
from tests.lab.apiserver import ApiServer
from tests.lab.kube_objects import NAMESPACES

# Building Kubernetes, where the cache is empty.
pytestmark = [pytest.mark.apiserver(), pytest.mark.timeout(1500)]

_CIDR, _NET6 = "10.9.0.0/24", "2001:db8:9::/64"
_POOL6 = {"start": "2001:db8:9::100", "end": "2001:db8:9::1ff"}
_GATEWAY = "10.9.0.254"


def bridge(
    version: str = "1.0.0", *, network: str = "lan", **ipam: Any  # noqa: ANN401  (JSON values)
) -> dict[str, Any]:
    """Return a configuration of the bridge plugin."""
    return {
        "cniVersion": version,
        "name": "by-bridge",
        "type": "bridge",
        "bridge": "cni0",
        "ipam": {"type": "fakeipam", "network": network, **ipam},
    }


def macvlan(version: str = "1.0.0", *, network: str = "lan") -> dict[str, Any]:
    """Return a configuration of the macvlan plugin."""
    return {
        "cniVersion": version,
        "name": "by-macvlan",
        "type": "macvlan",
        "master": PARENT,
        "mode": "bridge",
        "ipam": {"type": "fakeipam", "network": network},
    }


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PluginNode]:
    """Have an API server, and a node with ipam-svc and danmd, in a network of their own."""
    directory = tmp_path_factory.mktemp("node")
    with own_network(), ApiServer.start(directory) as server:
        node = asyncio.run(_join(server, directory))
        try:
            node.start_what_ended()
            yield node
        finally:
            node.leave()


async def _join(server: ApiServer, directory: Path) -> PluginNode:
    await install_kinds(server)
    async with await KubeClient.connect(server.kubeconfig) as api:
        cluster = Cluster(server=server, api=api, namespace=SYSTEM_NAMESPACE)
        await cluster.create(NAMESPACES, {"metadata": {"name": SYSTEM_NAMESPACE}})
        return await PluginNode.join(cluster, directory / "node")


@pytest.fixture()
async def node(joined: PluginNode) -> AsyncIterator[PluginNode]:
    """Have a namespace with three DanmNets; no container is left in the end."""
    async with await KubeClient.connect(joined.cluster.server.kubeconfig) as api:
        cluster = Cluster(
            server=joined.cluster.server, api=api, namespace=f"test-{uuid4().hex[:8]}"
        )
        joined.cluster = cluster
        await cluster.create(NAMESPACES, {"metadata": {"name": cluster.namespace}})
        await cluster.add_network(
            "lan", cidr=_CIDR, fakeipam=True, routes={"192.0.2.0/24": _GATEWAY}
        )
        await cluster.add_network("six", net6=_NET6, allocation_pool6=_POOL6, fakeipam=True)
        await cluster.add_network(
            "dual", cidr=_CIDR, net6=_NET6, allocation_pool6=_POOL6, fakeipam=True
        )
        joined.start_what_ended()
        yield joined
        for container in tuple(joined.containers):
            joined.end_container(container)


async def nothing_is_held(node: PluginNode, *, within_s: float = 25) -> None:
    """Wait until no address is held: danmd compares every 10 s."""

    async def is_empty() -> bool:
        return await node.held() == []

    await eventually(is_empty, within_s=within_s)


@pytest.mark.parametrize("plugin", [bridge, macvlan], ids=["bridge", "macvlan"])
@pytest.mark.parametrize("version", ["0.1.0", "0.2.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])
async def test_a_plugin_gets_an_address_and_gives_it_back(
    node: PluginNode, plugin: Any, version: str  # noqa: ANN401  (one of two functions)
) -> None:
    """ADD: in the record and on the interface; CHECK agrees; DEL: gone from both."""
    pod, config = await node.run_pod(), plugin(version)
    await node.call("ADD", config, pod)
    (held,) = await node.cluster.held()
    assert pod.addresses("net1") == {f"{held.address}/24"}
    assert pod.pod is not None
    assert (held.owner.namespace, held.node) == (node.cluster.namespace, node.name)
    assert getattr(held.owner, "uid", "") == pod.pod["metadata"]["uid"]
    if version >= "0.4":
        await node.call("CHECK", config, pod)
    await node.call("DEL", config, pod)
    assert pod.addresses("net1") == set()
    await nothing_is_held(node, within_s=5)
    await node.call("DEL", config, pod)


@pytest.mark.parametrize(
    ("network", "lengths"),
    [("six", [64]), ("dual", [24, 64])],
)
@pytest.mark.parametrize("plugin", [bridge, macvlan], ids=["bridge", "macvlan"])
async def test_ipv6_and_dual_stack(
    node: PluginNode, plugin: Any, network: str, lengths: list[int]  # noqa: ANN401
) -> None:
    """Each family of the DanmNet is on the interface."""
    # SPEC F2, G5
    pod, config = await node.run_pod(), plugin("1.1.0", network=network)
    await node.call("ADD", config, pod)
    found = sorted(
        map(ipaddress.ip_interface, pod.addresses("net1")), key=lambda each: each.version
    )
    assert [each.network.prefixlen for each in found] == lengths
    assert sorted(str(each.ip) for each in found) == await node.held()
    await node.call("CHECK", config, pod)
    await node.call("DEL", config, pod)
    await nothing_is_held(node, within_s=5)


async def test_routes_of_the_network_come_along(node: PluginNode) -> None:
    """The DanmNet's routes are in the plugin's result, and its gateway is nobody's address."""
    # SPEC F1, G2
    pod = await node.run_pod()
    answer = await node.call("ADD", bridge(routes=[{"dst": "198.51.100.0/24"}]), pod)
    assert answer["ips"][0]["gateway"] == _GATEWAY
    assert {"dst": "192.0.2.0/24", "gw": _GATEWAY} in answer["routes"]
    assert {"dst": "198.51.100.0/24"} in answer["routes"]


async def test_a_container_that_is_no_pod(node: PluginNode) -> None:
    """Without K8S_POD_* the container is the owner, in the namespace that the configuration has."""
    container = node.add_sandbox()
    config = bridge(namespace=node.cluster.namespace)
    await node.call("ADD", config, container)
    (held,) = await node.cluster.held()
    assert getattr(held.owner, "container_id", "") == container.id
    await node.call("CHECK", config, container)
    await node.call("DEL", config, container)
    await nothing_is_held(node, within_s=5)


async def test_the_same_pod_has_the_same_address(node: PluginNode) -> None:
    """A repeated IPAM ADD, and a next sandbox before the old one's DEL, get the same again."""
    # SPEC C5, G7
    pod = await node.run_pod()
    first = await node.call("ADD", bridge(), pod)
    again = await node.call("ADD", bridge(), pod, executable="fakeipam")
    assert again["ips"][0]["address"] == first["ips"][0]["address"]
    second = node.add_sandbox(pod.pod)
    result = await node.call("ADD", bridge(), second)
    assert result["ips"][0]["address"] == first["ips"][0]["address"]
    await node.call("DEL", bridge(), pod)
    await node.call("CHECK", bridge(), second, executable="fakeipam")
    assert len(await node.held()) == 1
    await node.call("DEL", bridge(), second)
    await nothing_is_held(node, within_s=5)


async def test_an_address_is_not_released_under_an_interface(node: PluginNode) -> None:
    """Plugin macvlan gives it back before it removes the interface: nobody gets it between."""
    # DESIGN, P3; docs/decisions/0009
    only = {"start": "10.9.0.5", "end": "10.9.0.5"}
    await node.cluster.add_network("tiny", cidr=_CIDR, allocation_pool=only, fakeipam=True)
    first, second, config = await node.run_pod(), await node.run_pod(), macvlan(network="tiny")
    await node.call("ADD", config, first)
    await node.call("DEL", config, first, executable="fakeipam")
    assert first.addresses("net1") == {"10.9.0.5/24"}
    with pytest.raises(PluginError, match="tiny") as caught:
        await node.call("ADD", config, second)
    assert caught.value.code == 101
    await node.call("DEL", config, second)
    await node.call("DEL", config, first)
    await nothing_is_held(node, within_s=5)
    await node.call("ADD", config, second)
    assert second.addresses("net1") == {"10.9.0.5/24"}


async def test_check_fails_when_it_must(node: PluginNode) -> None:
    """Without an ADD, with another result, and without the entry in the record."""
    # SPEC C6
    pod, stranger, config = await node.run_pod(), await node.run_pod(), bridge()
    await node.call("ADD", config, pod)
    stranger.result = pod.result
    with pytest.raises(PluginError, match="has given no address") as caught:
        await node.call("CHECK", config, stranger, executable="fakeipam")
    assert caught.value.code == 3
    good = pod.result
    pod.result = good | {"ips": [{**good["ips"][0], "address": "10.9.0.77/24"}]}
    with pytest.raises(PluginError, match="prevResult lacks"):
        await node.call("CHECK", config, pod, executable="fakeipam")
    pod.result = good
    await node.call("CHECK", config, pod, executable="fakeipam")
    with pytest.raises(PluginError, match="DanmNet .*/dual"):
        await node.call("CHECK", bridge(network="dual"), pod, executable="fakeipam")


async def test_gc_returns_what_is_stale_of_one_configuration(node: PluginNode) -> None:
    """What is not listed and gone goes; what is listed, live, or another configuration's, stays."""
    # SPEC C6; DESIGN, P3
    listed, stale, live, other = [await node.run_pod() for _ in range(4)]
    config = bridge("1.1.0")
    for pod in (listed, stale, live):
        await node.call("ADD", config, pod)
    await node.call("ADD", macvlan("1.1.0"), other)
    node.end_container(stale)
    node.end_container(other)
    valid = [{"containerID": listed.id, "ifname": "net1"}]
    await node.call("GC", {**config, "cni.dev/valid-attachments": valid}, executable="fakeipam")
    owners = {getattr(each.owner, "uid", "") for each in await node.cluster.held()}
    assert {_uid(listed), _uid(live)} <= owners
    assert _uid(stale) not in owners
    # The other configuration's namespace is gone, which danmd finds by itself.
    node.end_container(live)

    async def is_listed_alone() -> bool:
        held = await node.cluster.held()
        return [getattr(each.owner, "uid", "") for each in held] == [_uid(listed)]

    await eventually(is_listed_alone, within_s=25)
    await node.call("CHECK", config, listed, executable="fakeipam")


def _uid(container: Container) -> str:
    assert container.pod is not None
    return str(container.pod["metadata"]["uid"])


async def test_networks_that_do_not_admit_fakeipam(node: PluginNode) -> None:
    """A DanmNet without fakeipam, a missing one and a full one are told by name, as CNI errors."""
    # SPEC A7, F2, G2; DESIGN P7
    await node.cluster.add_network("closed", cidr=_CIDR)
    only = {"start": "10.9.0.5", "end": "10.9.0.5"}
    await node.cluster.add_network("tiny", cidr=_CIDR, allocation_pool=only, fakeipam=True)
    first, second = await node.run_pod(), await node.run_pod()
    for network, code, words in (
        ("closed", 108, "fakeipam"),
        ("missing", 103, f"{node.cluster.namespace}/missing"),
    ):
        with pytest.raises(PluginError, match=words) as caught:
            await node.call("ADD", bridge(network=network), first)
        assert caught.value.code == code
        await node.call("DEL", bridge(network=network), first)
    await node.call("ADD", bridge(network="tiny"), first)
    with pytest.raises(PluginError, match="tiny") as caught:
        await node.call("ADD", bridge(network="tiny"), second)
    assert caught.value.code == 101
    for pod in (first, second):
        await node.call("DEL", bridge(network="tiny"), pod)
    await node.call("ADD", bridge(network="tiny"), second)


async def test_a_pod_of_another_node_gets_nothing(node: PluginNode) -> None:
    """ipam-svc holds this node's danmd to Pods of this node."""
    # DESIGN, "Who may"
    elsewhere = node.add_sandbox(await node.cluster.run_pod("elsewhere", node="other"))
    with pytest.raises(PluginError, match="bound to other") as caught:
        await node.call("ADD", bridge(), elsewhere)
    assert caught.value.code == 108
    assert await node.held() == []


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
    return _uid(container) in {getattr(each.owner, "uid", "") for each in await node.cluster.held()}


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
    """ADD fails with a sentence, DEL succeeds in 2 s, and both are finished later."""
    # DESIGN, P5; SPEC C4
    pod, late = await node.run_pod(), await node.run_pod()
    await node.call("ADD", bridge(), pod)
    node.kill_ipam()
    with pytest.raises(PluginError, match="ipam-svc did not answer") as caught:
        await node.call("ADD", bridge(), late)
    assert caught.value.code == 11
    async with asyncio.timeout(5):
        await node.call("DEL", bridge(), pod)
    assert pod.addresses("net1") == set()
    assert len(await node.held()) == 1
    await asyncio.to_thread(node.start_what_ended)
    await nothing_is_held(node)
    await node.call("DEL", bridge(), late)
    await node.call("ADD", bridge(), late)
