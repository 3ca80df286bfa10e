"""Addresses that no interface and no gateway can have (SPEC N1, D3, G3, G5). Pure."""

from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import Final

from danm_api.model.addresses import IPAddress, IPNetwork, usable_ipv4

# RFC 6890 has them all. Packets with IPv4 in IPv6 are dropped by every Linux that gets them, and
# Kubernetes takes no such endpoint.
MAPPED: Final = IPv6Network("::ffff:0:0/96")
HOSTLESS: Final[dict[IPNetwork, str]] = {
    IPv4Network("0.0.0.0/8"): "this network",
    IPv4Network("127.0.0.0/8"): "loopback",
    IPv4Network("224.0.0.0/4"): "multicast",
    IPv4Network("255.255.255.255/32"): "broadcast",
    MAPPED: "IPv4 in IPv6",
    IPv6Network("::/128"): "no address",
    IPv6Network("::1/128"): "loopback",
    IPv6Network("ff00::/8"): "multicast",
}


def hostless_part(subnet: IPNetwork) -> str | None:
    """Name addresses of a subnet that nobody can have; None when there are none.

    Args:
        subnet: A subnet, or one address with its full prefix length.
    """
    found = (f"{each} ({what})" for each, what in HOSTLESS.items() if subnet.overlaps(each))
    return next(found, None)


def gateway_fault(gateway: IPAddress, subnet: IPNetwork, *, where: str) -> str | None:
    """Say why no route can lead by a gateway, and what to do; None when one can.

    The routers' anycast address of IPv6 may be one (RFC 4291, 2.6.1).

    Args:
        gateway: The gateway.
        subnet: In which the interface's address lies.
        where: The subnet's name for people.
    """
    if gateway not in subnet:
        return f"gateway {gateway} lies outside of {where}; choose one in it"
    if (
        isinstance(gateway, IPv4Address)
        and isinstance(subnet, IPv4Network)
        and gateway not in usable_ipv4(subnet)
    ):
        return (
            f"gateway {gateway} is the network's or broadcast address of {where}; "
            "choose a host's address"
        )
    return None
