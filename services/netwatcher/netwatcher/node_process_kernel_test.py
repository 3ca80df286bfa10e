"""A whole netwatcher of a node on a real kernel: every damage, and who else is at work."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import uuid4

import pytest
from prometheus_client import REGISTRY
from pyroute2 import IPRoute, NetlinkError, netns

from danm_api.codec.danm_node import decode_danm_node
from danm_api.codec.danmnet import encode_status
from danm_api.kube.api import DANMNETS, DANMNODES, NODES
from danm_api.model.danm_node import NodeNetwork
from danm_api.names import InterfaceName, NodeName
from danm_api.testing.builders import NAMESPACE, a_danmnet, a_raw_danmnet, accepted
from danm_api.testing.fake_kube import FakeKube
from netwatcher.config import NodeConfig
from netwatcher.group_limit import LIMIT_FILE
from netwatcher.links import HALF_MADE_GROUP, ObservedLink, alias_for
from netwatcher.netlink import NetlinkKernel
from netwatcher.node_process import NodeProcess
from netwatcher.rtnetlink import RECEIVE_BUFFER_BYTES

NODE: Final = NodeName("node-1")
PARENT: Final = "ens3"
VLAN: Final = InterfaceName("external.300")
VXLAN: Final = InterfaceName("vx_internal")
CONFIG: Final = NodeConfig(
    kubeconfig=None,
    node_name=NODE,
    # No test is about what only a comparison finds.
    compare_period_s=3600,
    group_limit_file=LIMIT_FILE,
    health_host="127.0.0.1",
    health_port=0,
)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a netns")

Work = Callable[[IPRoute], object]


def plug_in(route: IPRoute, *, address: bool = True) -> None:
    """Make the device ens3, up and addressed."""
    route.link("add", ifname=PARENT, kind="veth", peer={"ifname": "peer"})
    for name in (PARENT, "peer"):
        route.link("set", ifname=name, state="up")
    if address:
        give_address(route)


def give_address(route: IPRoute, address: str = "198.18.0.1") -> None:
    """Give ens3 an address."""
    index = route.link_lookup(ifname=PARENT)[0]
    route.addr("add", index=index, address=address, prefixlen=24)


@dataclass
class Node:
    """A netns, an API server in memory, and what tests ask of both."""

    netns: str
    api: FakeKube
    kernel: NetlinkKernel
    links: tuple[InterfaceName, ...]

    async def by_hand(self, work: Work) -> None:
        """Change the node's network behind netwatcher's back."""
        with ThreadPoolExecutor(1) as hands:
            await asyncio.get_running_loop().run_in_executor(hands, in_netns, self.netns, work)

    async def all_links(self) -> dict[InterfaceName, ObservedLink]:
        """Return the links of the node."""
        return {link.name: link for link in await self.kernel.links()}

    async def until(self, condition: Callable[[dict[InterfaceName, ObservedLink]], bool]) -> None:
        """Wait until the node's links are as they should be."""
        async with asyncio.timeout(20):
            while not condition(await self.all_links()):
                await asyncio.sleep(0.01)

    async def until_whole(self) -> None:
        """Wait until every wanted link is there, marked, up and told of."""
        await self.until(self.is_whole)
        async with asyncio.timeout(20):
            while not all(each.up for each in self.told()) or not self.told():
                await asyncio.sleep(0.01)

    def is_whole(self, links: dict[InterfaceName, ObservedLink]) -> bool:
        """Say whether every wanted link is as it should be."""
        return all(
            name in links
            and links[name].up
            and links[name].carrier
            and links[name].alias == alias_for(name)
            and links[name].group == 0
            for name in self.links
        )

    def told(self) -> tuple[NodeNetwork, ...]:
        """Return what DanmNode says."""
        raw = self.api.stored(DANMNODES, NODE)
        return () if raw is None else decode_danm_node(raw).networks

    async def until_told(self, reason: str) -> None:
        """Wait until DanmNode gives a reason for every network."""
        async with asyncio.timeout(20):
            while not self.told() or not all(reason in each.reason for each in self.told()):
                await asyncio.sleep(0.01)

    def open_kernel(self, receive_buffer_bytes: int = RECEIVE_BUFFER_BYTES) -> NetlinkKernel:
        """Return another view of the node's kernel."""
        return NetlinkKernel(
            ThreadPoolExecutor(1, initializer=lambda: netns.setns(self.netns, flags=0)),
            receive_buffer_bytes=receive_buffer_bytes,
        )

    @asynccontextmanager
    async def netwatcher(
        self, *, receive_buffer_bytes: int = RECEIVE_BUFFER_BYTES
    ) -> AsyncIterator[None]:
        """Run a netwatcher."""
        async with self.open_kernel(receive_buffer_bytes) as kernel:
            stop = asyncio.Event()
            task = asyncio.create_task(NodeProcess(CONFIG, self.api, kernel).run(stop))
            try:
                yield
            finally:
                stop.set()
                await task


def in_netns(name: str, work: Work) -> None:
    """Work in a netns, in a thread that stays there."""
    netns.setns(name, flags=0)
    with IPRoute() as route:
        work(route)


def has_vlans(route: IPRoute) -> bool:
    """Say whether the kernel knows VLANs."""
    parent = route.link_lookup(ifname=PARENT)[0]
    try:
        route.link("add", ifname="probe.7", kind="vlan", link=parent, vlan_id=7)
    except NetlinkError as error:
        if error.code != errno.EOPNOTSUPP:
            raise
        return False
    route.link("del", ifname="probe.7")
    return True


@pytest.fixture()
def node_netns() -> Iterator[str]:
    """Make a netns and remove it."""
    name = f"netwatcher-{uuid4().hex[:12]}"
    netns.create(name)
    yield name
    netns.remove(name)


@pytest.fixture()
async def node(node_netns: str) -> AsyncIterator[Node]:
    """Have a node whose device is there, and two accepted networks, whose links are not."""
    api = FakeKube()
    api.add(NODES, {"metadata": {"name": NODE}})
    found: list[bool] = []
    bare = Node(node_netns, api, NetlinkKernel(ThreadPoolExecutor(1)), ())
    await bare.by_hand(plug_in)
    await bare.by_hand(lambda route: found.append(has_vlans(route)))
    networks: dict[str, tuple[dict[str, Any], InterfaceName]] = {
        "internal": ({"vxlan": 600}, VXLAN)
    }
    # The lab's guests have VLANs, and most machines.
    if found == [True]:
        networks["external"] = ({"vlan": 300}, VLAN)
    for name, (segment, _) in networks.items():
        raw = a_raw_danmnet(name, host_device=PARENT, **segment)
        net = accepted(a_danmnet(name, host_device=PARENT, **segment))
        api.add(DANMNETS, raw | {"status": encode_status(net.status)})
    async with bare.open_kernel() as kernel:
        yield replace(bare, kernel=kernel, links=tuple(link for _, link in networks.values()))


async def deleted(node: Node) -> None:
    """Delete all links."""

    def work(route: IPRoute) -> None:
        for name in node.links:
            route.link("del", ifname=name)

    await node.by_hand(work)


async def downed(node: Node) -> None:
    """Set all links down."""

    def work(route: IPRoute) -> None:
        for name in node.links:
            route.link("set", ifname=name, state="down")

    await node.by_hand(work)


async def renamed(node: Node) -> None:
    """Give all links other names."""

    def work(route: IPRoute) -> None:
        for number, name in enumerate(node.links):
            index = route.link_lookup(ifname=name)[0]
            while True:
                # Older kernels rename only what is down, and netwatcher may set it up in between.
                route.link("set", index=index, state="down")
                try:
                    route.link("set", index=index, ifname=f"oops{number}")
                    break
                except NetlinkError as error:
                    if error.code != errno.EBUSY:
                        raise

    await node.by_hand(work)


async def of_another_mtu(node: Node) -> None:
    """Make all links smaller."""

    def work(route: IPRoute) -> None:
        for name in node.links:
            route.link("set", ifname=name, mtu=1300)

    await node.by_hand(work)


async def without_parent_for_a_while(node: Node) -> None:
    """Unplug the device, and plug another one in that comes up bit by bit."""
    await node.by_hand(lambda route: route.link("del", ifname=PARENT))
    await node.until_told("host_device ens3 does not exist")
    await node.by_hand(lambda route: plug_in(route, address=False))
    await node.by_hand(give_address)


async def without_parent_for_a_moment(node: Node) -> None:
    """Replace the device before netwatcher has heard of its end."""

    def work(route: IPRoute) -> None:
        route.link("del", ifname=PARENT)
        plug_in(route)

    await node.by_hand(work)


async def on_a_parent_that_was_down(node: Node) -> None:
    """Set the device down, which takes the links down too, and up again."""
    await node.by_hand(lambda route: route.link("set", ifname=PARENT, state="down"))
    await node.until_told("host_device ens3 is down")
    await node.by_hand(lambda route: route.link("set", ifname=PARENT, state="up"))


async def on_a_renamed_parent(node: Node) -> None:
    """Rename the device and rename it back."""

    def rename(old: str, new: str) -> Work:
        def work(route: IPRoute) -> None:
            index = route.link_lookup(ifname=old)[0]
            route.link("set", index=index, state="down")
            route.link("set", index=index, ifname=new, state="up")

        return work

    await node.by_hand(rename(PARENT, "ens9"))
    await node.until_told("host_device ens3 does not exist")
    await node.by_hand(rename("ens9", PARENT))


@pytest.mark.parametrize(
    "damage",
    [
        deleted,
        downed,
        renamed,
        of_another_mtu,
        without_parent_for_a_while,
        without_parent_for_a_moment,
        on_a_parent_that_was_down,
        on_a_renamed_parent,
    ],
    ids=lambda damage: damage.__name__,
)
async def test_every_damage_is_repaired(
    node: Node, damage: Callable[[Node], Awaitable[None]]
) -> None:
    """VLAN and VXLAN alike are as they were, and DanmNode says so."""  # SPEC N4, N6
    async with node.netwatcher():
        await node.until_whole()
        before = await node.all_links()
        await damage(node)

        def is_as_before(links: dict[InterfaceName, ObservedLink]) -> bool:
            return node.is_whole(links) and all(
                links[name].mtu == before[name].mtu for name in node.links
            )

        await node.until(is_as_before)
        await node.until_whole()
        assert set(await node.all_links()) == set(before)


async def test_a_parent_that_comes_late_gets_its_links(node: Node) -> None:
    """At boot the device comes after netwatcher, and its address last of all."""  # SPEC N4
    await node.by_hand(lambda route: route.link("del", ifname=PARENT))
    async with node.netwatcher():
        await node.until_told("host_device ens3 does not exist")
        await node.by_hand(lambda route: plug_in(route, address=False))
        await node.by_hand(give_address)
        await node.until_whole()


async def test_lost_events_cost_nothing_but_a_look(node: Node) -> None:
    """The socket runs over while netwatcher is busy; what it missed is found."""  # SPEC N4

    def storm(route: IPRoute) -> None:
        for number in range(30):
            route.link("add", ifname=f"storm{number}", kind="bridge")
        for name in node.links:
            route.link("del", ifname=name)
        for number in range(30):
            route.link("del", ifname=f"storm{number}")

    def lost() -> float:
        return REGISTRY.get_sample_value("danm_netwatcher_kernel_events_lost_total") or 0

    before = lost()
    async with node.netwatcher(receive_buffer_bytes=4096):
        await node.until_whole()
        # This thread runs the event loop: nobody reads the socket meanwhile.
        with ThreadPoolExecutor(1) as hands:
            hands.submit(in_netns, node.netns, storm).result(timeout=60)
        await node.until_whole()
    assert lost() > before


@pytest.mark.parametrize("marked", [False, True], ids=["before its mark", "before it is up"])
async def test_what_a_killed_netwatcher_began_is_finished(node: Node, *, marked: bool) -> None:
    """Its successor knows the link by its group or its alias, and makes no second one."""
    # SPEC N4

    def begin(route: IPRoute) -> None:
        parent = route.link_lookup(ifname=PARENT)[0]
        if VLAN in node.links:
            route.link(
                "add", ifname=VLAN, kind="vlan", link=parent, vlan_id=300, group=HALF_MADE_GROUP
            )
        route.link(
            "add",
            ifname=VXLAN,
            kind="vxlan",
            vxlan_id=600,
            vxlan_link=parent,
            vxlan_local="198.18.0.1",
            vxlan_group="239.0.2.88",
            vxlan_port=4789,
            vxlan_learning=True,
            group=HALF_MADE_GROUP,
        )
        for name in node.links if marked else ():
            route.link("set", ifname=name, ifalias=alias_for(name), group=0)

    await node.by_hand(begin)
    before = await node.all_links()
    async with node.netwatcher():
        await node.until_whole()
        after = await node.all_links()
        assert {after[name].index for name in node.links} == {
            before[name].index for name in node.links
        }


async def test_what_a_killed_netwatcher_began_in_vain_goes(node: Node) -> None:
    """The DanmNet was deleted before its successor came."""  # DESIGN P2

    def begin(route: IPRoute) -> None:
        route.link(
            "add",
            ifname="vx_gone",
            kind="vxlan",
            vxlan_id=601,
            vxlan_link=route.link_lookup(ifname=PARENT)[0],
            vxlan_local="198.18.0.1",
            vxlan_port=4789,
            group=HALF_MADE_GROUP,
        )

    await node.by_hand(begin)
    async with node.netwatcher():
        await node.until_whole()
        await node.until(lambda links: InterfaceName("vx_gone") not in links)


async def test_two_netwatchers_do_not_disturb_each_other(node: Node) -> None:
    """During an update both repair, neither undoes the other's work, and one goes on alone."""
    # SPEC N4

    def changes() -> float:
        return sum(
            sample.value
            for metric in REGISTRY.collect()
            if metric.name == "danm_netwatcher_link_actions"
            for sample in metric.samples
            if sample.name.endswith("_total")
        )

    async with AsyncExitStack() as old_runs, node.netwatcher():
        await old_runs.enter_async_context(node.netwatcher())
        for damage in (deleted, downed, renamed, deleted):
            await node.until_whole()
            await damage(node)
        await node.until_whole()
        indices = {name: link.index for name, link in (await node.all_links()).items()}
        made = changes()
        # Both hear of it, and have nothing to do about the rest.
        await node.by_hand(lambda route: route.link("add", ifname="foreign", kind="bridge"))
        await node.api.delete(DANMNETS, "internal", namespace=NAMESPACE)
        await node.until(lambda links: VXLAN not in links)
        await old_runs.aclose()
        links = await node.all_links()
        assert {name: link.index for name, link in links.items() if name in indices} == {
            name: index for name, index in indices.items() if name != VXLAN
        }
        assert InterfaceName("foreign") in links
        # One of them removed the link, or both tried.
        assert changes() - made <= 2
