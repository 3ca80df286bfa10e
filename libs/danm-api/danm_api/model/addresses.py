"""Address values that several objects share. Pure."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class IPv4Range:
    """Addresses from ``start`` to ``end``, both inclusive."""

    start: IPv4Address
    end: IPv4Address

    def __contains__(self, address: object) -> bool:
        """Say whether an address lies in the range."""
        return isinstance(address, IPv4Address) and self.start <= address <= self.end


@dataclass(frozen=True, slots=True, kw_only=True)
class IPv6Range:
    """Addresses from ``start`` to ``end``, both inclusive."""

    start: IPv6Address
    end: IPv6Address

    def __contains__(self, address: object) -> bool:
        """Say whether an address lies in the range."""
        return isinstance(address, IPv6Address) and self.start <= address <= self.end


@dataclass(frozen=True, slots=True, kw_only=True)
class IPv4Route:
    """A destination and the gateway that leads there."""

    destination: IPv4Network
    gateway: IPv4Address


@dataclass(frozen=True, slots=True, kw_only=True)
class IPv6Route:
    """A destination and the gateway that leads there."""

    destination: IPv6Network
    gateway: IPv6Address


Route = IPv4Route | IPv6Route

# An IPv4 subnet with more bits than this has neither a network nor a broadcast address (RFC 3021).
_LAST_PREFIX_WITH_BROADCAST: Final = 30
# The same of IPv6's subnet-router anycast address (RFC 6164).
_LAST_PREFIX_WITH_ANYCAST: Final = 126


def usable_ipv4(subnet: IPv4Network) -> IPv4Range:
    """Return the host addresses of a subnet; /31 and /32 follow RFC 3021 (SPEC G2)."""
    reserved = 1 if subnet.prefixlen <= _LAST_PREFIX_WITH_BROADCAST else 0
    return IPv4Range(
        start=subnet.network_address + reserved, end=subnet.broadcast_address - reserved
    )


def usable_ipv6(subnet: IPv6Network) -> IPv6Range:
    """Return the addresses of a subnet but for the routers' anycast address (RFC 4291, 2.6.1).

    /127 and /128 keep all of theirs (RFC 6164).
    """
    reserved = 1 if subnet.prefixlen <= _LAST_PREFIX_WITH_ANYCAST else 0
    return IPv6Range(start=subnet.network_address + reserved, end=subnet.broadcast_address)


def mac_of(address: IPAddress) -> str:
    """Return the MAC address that belongs to an address: fa:16:3e and its low 24 bits (SPEC G6)."""
    low = int(address)
    return f"fa:16:3e:{low >> 16 & 0xFF:02x}:{low >> 8 & 0xFF:02x}:{low & 0xFF:02x}"


def eui64_range(subnet: IPv6Network) -> IPv6Range:
    """Return the EUI-64 addresses of all MAC addresses that ``mac_of`` makes, in a /64 (SPEC G5).

    They are consecutive: RFC 4291 appendix A puts ff:fe between the MAC's halves and flips the
    universal bit.
    """
    start = subnet.network_address + 0xF816_3EFF_FE00_0000
    return IPv6Range(start=start, end=start + 0xFF_FFFF)
