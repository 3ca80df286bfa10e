"""What the neighbours of an interface hear, and what keeps them from hearing it."""

import logging
import socket
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path
from typing import Final

import pytest

from danm_api.errors import LinkSetupError
from danm_api.testing.hangs import HANGS_S
from danm_cni.announce import (
    ETH_P_ARP,
    ETH_P_IPV6,
    arp_announcement,
    neighbour_advertisement,
)
from danm_cni.interface_setup import Address
from danm_cni.neighbours import frame_socket, keep_telling, tell_neighbours
from danm_cni.testing.namespaces import World, a_world, in_netns, ip
from danm_cni.testing.node import messages_of

_MAC: Final = "02:00:00:00:05:07"
_IP: Final = IPv4Interface("198.18.0.7/24")
_IP6: Final = IPv6Interface("2001:db8::7/64")
_ETH_P_ALL: Final = 3


@pytest.fixture()
def world() -> Iterator[World]:
    """Give a node with a link whose peer hears what it sends."""
    with a_world() as made:
        yield made


def _ear() -> socket.socket:
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
    raw.bind(("peer0", _ETH_P_ALL))
    raw.settimeout(HANGS_S)
    return raw


def _heard(world: World, mac: str | None, addresses: Sequence[Address]) -> list[tuple[int, bytes]]:
    """Return the frames from the MAC that come before one that marks the end, with their types."""
    mark = arp_announcement("02:00:00:00:00:ff", _IP.ip)

    def tell() -> list[tuple[int, bytes]]:
        frames: list[tuple[int, bytes]] = []
        with _ear() as ear, frame_socket() as mouth:
            tell_neighbours(mouth, "parent0", mac, addresses)
            mouth.sendto(mark, ("parent0", ETH_P_ARP))
            while True:
                frame, (_, kind, *_) = ear.recvfrom(2000)
                if frame[: len(mark)] == mark:
                    return frames
                # The kernel has its own to say, from the link's own MAC.
                if frame[6:12] == bytes.fromhex(_MAC.replace(":", "")):
                    frames.append((kind, frame))

    return in_netns(world.node, tell)


@pytest.mark.parametrize(
    "addresses",
    [
        pytest.param((), id="none"),
        pytest.param((_IP,), id="IPv4"),
        pytest.param((_IP6,), id="IPv6"),
        pytest.param((_IP, _IP6, IPv4Interface("198.18.1.7/32")), id="several"),
    ],
)
def test_each_address_is_told_in_its_familys_way(
    world: World, addresses: tuple[Address, ...]
) -> None:
    """Once, from the MAC that the interface has, in the order of the addresses."""
    # SPEC D2
    expected = [
        (
            (ETH_P_ARP, arp_announcement(_MAC, each.ip))
            if isinstance(each, IPv4Interface)
            else (ETH_P_IPV6, neighbour_advertisement(_MAC, each.ip))
        )
        for each in addresses
    ]
    assert _heard(world, _MAC, addresses) == expected


def test_what_has_no_mac_has_no_neighbours(world: World) -> None:
    """A tunnel's interface tells nobody, and that is no error."""
    assert _heard(world, None, (_IP, _IP6)) == []


@pytest.mark.parametrize("address", [_IP, _IP6])
def test_a_link_that_does_not_send_is_told(world: World, address: Address) -> None:
    """With its name, and what the kernel says."""
    ip("-n", world.node, "link", "set", "parent0", "down")

    def tell() -> None:
        with frame_socket() as mouth:
            tell_neighbours(mouth, "parent0", _MAC, [address])

    told = "the neighbours cannot be told about parent0: Network is down"
    with pytest.raises(LinkSetupError, match=told):
        in_netns(world.node, tell)


def test_an_interface_that_cannot_be_told_of_is_logged(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """The Pod works without; one that is not there at all is not even worth a line."""
    # SPEC E4
    ip("-n", world.node, "link", "add", "link", "parent0", "name", "ext0", "type", "macvlan")
    ip("-n", world.node, "link", "set", "ext0", "netns", world.pod)
    with caplog.at_level(logging.WARNING):
        world.on_node(lambda kernel: kernel.announce("absent", [_IP], world.pod_path))
        assert messages_of(caplog.records) == []
        world.on_node(lambda kernel: kernel.announce("ext0", [_IP], world.pod_path))
    assert messages_of(caplog.records) == ["Neighbours are not told"]


def test_the_kernel_is_told_to_tell_of_later_macs(world: World) -> None:
    """In both families, of this interface alone; one that is not there is no error."""
    # SPEC D2
    switches = {
        name: [
            Path(f"/proc/sys/net/ipv4/conf/{name}/arp_notify"),
            Path(f"/proc/sys/net/ipv6/conf/{name}/ndisc_notify"),
        ]
        for name in ("parent0", "peer0")
    }

    def look() -> dict[str, list[str]]:
        keep_telling("parent0")
        keep_telling("absent")
        return {name: [each.read_text().strip() for each in of] for name, of in switches.items()}

    assert in_netns(world.node, look) == {"parent0": ["1", "1"], "peer0": ["0", "0"]}
