"""Netlink against a real kernel, in a netns of the test's own."""

import asyncio
import errno
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface
from pathlib import Path
from uuid import uuid4

import pytest
from pyroute2 import IPRoute, NetlinkError, netns

from danm_api.errors import LinkSetupError
from danm_api.model.danmnet import Vlan, Vxlan
from danm_api.names import InterfaceName
from danm_api.testing.hangs import HANGS_S
from netwatcher.kernel import AddressesChanged, EventsLost, LinkChanged, LinkEvent, LinkGone
from netwatcher.links import (
    HALF_MADE_GROUP,
    HostLink,
    ObservedVlan,
    ObservedVxlan,
    alias_for,
    source_of,
)
from netwatcher.netlink import NetlinkKernel
from netwatcher.plan import (
    Action,
    CreateVxlan,
    Delete,
    Mark,
    Plan,
    Rename,
    Seen,
    SetMtu,
    SetUp,
    SetVxlanSource,
    plan_link,
)

PARENT = InterfaceName("ens3")
NAME = InterfaceName("vx_internal")
VLAN_NAME = InterfaceName("external.300")
IPV6 = ip_address("2001:db8::1")
OOPS = InterfaceName("oops")


@dataclass
class Node:
    """A netns with a device ``ens3`` (one end of a veth pair) and its kernel."""

    kernel: NetlinkKernel
    by_hand: Callable[[Callable[[IPRoute], object]], None]
    parent_index: int

    def creation(self, source: str, group: str, *, name: str = NAME, vni: int = 600) -> CreateVxlan:
        """Build the creation of a tunnel."""
        return CreateVxlan(
            name=InterfaceName(name),
            parent_index=self.parent_index,
            vni=vni,
            source=ip_address(source),
            group=ip_address(group),
        )


@pytest.fixture()
def namespace() -> Iterator[str]:
    """Make a netns and remove it."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    name = f"netwatcher-{uuid4().hex[:12]}"
    netns.create(name)
    yield name
    netns.remove(name)


def by_hand(namespace: str, work: Callable[[IPRoute], object]) -> None:
    """Work in a netns, in a thread that stays there."""
    netns.setns(namespace, flags=0)
    with IPRoute() as route:
        work(route)


def a_device(namespace: str) -> None:
    """Make the device ens3 in a netns, up and addressed."""

    def set_up(route: IPRoute) -> None:
        route.link("add", ifname=PARENT, kind="veth", peer={"ifname": "peer"})
        for name in (PARENT, "peer"):
            route.link("set", ifname=name, state="up")
        index = route.link_lookup(ifname=PARENT)[0]
        for text in ("198.18.0.1/24", "2001:db8::1/64"):
            interface = ip_interface(text)
            # 0x02: no duplicate address detection, so that no test has to wait for it.
            route.addr(
                "add",
                index=index,
                address=str(interface.ip),
                prefixlen=interface.network.prefixlen,
                flags=0x02 if interface.version == 6 else 0,
            )

    by_hand(namespace, set_up)


@pytest.fixture()
async def node(namespace: str) -> AsyncIterator[Node]:
    """Open the netns's kernel, with its device up and addressed."""
    executor = ThreadPoolExecutor(
        max_workers=1, initializer=lambda: netns.setns(namespace, flags=0)
    )
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(max_workers=1) as hands:
        await loop.run_in_executor(hands, a_device, namespace)

        def do(work: Callable[[IPRoute], object]) -> None:
            hands.submit(by_hand, namespace, work).result(timeout=10)

        async with NetlinkKernel(executor) as kernel:
            parent = await kernel.link_by_name(PARENT)
            assert parent is not None
            yield Node(kernel=kernel, by_hand=do, parent_index=parent.index)


async def plan_for(node: Node) -> Plan:
    """Plan the demo's tunnel as the reconciler does."""
    parent = await node.kernel.link_by_name(PARENT)
    assert parent is not None
    seen = Seen(
        link=await node.kernel.link_by_name(NAME),
        parent=parent,
        parent_addresses=await node.kernel.addresses(parent.index),
    )
    wanted = HostLink(name=NAME, parent=PARENT, segment=Vxlan(vni=600))
    plan = plan_link(NAME, wanted, seen, users=())
    assert isinstance(plan, Plan)
    return plan


async def test_a_tunnel_is_made_and_marked(node: Node) -> None:
    """What the kernel then says about it is what was planned: nothing is left to do."""  # SPEC N2
    for action in (await plan_for(node)).actions:
        await node.kernel.execute(action)
    link = await node.kernel.link_by_name(NAME)
    assert link is not None
    assert (link.alias, link.group, link.up, link.mtu) == (alias_for(NAME), 0, True, 1450)
    assert link.kind == ObservedVxlan(
        parent_index=node.parent_index,
        vni=600,
        port=4789,
        source=ip_address("198.18.0.1"),
        group=ip_address("239.0.2.88"),
        learning=True,
    )
    assert await plan_for(node) == Plan()


async def test_a_tunnel_over_ipv6(node: Node) -> None:
    """Source and group are IPv6 where the parent has no IPv4 address."""  # SPEC N2
    node.by_hand(lambda route: route.flush_addr(index=node.parent_index, family=2))
    for action in (await plan_for(node)).actions:
        await node.kernel.execute(action)
    link = await node.kernel.link_by_name(NAME)
    assert link is not None
    assert isinstance(link.kind, ObservedVxlan)
    assert (link.kind.source, link.kind.group, link.mtu) == (
        ip_address("2001:db8::1"),
        ip_address("ff05::258"),
        1430,
    )
    assert await plan_for(node) == Plan()


async def test_every_repair_works(node: Node) -> None:
    """Renamed, downed, of another MTU and source: one plan puts all of it right."""  # SPEC N4
    await node.kernel.execute(node.creation("198.18.0.1", "239.0.2.88"))
    link = await node.kernel.link_by_name(NAME)
    assert link is not None
    for action in (
        Rename(index=link.index, name=InterfaceName("oops")),
        SetMtu(index=link.index, mtu=1300),
        SetVxlanSource(index=link.index, source=ip_address("198.18.0.9")),
        Rename(index=link.index, name=NAME),
    ):
        await node.kernel.execute(action)
    node.by_hand(lambda route: route.link("set", index=link.index, state="down"))
    actions = (await plan_for(node)).actions
    assert actions == (
        SetVxlanSource(index=link.index, source=ip_address("198.18.0.1")),
        SetMtu(index=link.index, mtu=1450),
        SetUp(index=link.index),
    )
    for repair in actions:
        await node.kernel.execute(repair)
    assert await node.kernel.link_by_index(link.index) == link


async def test_a_downed_link_gets_its_name_back_and_is_up(node: Node) -> None:
    """One request does both, whether the kernel renames what is up or only what is down."""
    await node.kernel.execute(node.creation("198.18.0.1", "239.0.2.88"))  # SPEC N4
    link = await node.kernel.link_by_name(NAME)
    assert link is not None
    index = link.index
    node.by_hand(lambda route: route.link("set", index=index, state="down"))
    await node.kernel.execute(Rename(index=index, name=OOPS))
    renamed = await node.kernel.link_by_name(OOPS)
    assert renamed is not None
    assert renamed.up
    await node.kernel.execute(Rename(index=index, name=NAME))
    assert await node.kernel.link_by_name(NAME) == link


async def test_a_half_made_link_is_recognised(node: Node) -> None:
    """The group that a link is created with tells whose it is before the alias does."""  # SPEC N4
    node.by_hand(
        lambda route: route.link(
            "add",
            ifname=NAME,
            kind="vxlan",
            vxlan_id=600,
            vxlan_link=node.parent_index,
            vxlan_local="198.18.0.1",
            vxlan_group="239.0.2.88",
            vxlan_port=4789,
            group=HALF_MADE_GROUP,
        )
    )
    link = await node.kernel.link_by_name(NAME)
    assert link is not None
    assert link.half_made
    plan = await plan_for(node)
    assert plan.actions == (Mark(index=link.index, name=NAME), SetUp(index=link.index))
    for action in plan.actions:
        await node.kernel.execute(action)
    assert await plan_for(node) == Plan()


async def test_the_kernels_refusal_is_told(node: Node) -> None:
    """A VNI that is taken is said in the kernel's own words."""  # SPEC N6
    await node.kernel.execute(node.creation("198.18.0.1", "239.0.2.88", name="foreign"))
    with pytest.raises(LinkSetupError, match="create link vx_internal .*specified VNI already"):
        await node.kernel.execute(node.creation("198.18.0.1", "239.0.2.88"))


async def test_deleting_twice_succeeds(node: Node) -> None:
    """A link that is gone is what was wanted."""
    await node.kernel.execute(node.creation("198.18.0.1", "239.0.2.88"))
    link = await node.kernel.link_by_name(NAME)
    assert link is not None
    for _ in range(2):
        await node.kernel.execute(Delete(index=link.index))
    assert await node.kernel.link_by_name(NAME) is None
    assert await node.kernel.link_by_index(link.index) is None


async def test_addresses_come_in_the_kernels_order(node: Node) -> None:
    """A second address of a subnet does not displace the first."""  # SPEC N2
    node.by_hand(
        lambda route: route.addr("add", index=node.parent_index, address="198.18.0.5", prefixlen=24)
    )
    addresses = await node.kernel.addresses(node.parent_index)
    assert source_of(addresses) == ip_address("198.18.0.1")
    assert {str(a.address) for a in addresses if not a.is_global} == {
        str(a.address) for a in addresses if a.address.is_link_local
    }


async def test_an_address_tells_since_when_it_is_there(node: Node) -> None:
    """By the clock that netwatcher goes by, and an older one stays older."""  # SPEC N2
    (there,) = (a for a in await node.kernel.addresses(node.parent_index) if a.address == IPV6)
    assert abs(time.monotonic() - there.since_s) < 10
    assert there in await node.kernel.addresses(node.parent_index)


async def test_a_device_has_alternative_names(node: Node) -> None:
    """The kernel finds it by them, and its events and lists tell them."""  # SPEC N4
    events: list[LinkEvent] = []
    await node.kernel.subscribe(events.append)
    node.by_hand(
        lambda route: route.link("property_add", index=node.parent_index, altname="uplink")
    )
    uplink = InterfaceName("uplink")
    link = await node.kernel.link_by_name(uplink)
    assert link is not None
    assert (link.index, link.name) == (node.parent_index, PARENT)
    assert link.altnames == {uplink}
    assert link in await node.kernel.links()
    async with asyncio.timeout(HANGS_S):
        while {uplink} not in [e.altnames for e in events if isinstance(e, LinkChanged)]:
            await asyncio.sleep(0.001)


async def test_children_of_the_host_are_seen(node: Node) -> None:
    """A link that somebody hung on another one is told."""
    assert "peer" not in await node.kernel.children(99)
    node.by_hand(
        lambda route: route.link("add", ifname="mv0", kind="macvlan", link=node.parent_index)
    )
    assert "mv0" in await node.kernel.children(node.parent_index)


async def test_events_arrive(node: Node) -> None:
    """Whatever happens to links and addresses is heard of."""  # SPEC N4
    events: list[LinkEvent] = []
    await node.kernel.subscribe(events.append)
    await node.kernel.execute(node.creation("198.18.0.1", "239.0.2.88"))
    link = await node.kernel.link_by_name(NAME)
    assert link is not None
    node.by_hand(
        lambda route: route.addr("add", index=node.parent_index, address="198.18.0.5", prefixlen=24)
    )
    await node.kernel.execute(Delete(index=link.index))
    expected = {
        (LinkChanged, link.index, NAME, link.alias, True, link.mtu),
        (AddressesChanged, node.parent_index),
        (LinkGone, link.index, NAME),
    }

    def told(event: LinkEvent) -> tuple[object, ...]:
        match event:
            case LinkChanged():
                return (LinkChanged, event.index, event.name, event.alias, event.up, event.mtu)
            case LinkGone(index=index, name=name):
                return (LinkGone, index, name)
            case AddressesChanged(index=index):
                return (AddressesChanged, index)
            case EventsLost():
                return (EventsLost,)

    async with asyncio.timeout(HANGS_S):
        while not expected <= set(map(told, events)):
            await asyncio.sleep(0.001)


async def test_a_node_may_have_more_tunnels_than_a_socket_has_groups(node: Node) -> None:
    """Linux allows 20 multicast groups on a socket; the 21st network works all the same."""
    for number in range(25):
        name = f"vx_n{number}"
        await node.kernel.execute(
            node.creation("198.18.0.1", f"239.0.0.{number}", name=name, vni=number + 1)
        )
        link = await node.kernel.link_by_name(InterfaceName(name))
        assert link is not None
        assert link.up


async def test_a_limit_that_cannot_be_raised_is_told(namespace: str, tmp_path: Path) -> None:
    """The way out is an administrator's, and named."""  # SPEC N6
    executor = ThreadPoolExecutor(
        max_workers=1, initializer=lambda: netns.setns(namespace, flags=0)
    )
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(max_workers=1) as hands:
        await loop.run_in_executor(hands, a_device, namespace)
    async with NetlinkKernel(executor, group_limit_file=tmp_path / "missing") as kernel:
        parent = await kernel.link_by_name(PARENT)
        assert parent is not None
        node = Node(kernel=kernel, by_hand=lambda _: None, parent_index=parent.index)
        for number in range(20):
            await kernel.execute(
                node.creation(
                    "198.18.0.1", f"239.0.0.{number}", name=f"vx_n{number}", vni=number + 1
                )
            )
        one_too_many = node.creation("198.18.0.1", "239.0.0.20", name="vx_n20", vni=21)
        with pytest.raises(LinkSetupError, match="igmp_max_memberships"):
            await kernel.execute(one_too_many)


def skip_without(node: Node, kind: str, **options: int) -> None:
    """Skip where the kernel lacks a kind of link; the lab's guests have them all."""
    try:
        node.by_hand(
            lambda route: route.link(
                "add", ifname="probe", kind=kind, link=node.parent_index, **options
            )
        )
    except NetlinkError as error:
        if error.code != errno.EOPNOTSUPP:
            raise
        pytest.skip(f"this kernel has no {kind}")
    node.by_hand(lambda route: route.link("del", ifname="probe"))


async def test_a_vlan_is_made_marked_and_repaired(node: Node) -> None:
    """Made with its parent's MTU; downed, renamed and of another MTU, it is put right."""
    # SPEC N2, N4
    skip_without(node, "vlan", vlan_id=7)

    async def plan() -> tuple[Action, ...]:
        parent = await node.kernel.link_by_name(PARENT)
        link = await node.kernel.link_by_name(VLAN_NAME)
        stray = None if link is not None else await node.kernel.link_by_name(OOPS)
        wanted = HostLink(name=VLAN_NAME, parent=PARENT, segment=Vlan(vid=300))
        seen = Seen(link=link, stray=stray, parent=parent)
        planned = plan_link(VLAN_NAME, wanted, seen, users=())
        assert isinstance(planned, Plan)
        assert planned.blocked == ""
        return planned.actions

    for action in await plan():
        await node.kernel.execute(action)
    link = await node.kernel.link_by_name(VLAN_NAME)
    assert link is not None
    assert (link.alias, link.group, link.up, link.mtu) == (alias_for(VLAN_NAME), 0, True, 1500)
    assert link.kind == ObservedVlan(parent_index=node.parent_index, vid=300)
    assert await plan() == ()

    index = link.index
    node.by_hand(lambda route: route.link("set", index=index, state="down"))
    node.by_hand(lambda route: route.link("set", index=index, mtu=1400, ifname=OOPS))
    actions = await plan()
    assert actions == (
        Rename(index=index, name=VLAN_NAME),
        SetMtu(index=index, mtu=1500),
    )
    for action in actions:
        await node.kernel.execute(action)
    assert await node.kernel.link_by_name(VLAN_NAME) == link


async def test_a_links_pods_are_hidden_and_live_on_while_it_is_renamed(
    node: Node, namespace: str
) -> None:
    """Why DanmEps are asked who uses a link, and why a renamed one is not made anew."""
    # DESIGN "Controllers"
    skip_without(node, "ipvlan")
    await node.kernel.execute(node.creation("198.18.0.1", "239.0.2.88"))
    link = await node.kernel.link_by_name(NAME)
    assert link is not None
    index = link.index
    pod = f"{namespace}-pod"
    netns.create(pod)
    try:
        node.by_hand(lambda route: add_ipvlan(route, index, pod))
        assert list(await node.kernel.children(index)) == []
        await node.kernel.execute(Rename(index=index, name=OOPS))
        await node.kernel.execute(Rename(index=index, name=NAME))
        assert await node.kernel.link_by_name(NAME) == link
        assert await asyncio.to_thread(links_of, pod) >= {"int"}
        await node.kernel.execute(Delete(index=index))
        assert "int" not in await asyncio.to_thread(links_of, pod)
    finally:
        netns.remove(pod)


def add_ipvlan(route: IPRoute, parent_index: int, namespace: str) -> None:
    """Make a Pod's interface where it belongs, as danmd does."""
    with Path(f"/run/netns/{namespace}").open() as target:
        route.link("add", ifname="int", kind="ipvlan", link=parent_index, net_ns_fd=target.fileno())


def links_of(namespace: str) -> set[str]:
    """Return the names of a netns's links."""
    names: set[str] = set()
    with ThreadPoolExecutor(max_workers=1) as hands:
        hands.submit(
            by_hand,
            namespace,
            lambda route: names.update(link.get("ifname") for link in route.link("dump")),
        ).result(timeout=10)
    return names
