"""Links, addresses, routes, rules and announcements in real network namespaces.

What both kinds share is tried with IPVLAN where the kernel has it, as the lab's guests do
(`./lab guest -- pytest` with this file), and otherwise with macvlan, which every kernel has here.
"""

import asyncio
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_network
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from danm_api.errors import LinkSetupError, SeveralErrors
from danm_api.model.danmnet import BuiltInType
from danm_api.testing.hangs import HANGS_S
from danm_cni.announce import ETH_P_ARP, arp_announcement
from danm_cni.child_link import OwnType, child_link
from danm_cni.interface_setup import ChildLink, InterfaceSetup, LinkFacts, PolicyRule, TakeDown
from danm_cni.kernel import KernelInterfaces
from danm_cni.netns import NetnsGoneError
from danm_cni.plan import PlannedRoute
from danm_cni.testing.namespaces import ROOT, World, a_world, in_netns, ip


@cache
def _kernel_has_ipvlan() -> bool:
    """Try it: the kernel may load the module when it is asked for."""
    namespace = f"danm-probe-{uuid4().hex[:8]}"
    try:
        ip("netns", "add", namespace)
        ip("-n", namespace, "link", "add", "p0", "type", "veth", "peer", "name", "p1")
        ip("-n", namespace, "link", "add", "link", "p0", "name", "i0", "type", "ipvlan")
    except subprocess.CalledProcessError:
        return False
    finally:
        ip("netns", "del", namespace)
    return True


@pytest.fixture()
def world() -> Iterator[World]:
    """Give the two namespaces."""
    with a_world() as made:
        yield made


def _child(name: str = "ext0", *, parent: str = "parent0") -> ChildLink:
    kind: OwnType = BuiltInType.IPVLAN if _kernel_has_ipvlan() else BuiltInType.MACVLAN
    return child_link(kind, name=name, parent=parent, mtu=None, mac=None)


MAC = "fa:16:3e:00:00:07"
MACVLAN = child_link(BuiltInType.MACVLAN, name="ext0", parent="parent0", mtu=1300, mac=MAC)


SETUP = InterfaceSetup(
    name="ext0",
    addresses=(IPv4Interface("198.18.0.7/24"), IPv6Interface("2001:db8::7/64")),
    routes=(
        PlannedRoute(destination=ip_network("192.0.2.0/24"), gateway=ip_address("198.18.0.1")),
        PlannedRoute(
            destination=ip_network("192.0.2.0/24"), gateway=ip_address("198.18.0.2"), metric=100
        ),
        PlannedRoute(
            destination=ip_network("203.0.113.0/24"), gateway=ip_address("198.18.0.1"), table=300
        ),
        PlannedRoute(
            destination=ip_network("2001:db8:1::/64"), gateway=ip_address("2001:db8::1"), table=300
        ),
    ),
    rules=(
        PolicyRule(source=ip_address("198.18.0.7"), table=300),
        PolicyRule(source=ip_address("2001:db8::7"), table=300),
    ),
)


async def _made(
    kernel: KernelInterfaces, world: World, link: ChildLink, setup: InterfaceSetup
) -> LinkFacts:
    (facts,) = await kernel.create([(link, setup)], world.pod_path)
    return facts


async def _create(kernel: KernelInterfaces, world: World) -> LinkFacts:
    return await _made(kernel, world, _child(), SETUP)


def test_an_interface_is_made_whole(world: World) -> None:
    """Link, addresses, routes of both tables and rules are there; the MTU is the parent's."""
    facts = world.on_node(lambda kernel: _create(kernel, world))
    assert facts.mtu == 1400

    def look(netlink: Any) -> tuple[set[str], set[str], set[tuple[str, int]]]:  # noqa: ANN401
        (index,) = netlink.link_lookup(ifname="ext0")
        addresses = {
            f"{each.get('address')}/{each['prefixlen']}" for each in netlink.get_addr(index=index)
        }
        routes = {
            f"{each.get('dst')}/{each['dst_len']} {each.get('table')} {each.get('priority')}"
            for each in netlink.get_routes()
            if each.get("gateway")
        }
        rules = {
            (each.get("src"), each.get("table"))
            for family in (socket.AF_INET, socket.AF_INET6)
            for each in netlink.get_rules(family=family)
            if each.get("src")
        }
        return addresses, routes, rules

    addresses, routes, rules = world.in_pod(look)
    # SPEC D1
    assert {"198.18.0.7/24", "2001:db8::7/64"} <= addresses
    # SPEC D3
    assert {
        "192.0.2.0/24 254 None",
        "192.0.2.0/24 254 100",
        "203.0.113.0/24 300 None",
        "2001:db8:1::/64 300 1024",
    } == routes
    assert {("198.18.0.7", 300), ("2001:db8::7", 300)} == rules


def test_ipv6_is_usable_at_once(world: World) -> None:
    """No duplicate address detection is waited for, and IPv6 that was off is turned on."""
    ip("netns", "exec", world.pod, "sysctl", "-q", "-w", "net.ipv6.conf.default.disable_ipv6=1")

    def bind() -> None:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as udp:
            udp.bind(("2001:db8::7", 0))

    world.on_node(lambda kernel: _create(kernel, world))
    # SPEC D4
    in_netns(world.pod, bind)


def test_a_macvlan_interface_has_its_own_mac(world: World) -> None:
    """It is created with MAC and MTU, in bridge mode, and CHECK finds another MAC."""
    setup = replace(SETUP, mac=MAC)
    facts = world.on_node(lambda kernel: _made(kernel, world, MACVLAN, setup))
    # SPEC E1, G6
    assert facts == LinkFacts(mac=MAC, mtu=1300)

    def look(netlink: Any) -> dict[str, Any]:  # noqa: ANN401
        (link,) = netlink.get_links(ifname="ext0")
        return {
            "kind": link.get(("linkinfo", "kind")),
            "mode": link.get(("linkinfo", "data", "macvlan_mode")),
        }

    assert {"kind": "macvlan", "mode": "bridge"} == world.in_pod(look)
    assert [] == world.on_node(lambda kernel: kernel.faults([setup], world.pod_path))
    ip("-n", world.pod, "link", "set", "ext0", "address", "02:00:00:00:05:07")
    # SPEC C6
    assert [f"interface ext0 has the MAC 02:00:00:00:05:07 and not {MAC}"] == world.on_node(
        lambda kernel: kernel.faults([setup], world.pod_path)
    )


def test_a_mac_that_another_has_is_told(world: World) -> None:
    """Two macvlan links of one parent cannot have one MAC, and the refusal says so."""
    world.on_node(lambda kernel: _made(kernel, world, MACVLAN, SETUP))
    link, setup = replace(MACVLAN, name="ext1"), InterfaceSetup(name="ext1")
    with pytest.raises(LinkSetupError, match="ext1 cannot be set up: Address already in use; anot"):
        world.on_node(lambda kernel: _made(kernel, world, link, setup))


def test_a_parent_that_something_else_has_is_told(world: World) -> None:
    """The kernel gives a link to one master: its refusal is told with what that may be."""
    ip("-n", world.node, "link", "add", "br0", "type", "bridge")
    ip("-n", world.node, "link", "set", "parent0", "master", "br0")
    # SPEC N1
    told = "on parent0: Device or resource busy; parent0 is a port of a bridge .* ipvlan and macv"
    with pytest.raises(LinkSetupError, match=told):
        world.on_node(lambda kernel: _create(kernel, world))


def _listen() -> socket.socket:
    """Hear ARP on the parent's peer."""
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ARP))
    raw.bind(("peer0", ETH_P_ARP))
    raw.settimeout(HANGS_S)
    return raw


def _hears(raw: socket.socket, mac: str) -> bool:
    expected = arp_announcement(mac, IPv4Interface("198.18.0.7/24").ip)
    # The stack's own ARP traffic may come before it.
    return any(expected == raw.recv(100)[: len(expected)] for _ in range(10))


def test_the_neighbours_are_told(world: World) -> None:
    """The peer of the parent sees a gratuitous ARP of the new address."""
    with in_netns(world.node, _listen) as raw:
        facts = world.on_node(lambda kernel: _create(kernel, world))
        assert facts.mac is not None
        # SPEC D2
        assert _hears(raw, facts.mac)


def test_the_neighbours_are_told_of_a_later_mac(world: World) -> None:
    """A plugin behind danm may change a macvlan link's MAC; an IPVLAN link follows its parent."""
    link = _child()
    world.on_node(lambda kernel: _made(kernel, world, link, SETUP))
    space, name = (world.pod, "ext0") if link.kind == "macvlan" else (world.node, "parent0")
    with in_netns(world.node, _listen) as raw:
        ip("-n", space, "link", "set", name, "address", "02:00:00:00:05:07")
        # SPEC D2
        assert _hears(raw, "02:00:00:00:05:07")


def test_nothing_shows_on_the_node(world: World) -> None:
    """The link is created in the Pod's namespace: the node's own never has it."""
    before = world.on_node(lambda kernel: kernel.parents(["ext0", "parent0"]))
    world.on_node(lambda kernel: _create(kernel, world))
    # SPEC D1
    after = world.on_node(lambda kernel: kernel.parents(["ext0", "parent0"]))
    assert {"parent0"} == set(before) == set(after)


def _faults(world: World) -> list[str]:
    async def find(kernel: KernelInterfaces) -> list[str]:
        return list(await kernel.faults([SETUP], world.pod_path))

    return world.on_node(find)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        pytest.param(("addr", "del", "198.18.0.7/24", "dev", "ext0"), "address", id="address"),
        pytest.param(("route", "del", "203.0.113.0/24", "table", "300"), "route", id="route"),
        pytest.param(("-6", "rule", "del", "table", "300"), "rule", id="rule"),
        pytest.param(("link", "del", "ext0"), "interface ext0 is missing", id="link"),
    ],
)
def test_what_is_missing_is_found(world: World, damage: tuple[str, ...], told: str) -> None:
    """A whole interface has no faults; what is taken from it by hand is named."""
    world.on_node(lambda kernel: _create(kernel, world))
    # SPEC C6
    assert [] == _faults(world)
    ip("-n", world.pod, *damage)
    assert any(told in fault for fault in _faults(world))


def test_the_node_may_have_a_link_of_that_name(world: World) -> None:
    """An interface may be called as a link of the node is: most nodes have an eth0 themselves."""
    ip("-n", world.node, "link", "add", "ext0", "type", "bridge")
    world.on_node(lambda kernel: _create(kernel, world))
    links = world.in_pod(lambda netlink: {each.get("ifname") for each in netlink.get_links()})
    assert {"lo", "ext0"} == links
    world.on_node(lambda kernel: kernel.take_down([TakeDown(name="ext0")], world.pod_path))
    assert {"ext0"} == set(world.on_node(lambda kernel: kernel.parents(["ext0"])))


def test_taking_down_leaves_nothing_and_may_be_repeated(world: World) -> None:
    """Link and rules go, and a second time is harmless."""
    world.on_node(lambda kernel: _create(kernel, world))
    for _ in range(2):
        world.on_node(
            lambda kernel: kernel.take_down(
                [TakeDown(name="ext0", rules=SETUP.rules)], world.pod_path
            )
        )

    def look(netlink: Any) -> tuple[list[str], list[str]]:  # noqa: ANN401
        links = [each.get("ifname") for each in netlink.get_links()]
        rules = [each.get("src") for each in netlink.get_rules() if each.get("src")]
        return links, rules

    links, rules = world.in_pod(look)
    assert "ext0" not in links
    assert [] == rules


def test_an_alternative_name_makes_a_link_nobodys_but_its_makers(world: World) -> None:
    """What cannot be made beside such a link, as a device keeps those of its node, removes none."""
    ip("-n", world.pod, "link", "add", "dev0", "type", "veth", "peer", "name", "dev1")
    ip("-n", world.pod, "link", "property", "add", "dev", "dev0", "altname", "ext0")
    with pytest.raises(LinkSetupError, match="has it as an alternative name"):
        world.on_node(lambda kernel: _create(kernel, world))
    world.on_node(lambda kernel: kernel.take_down([TakeDown(name="ext0")], world.pod_path))
    links = world.in_pod(lambda netlink: {each.get("ifname") for each in netlink.get_links()})
    assert {"lo", "dev0", "dev1"} == links


def test_nothing_is_taken_down_in_another_namespace(world: World) -> None:
    """One that is at the Pod's path by now, or the node's own: it may have such a link, too."""
    ip("-n", world.node, "link", "add", "ext0", "type", "bridge")
    world.on_node(lambda kernel: _create(kernel, world))
    kernel, down = KernelInterfaces(host_root=ROOT), [TakeDown(name="ext0", rules=SETUP.rules)]
    node_path = f"/run/netns/{world.node}"
    mine, other = kernel.identity(world.pod_path), kernel.identity(node_path)
    with pytest.raises(NetnsGoneError, match="somebody else's"):
        world.on_node(lambda kernel: kernel.take_down(down, world.pod_path, identity=other))
    with pytest.raises(NetnsGoneError, match="somebody else's"):
        world.on_node(lambda kernel: kernel.take_down(down, node_path))
    assert {"ext0"} == set(world.on_node(lambda kernel: kernel.parents(["ext0"])))
    assert kernel.has_netns(world.pod_path, identity=mine)
    assert not kernel.has_netns(world.pod_path, identity=other)
    assert not kernel.has_netns("/proc/thread-self/ns/net", identity="")
    world.on_node(lambda kernel: kernel.take_down(down, world.pod_path, identity=mine))
    assert "ext0" not in world.in_pod(lambda it: {each.get("ifname") for each in it.get_links()})


def test_what_cannot_be_removed_keeps_nothing_else(world: World) -> None:
    """Links go all at once; when one of them cannot, the others go, and it is named."""
    names = [f"net{number}" for number in range(4)]
    wanted = [(_child(name), InterfaceSetup(name=name)) for name in names]
    world.on_node(lambda kernel: kernel.create(wanted, world.pod_path))
    # The kernel never gives up a namespace's own loopback.
    downs = [TakeDown(name=name) for name in ("lo", "not-there", *names)]
    with pytest.raises(LinkSetupError, match="interface lo cannot be removed"):
        world.on_node(lambda kernel: kernel.take_down(downs, world.pod_path))
    links = world.in_pod(lambda netlink: {each.get("ifname") for each in netlink.get_links()})
    assert {"lo"} == links


def test_all_that_fails_is_told(world: World) -> None:
    """Two interfaces that cannot be made are both named."""
    wanted = [(_child(name, parent="nope"), InterfaceSetup(name=name)) for name in ("net0", "net1")]
    # SPEC C3
    with pytest.raises(SeveralErrors, match="interface net0: .*; interface net1: "):
        world.on_node(lambda kernel: kernel.create(wanted, world.pod_path))


@pytest.mark.parametrize(
    ("parent", "route", "told"),
    [
        pytest.param("nope", None, "no link 'nope'", id="parent"),
        pytest.param(
            "parent0",
            PlannedRoute(destination=ip_network("192.0.2.0/24"), gateway=ip_address("10.9.9.9")),
            "route 192.0.2.0/24 via 10.9.9.9 on ext0: Network is unreachable",
            id="route",
        ),
    ],
)
def test_what_the_kernel_refuses_is_told(
    world: World, parent: str, route: PlannedRoute | None, told: str
) -> None:
    """A missing parent or a gateway that cannot be reached is an error that names it."""
    routes = (route,) if route else ()
    setup = InterfaceSetup(name="ext0", addresses=SETUP.addresses, routes=routes)
    link = _child(parent=parent)
    # SPEC D3: a bad route is not silently skipped
    with pytest.raises(LinkSetupError, match=told):
        world.on_node(lambda kernel: _made(kernel, world, link, setup))


def test_a_namespace_that_is_gone_is_told_apart(world: World) -> None:
    """Neither a missing path nor the empty file that a runtime leaves is a namespace."""
    left = Path(f"/run/netns/{world.pod}-left")
    left.touch()
    try:
        for path in (f"/run/netns/{world.pod}-none", str(left)):
            kernel = KernelInterfaces(host_root=ROOT)
            assert not kernel.has_netns(path)
            with pytest.raises(NetnsGoneError):
                asyncio.run(kernel.take_down([TakeDown(name="x")], path))
        assert KernelInterfaces(host_root=ROOT).has_netns(world.pod_path)
        assert KernelInterfaces(host_root=ROOT).has_netns(f"/proc/{os.getpid()}/ns/net")
    finally:
        left.unlink()


def test_sixteen_interfaces_at_once(world: World) -> None:
    """Interfaces of one Pod are made side by side."""
    wanted = [
        (
            _child(f"net{number}"),
            InterfaceSetup(
                name=f"net{number}", addresses=(IPv4Interface(f"198.18.{number}.7/24"),)
            ),
        )
        for number in range(16)
    ]
    made = world.on_node(lambda kernel: kernel.create(wanted, world.pod_path))
    assert len({each.mac for each in made}) == (1 if _kernel_has_ipvlan() else 16)
    names = world.in_pod(lambda netlink: {each.get("ifname") for each in netlink.get_links()})
    assert {"lo", *(f"net{number}" for number in range(16))} == names


def test_an_ipvlan_address_that_another_has_is_told(world: World) -> None:
    """An address on the wire twice is the kernel's refusal with IPVLAN, and named."""
    world.on_node(lambda kernel: _create(kernel, world))
    setup = InterfaceSetup(name="ext1", addresses=SETUP.addresses[:1])
    # macvlan children are links of their own, which the parent does not compare.
    refusal = (
        pytest.raises(LinkSetupError, match="198.18.0.7/24 on ext1: Address already in use")
        if _kernel_has_ipvlan()
        else nullcontext()
    )
    with refusal:
        world.on_node(lambda kernel: _made(kernel, world, _child("ext1"), setup))
