"""Which addresses a network hands out by itself (SPEC G2, G5). Pure."""

from typing import Final

from danm_api.model.addresses import (
    IPAddress,
    IPv4Range,
    IPv6Range,
    eui64_range,
    usable_ipv4,
    usable_ipv6,
)
from danm_api.model.danmnet import BuiltInType, NetworkSpec, StaticDelegate

# An EUI-64 address takes the lower half of the address (RFC 4291, 2.5.1).
EUI64_PREFIX_LENGTH: Final = 64


def hands_out_addresses(spec: NetworkSpec) -> bool:
    """Say whether DANM's IPAM serves the network: not for static delegates (SPEC G).

    A static delegate's network that admits fakeipam is served all the same (SPEC F2).
    """
    match spec.network_type:
        case BuiltInType():
            return True
        case StaticDelegate():
            return spec.fakeipam


def effective_pool(spec: NetworkSpec) -> IPv4Range | None:
    """Return the dynamic IPv4 addresses, both ends inclusive; None for a network without cidr.

    That is the pool, without the network and broadcast addresses, or else every usable address.
    ``is_excluded`` takes single addresses out of it.
    """
    if spec.cidr is None:
        return None
    usable = usable_ipv4(spec.cidr)
    if spec.pool is None:
        return usable
    return IPv4Range(start=max(spec.pool.start, usable.start), end=min(spec.pool.end, usable.end))


def effective_pool6(spec: NetworkSpec) -> IPv6Range | None:
    """Return the dynamic IPv6 addresses, both ends inclusive; None where there are none.

    Without ``allocation_pool6`` these are the EUI-64 addresses of the MAC addresses that DANM
    makes, which only a /64 has room for (SPEC G5, G6).
    """
    if spec.net6 is None:
        return None
    if spec.pool6 is not None:
        usable = usable_ipv6(spec.net6)
        return IPv6Range(
            start=max(spec.pool6.start, usable.start), end=min(spec.pool6.end, usable.end)
        )
    return eui64_range(spec.net6) if spec.net6.prefixlen == EUI64_PREFIX_LENGTH else None


def is_excluded(spec: NetworkSpec, address: IPAddress) -> bool:
    """Say whether an address is never handed out dynamically, wherever the pool lies.

    Source: SPEC G2: network and broadcast address, ``exclude``, and the gateways of ``routes`` that
    lie in the subnet (so for IPv6: the routers' anycast address, ``routes6``).
    """
    if any(address in network for network in spec.exclude):
        return True
    if any(address == route.gateway for route in spec.routes):
        return True
    if any(address == route.gateway for route in spec.routes6):
        return True
    if spec.cidr is not None and address in spec.cidr:
        return address not in usable_ipv4(spec.cidr)
    if spec.net6 is not None and address in spec.net6:
        return address not in usable_ipv6(spec.net6)
    return False
