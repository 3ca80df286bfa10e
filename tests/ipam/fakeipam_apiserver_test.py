"""fakeipam with addresses of DanmNets, under the real bridge and macvlan plugins (SPEC F2).

Real are the plugins, network namespaces, danmd --ipam-only with the role of deploy/ipam-only,
ipam-svc and the API server; the runtime is the test.
"""

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.ipam.cluster import eventually
from tests.ipam.plugin_node import PluginError, PluginNode
from tests.ipam.plugin_stage import (
    CIDR,
    GATEWAY,
    bridge,
    joined_node,
    macvlan,
    nothing_is_held,
    uid_of,
    with_networks,
)

# Building Kubernetes, where the cache is empty.
pytestmark = [pytest.mark.apiserver(), pytest.mark.timeout(1500)]


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
    assert answer["ips"][0]["gateway"] == GATEWAY
    assert {"dst": "192.0.2.0/24", "gw": GATEWAY} in answer["routes"]
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
    await node.cluster.add_network("tiny", cidr=CIDR, allocation_pool=only, fakeipam=True)
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


@pytest.mark.parametrize("network", ["lan", "six", "dual"])
async def test_gc_returns_what_is_stale_of_one_configuration(
    node: PluginNode, network: str
) -> None:
    """What is not listed and gone goes; what is listed, live, or another configuration's, stays."""
    # SPEC C6; DESIGN, P3
    listed, stale, live, other = [await node.run_pod() for _ in range(4)]
    config = bridge("1.1.0", network=network)
    for pod in (listed, stale, live):
        await node.call("ADD", config, pod)
    await node.call("ADD", macvlan("1.1.0", network=network), other)
    node.end_container(stale)
    node.end_container(other)
    valid = [{"containerID": listed.id, "ifname": "net1"}]
    await node.call("GC", {**config, "cni.dev/valid-attachments": valid}, executable="fakeipam")
    owners = await _owners(node)
    assert {uid_of(listed), uid_of(live)} <= owners
    assert uid_of(stale) not in owners
    # The other configuration's namespace is gone, which danmd finds by itself.
    node.end_container(live)

    async def is_listed_alone() -> bool:
        return await _owners(node) == {uid_of(listed)}

    await eventually(is_listed_alone, within_s=25)
    await node.call("CHECK", config, listed, executable="fakeipam")


@pytest.mark.parametrize("plugin", [bridge, macvlan], ids=["bridge", "macvlan"])
async def test_gc_of_a_plugin_does_not_come_here(
    node: PluginNode, plugin: Any  # noqa: ANN401  (one of two functions)
) -> None:
    """The reference plugins take a GC and do nothing; what is stale comes back all the same."""
    # SPEC C6; DESIGN, P2, P3; docs/decisions/0009
    listed, live, stale = [await node.run_pod() for _ in range(3)]
    config = plugin("1.1.0", network="dual")
    for pod in (listed, live, stale):
        await node.call("ADD", config, pod)
    before = await node.held()
    valid = [{"containerID": listed.id, "ifname": "net1"}]
    node.kill_danmd()
    await node.call("GC", {**config, "cni.dev/valid-attachments": valid})
    with pytest.raises(PluginError):
        await node.call("GC", {**config, "cni.dev/valid-attachments": valid}, executable="fakeipam")
    assert await node.held() == before
    await asyncio.to_thread(node.start_what_ended)
    node.end_container(stale)

    async def is_stale_gone() -> bool:
        return uid_of(stale) not in await _owners(node)

    await eventually(is_stale_gone, within_s=25)
    assert await _owners(node) == {uid_of(listed), uid_of(live)}
    for pod in (listed, live):
        # Not by the plugin: a bridge has the least MAC of its ports, and one of them has gone.
        await node.call("CHECK", config, pod, executable="fakeipam")


async def _owners(node: PluginNode) -> set[str]:
    return {getattr(each.owner, "uid", "") for each in await node.cluster.held()}


async def test_networks_that_do_not_admit_fakeipam(node: PluginNode) -> None:
    """A DanmNet without fakeipam, a missing one and a full one are told by name, as CNI errors."""
    # SPEC A7, F2, G2; DESIGN P7
    await node.cluster.add_network("closed", cidr=CIDR)
    only = {"start": "10.9.0.5", "end": "10.9.0.5"}
    await node.cluster.add_network("tiny", cidr=CIDR, allocation_pool=only, fakeipam=True)
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
