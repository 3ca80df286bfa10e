"""What is to be made, and taken down, of interfaces in a Pod's network namespace. Pure."""

from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface

from danm_api.model.addresses import IPAddress
from danm_cni.plan import PlannedRoute

Address = IPv4Interface | IPv6Interface


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRule:
    """Packets from an address look into a table (SPEC D3)."""

    source: IPAddress
    table: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildLink:
    """A link to create directly in a namespace.

    Attributes:
        kind: The kernel's link kind.
        options: Netlink attributes of that kind.
        mtu: Bytes; None for the parent's.
        mac: None for the kernel's choice.
    """

    kind: str
    name: str
    parent: str
    options: bytes
    mtu: int | None = None
    mac: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceSetup:
    """What an interface gets once it exists.

    Attributes:
        mac: What it is to have since its creation; None for any.
        mtu: Bytes, where it is not to keep what it was created with.
    """

    name: str
    mac: str | None = None
    mtu: int | None = None
    addresses: tuple[Address, ...] = ()
    routes: tuple[PlannedRoute, ...] = ()
    rules: tuple[PolicyRule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeDown:
    """What of an interface is to be removed, where it is there.

    Attributes:
        delete_link: danmd has made the link itself.
    """

    name: str
    rules: tuple[PolicyRule, ...] = ()
    delete_link: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFacts:
    """What the kernel says about an interface."""

    mac: str | None
    mtu: int | None


def policy_rules(
    routes: tuple[PlannedRoute, ...], addresses: tuple[Address, ...]
) -> tuple[PolicyRule, ...]:
    """Return the rules that send an interface's own packets to its tables (SPEC D3)."""
    wanted = dict.fromkeys(
        (address.ip, route.table)
        for route in routes
        if route.table is not None
        for address in addresses
        if address.version == route.destination.version
    )
    return tuple(PolicyRule(source=source, table=table) for source, table in wanted)
