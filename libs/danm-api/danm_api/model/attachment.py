"""What a Pod asks for: the entries of its annotation (SPEC B1). Pure."""

from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface

from danm_api.model.addresses import IPv4Route, IPv6Route
from danm_api.names import NetworkName


@dataclass(frozen=True, slots=True, kw_only=True)
class Dynamic:
    """The next free address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoAddress:
    """No address of this family."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticIPv4:
    """This address and prefix length."""

    interface: IPv4Interface


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticIPv6:
    """This address and prefix length."""

    interface: IPv6Interface


IPv4Request = Dynamic | NoAddress | StaticIPv4
IPv6Request = Dynamic | NoAddress | StaticIPv6


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """One entry of the annotation.

    Attributes:
        index: Position in the annotation, from 0.
        network: A DanmNet in the Pod's own namespace.
        policy_routes: For the network's routing table (SPEC D3).
        policy_routes6: For the network's routing table.
    """

    index: int
    network: NetworkName
    ip: IPv4Request
    ip6: IPv6Request
    policy_routes: tuple[IPv4Route, ...] = ()
    policy_routes6: tuple[IPv6Route, ...] = ()
