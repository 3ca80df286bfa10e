"""The neighbours of an interface: they are told of its addresses and of its MAC (SPEC D2).

Blocking, as ``danm_cni.netlink``.
"""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path
from typing import Final

from danm_api.errors import LinkSetupError
from danm_api.telemetry import get_logger
from danm_cni.announce import (
    ETH_P_ARP,
    ETH_P_IPV6,
    arp_announcement,
    neighbour_advertisement,
)
from danm_cni.failpoints import Effect, effect
from danm_cni.interface_setup import Address
from danm_cni.kernel_errors import told
from danm_cni.netns import enter_netns
from danm_cni.rtnetlink import RouteSocket
from danm_cni.threads import in_background

log = get_logger(__name__)

_NOTIFY_SWITCHES: Final = (
    "/proc/sys/net/ipv4/conf/{name}/arp_notify",
    "/proc/sys/net/ipv6/conf/{name}/ndisc_notify",
)


def keep_telling(name: str) -> None:
    """Have the kernel tell the neighbours whenever an interface of this namespace gets another MAC.

    A plugin behind danm may give a macvlan link one, and an IPVLAN link follows its parent. An
    interface works without it: where there is no IPv6, or no right to write there, it is left out.
    """
    for switch in _NOTIFY_SWITCHES:
        with suppress(OSError):
            Path(switch.format(name=name)).write_text("1")


def announce(name: str, addresses: Sequence[Address], netns: int) -> None:
    """Enter a namespace and tell the neighbours of an interface that another plugin has made.

    Some make what is no link of the kernel's, or leave theirs down: nobody can be told of that.

    Raises:
        LinkSetupError: The kernel does not tell what it has.
        NetnsGoneError: The namespace is gone.
    """
    enter_netns(netns)
    with RouteSocket() as pod, told(f"interface {name} cannot be read"):
        link = pod.link(name)
    if link is None:
        return
    with frame_socket() as frames, effect(Effect.ANNOUNCE):
        try:
            tell_neighbours(frames, name, link.mac, addresses)
        except LinkSetupError as error:
            log.warning("Neighbours are not told", interface=name, error=error.reason)


@contextmanager
def frame_socket() -> Iterator[socket.socket]:
    """Give a socket of this network namespace that sends frames; its close is not waited for.

    The kernel waits for every processor before it closes one, 11 ms on a machine with 2 of them.
    """
    # Protocol 0 receives nothing: registering a receiver would cost the kernel 10 ms each time.
    frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    try:
        yield frames
    finally:
        in_background(frames.close, name="netns-close")


def tell_neighbours(
    frames: socket.socket, name: str, mac: str | None, addresses: Sequence[Address]
) -> None:
    """Tell the neighbours of an interface of this namespace where its addresses are (SPEC D2).

    Args:
        frames: As ``frame_socket`` returns it.
        name: The interface's.
        mac: Its; what has none has no neighbours.
        addresses: Each is told of.

    Raises:
        LinkSetupError: The interface does not send.
    """
    if mac is None:
        return
    with told(f"the neighbours cannot be told about {name}"):
        for address in addresses:
            match address:
                case IPv4Interface():
                    frames.sendto(arp_announcement(mac, address.ip), (name, ETH_P_ARP))
                case IPv6Interface():
                    frames.sendto(neighbour_advertisement(mac, address.ip), (name, ETH_P_IPV6))
