"""Address values that several objects share. Pure."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

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
