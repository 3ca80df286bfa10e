"""Interfaces that other plugins have made, in real network namespaces."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Interface, ip_address, ip_network

import pytest

from danm_api.errors import LinkSetupError
from danm_cni.announce import ETH_P_ARP, arp_announcement
from danm_cni.interface_setup import InterfaceSetup
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
    raw.settimeout(5)
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
