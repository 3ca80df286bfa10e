"""Interfaces that other plugins have made, in real network namespaces."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from danm_api.errors import LinkSetupError
from danm_api.testing.hangs import HANGS_S
from danm_cni.announce import ETH_P_ARP, arp_announcement
from danm_cni.interface_setup import Address, InterfaceSetup, PolicyRule, TakeDown
from danm_cni.kernel import KernelInterfaces
from danm_cni.plan import PlannedRoute
from danm_cni.testing.namespaces import World, a_world, in_netns, ip

MAC = "02:00:00:00:05:07"


@pytest.fixture()
def world() -> Iterator[World]:
    """Give a Pod with an interface that a plugin has made, on a link of the node."""
    link = ("link", "parent0", "name", "ext0", "address", MAC)
    with a_world() as made:
        ip("-n", made.node, "link", "add", *link, "netns", made.pod, "type", "macvlan")
        ip("-n", made.pod, "address", "add", "198.18.0.7/24", "dev", "ext0")
        ip("-n", made.pod, "link", "set", "ext0", "up")
        yield made


def _listen() -> socket.socket:
    """Hear ARP on the parent's peer."""
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ARP))
    raw.bind(("peer0", ETH_P_ARP))
    raw.settimeout(HANGS_S)
    return raw


def test_an_interface_of_another_plugin_gets_an_mtu(world: World) -> None:
    """It has it before its routes, and what is told is what the kernel has now."""
    facts = world.on_node(
        lambda kernel: kernel.set_up(InterfaceSetup(name="ext0", mtu=1280), world.pod_path)
    )
    assert facts.mtu == 1280
    (link,) = world.in_pod(lambda netlink: netlink.get_links(ifname="ext0"))
    assert link.get_attr("IFLA_MTU") == 1280


def test_a_route_that_is_there_already_is_no_error(world: World) -> None:
    """A plugin may have made what its DanmNet asks for; the same by another gateway is refused."""
    # SPEC E4
    same = PlannedRoute(destination=ip_network("192.0.2.0/24"), gateway=ip_address("198.18.0.1"))
    other = replace(same, gateway=ip_address("198.18.0.2"))
    setup = InterfaceSetup(name="ext0", routes=(same,))
    for _ in range(2):
        world.on_node(lambda kernel: kernel.set_up(setup, world.pod_path))
    with pytest.raises(LinkSetupError, match="192.0.2.0/24 via 198.18.0.2 on ext0: File exists"):
        world.on_node(lambda kernel: kernel.set_up(replace(setup, routes=(other,)), world.pod_path))


_SETUP = InterfaceSetup(
    name="ext0",
    addresses=(IPv4Interface("198.18.0.7/24"), IPv6Interface("2001:db8::7/64")),
    routes=(
        PlannedRoute(destination=ip_network("0.0.0.0/0"), gateway=ip_address("198.18.0.1")),
        PlannedRoute(destination=ip_network("::/0"), gateway=ip_address("2001:db8::1")),
        PlannedRoute(
            destination=ip_network("192.0.2.0/24"), gateway=ip_address("198.18.0.2"), table=250
        ),
    ),
    rules=(PolicyRule(source=ip_address("198.18.0.7"), table=250),),
)


def _faults(world: World, setup: InterfaceSetup) -> list[str]:
    async def find(kernel: KernelInterfaces) -> list[str]:
        return list(await kernel.faults([setup], world.pod_path))

    return world.on_node(find)


def test_what_is_there_already_stays(world: World) -> None:
    """Setting up twice is setting up once, whoever gave the interface its address."""
    # SPEC E4
    for _ in range(2):
        world.on_node(lambda kernel: kernel.set_up(_SETUP, world.pod_path))
        assert _faults(world, _SETUP) == []


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        pytest.param(
            ("route", "del", "default"), "route 0.0.0.0/0 via 198.18.0.1 is missing on ext0",
            id="IPv4's default route",
        ),
        pytest.param(
            ("-6", "route", "del", "default"), "route ::/0 via 2001:db8::1 is missing on ext0",
            id="IPv6's default route",
        ),
        pytest.param(
            ("route", "replace", "192.0.2.0/24", "via", "198.18.0.3", "table", "250"),
            "route 192.0.2.0/24 via 198.18.0.2 is missing on ext0",
            id="another gateway",
        ),
        pytest.param(
            ("rule", "del", "from", "198.18.0.7", "table", "250"),
            "rule from 198.18.0.7 lookup 250 is missing",
            id="rule",
        ),
    ],
)  # fmt: skip
def test_each_fault_is_found_alone(world: World, damage: tuple[str, ...], fault: str) -> None:
    """Whatever else is as it should be is not named."""
    # SPEC C6
    world.on_node(lambda kernel: kernel.set_up(_SETUP, world.pod_path))
    ip("-n", world.pod, *damage)
    assert _faults(world, _SETUP) == [fault]


def test_an_address_is_of_its_link_and_its_subnet(world: World) -> None:
    """The same with another length, or on another link, is not the one that was given."""
    # SPEC C6
    ip("-n", world.pod, "link", "add", "other", "type", "veth", "peer", "name", "other1")
    ip("-n", world.pod, "addr", "add", "198.18.1.7/24", "dev", "other")
    wanted = (IPv4Interface("198.18.0.7/25"), IPv4Interface("198.18.1.7/24"))
    assert _faults(world, InterfaceSetup(name="ext0", addresses=wanted)) == [
        f"address {each} is missing on ext0" for each in wanted
    ]


def test_what_a_plugin_made_is_the_plugins_to_remove(world: World) -> None:
    """Only the rules go, which it knows nothing of."""
    # SPEC E4
    world.on_node(lambda kernel: kernel.set_up(_SETUP, world.pod_path))
    down = TakeDown(name="ext0", rules=_SETUP.rules, delete_link=False)
    for _ in range(2):
        world.on_node(lambda kernel: kernel.take_down([down], world.pod_path))
        assert _faults(world, _SETUP) == ["rule from 198.18.0.7 lookup 250 is missing"]


@pytest.mark.parametrize(
    ("addresses", "disabled"),
    [(_SETUP.addresses[:1], "1"), (_SETUP.addresses[1:], "0"), (_SETUP.addresses, "0")],
)
def test_ipv6_is_enabled_for_an_address_of_it(
    world: World, addresses: tuple[Address, ...], disabled: str
) -> None:
    """A runtime may have turned it off, and a Pod without such an address keeps it off."""
    # SPEC D4
    switch = "net.ipv6.conf.ext0.disable_ipv6"
    ip("netns", "exec", world.pod, "sysctl", "-q", "-w", f"{switch}=1")
    setup = InterfaceSetup(name="ext0", addresses=addresses)
    world.on_node(lambda kernel: kernel.set_up(setup, world.pod_path))
    path = Path(f"/proc/sys/{switch.replace('.', '/')}")
    assert in_netns(world.pod, path.read_text).strip() == disabled


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param(
            {"addresses": (IPv6Interface("ff02::5/64"),)}, r"address ff02::5/64 on ext0: ",
            id="an address of a group",
        ),
        pytest.param(
            {
                "routes": (
                    PlannedRoute(
                        destination=ip_network("192.0.2.0/24"),
                        gateway=ip_address("203.0.113.1"),
                        table=250,
                    ),
                )
            },
            r"route 192\.0\.2\.0/24 via 203\.0\.113\.1 on ext0 in table 250: Network is unreach",
            id="a gateway that cannot be reached",
        ),
    ],
)  # fmt: skip
def test_what_the_kernel_refuses_is_named(world: World, change: dict[str, Any], told: str) -> None:
    """The address or the route, its interface, and its table where it has one."""
    # SPEC D3: a bad route is not silently skipped
    setup = replace(InterfaceSetup(name="ext0"), **change)
    with pytest.raises(LinkSetupError, match=told):
        world.on_node(lambda kernel: kernel.set_up(setup, world.pod_path))


def test_an_interface_that_is_not_there_is_told(world: World) -> None:
    """A plugin has made another one than it was asked for."""
    with pytest.raises(LinkSetupError, match="the Pod has no interface net7"):
        world.on_node(lambda kernel: kernel.set_up(InterfaceSetup(name="net7"), world.pod_path))


def test_the_neighbours_of_another_plugins_interface_are_told(world: World) -> None:
    """Of what it has got from the plugin; nothing is added, and none is needed to be there."""
    # SPEC D2, E4
    before = world.in_pod(lambda netlink: [str(each) for each in netlink.get_addr()])
    address = IPv4Interface("198.18.0.7/24")
    with in_netns(world.node, _listen) as raw:
        world.on_node(lambda kernel: kernel.announce("ext0", [address], world.pod_path))
        expected = arp_announcement(MAC, address.ip)
        # The stack's own ARP traffic may come before it.
        assert any(expected == raw.recv(100)[: len(expected)] for _ in range(10))
    assert before == world.in_pod(lambda netlink: [str(each) for each in netlink.get_addr()])
    world.on_node(lambda kernel: kernel.announce("absent", [address], world.pod_path))
    ip("-n", world.pod, "link", "set", "ext0", "down")
    world.on_node(lambda kernel: kernel.announce("ext0", [address], world.pod_path))
