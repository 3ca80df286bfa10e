"""Which host links DanmNets ask for, and what such a link looks like in the kernel.

Pure. Source: SPEC N2, N3, D1.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from danm_api.model.addresses import IPAddress
from danm_api.model.danmnet import DanmNet, NetworkSpec, Untagged, Vlan, Vxlan
from danm_api.names import InterfaceName, NetworkName
from danm_api.validation import host_link_name

# IANA's port; the kernel's own default is another one, of before the registration.
VXLAN_PORT: Final = 4789

# An alias cannot be given when a link is created, but a group can: what carries this one and no
# alias was left behind by a netwatcher that died between two requests. The number spells "danm".
HALF_MADE_GROUP: Final = 0x64616E6D

_ALIAS_PREFIX: Final = "danm:"
_VXLAN_PREFIX: Final = "vx_"
# Administratively scoped (RFC 2365) and site-local (RFC 4291): the VNI picks the group (SPEC N2).
_GROUPS_IPV4: Final = IPv4Address("239.0.0.0")
_GROUPS_IPV6: Final = IPv6Address("ff05::")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLink:
    """A link that netwatcher makes on every node.

    Attributes:
        name: ``vx_<NetworkID>`` or ``<NetworkID>.<VID>``.
        parent: The host_device.
    """

    name: InterfaceName
    parent: InterfaceName
    segment: Vlan | Vxlan

    @property
    def needs_source(self) -> bool:
        """Say whether the link is a tunnel that starts at an address of its parent."""
        return isinstance(self.segment, Vxlan)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainLink:
    """A host_device that Pods hang on directly: looked at, never touched."""

    name: InterfaceName


WantedLink = HostLink | PlainLink


def link_of(net: DanmNet) -> WantedLink | None:
    """Return the link that interfaces of a network hang on.

    It follows the spec in force, whatever the verdict on the present one: an edit that is refused,
    or that waits, does not cut the Pods off (SPEC N5), and neither does a deletion while Pods are
    left (SPEC A5).

    Returns:
        None for a network that was never accepted, and for one without host_device.
    """
    spec = net.status.applied
    return None if spec is None else link_of_spec(spec)


def link_of_spec(spec: NetworkSpec) -> WantedLink | None:
    """Return the link that a spec asks for."""
    if spec.host_device is None:
        return None
    parent = InterfaceName(spec.host_device)
    name = host_link_name(spec)
    match spec.segment:
        case Vlan() | Vxlan() if name is not None:
            return HostLink(name=InterfaceName(name), parent=parent, segment=spec.segment)
        case Vlan() | Vxlan() | Untagged():
            return PlainLink(name=parent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What all DanmNets together ask for under one link name.

    Attributes:
        link: None when nobody asks for the name. A link that netwatcher makes goes before a mere
            host_device of the same name.
        outvoted: Networks that mean another link by the name (SPEC N3); the validator refuses
            them, but this node may see its verdict later.
        plain: Networks whose Pods hang on the link itself, as their host_device.
    """

    link: WantedLink | None
    outvoted: tuple[DanmNet, ...] = ()
    plain: tuple[DanmNet, ...] = ()

    @property
    def parent(self) -> InterfaceName | None:
        """Return the host_device of the link that has to be made, if one has to."""
        return self.link.parent if isinstance(self.link, HostLink) else None

    @property
    def needs_source(self) -> bool:
        """Say whether that link is a tunnel."""
        return isinstance(self.link, HostLink) and self.link.needs_source


def demand(name: InterfaceName, networks: Iterable[DanmNet]) -> Demand:
    """Sum up the networks that ask for a link name; the oldest decides where they disagree."""
    made: list[tuple[DanmNet, HostLink]] = []
    plain: list[DanmNet] = []
    for net in sorted(networks, key=lambda n: (n.created, n.namespace, n.name)):
        match link_of(net):
            case HostLink() as link if link.name == name:
                made.append((net, link))
            case PlainLink() as link if link.name == name:
                plain.append(net)
            case _:
                continue
    if not made:
        return Demand(link=PlainLink(name=name) if plain else None, plain=tuple(plain))
    first = made[0][1]
    outvoted = tuple(net for net, link in made if link != first)
    return Demand(link=first, outvoted=outvoted, plain=tuple(plain))


def alias_for(name: InterfaceName) -> str:
    """Return the alias that marks a link as ours and says which one it is."""
    return f"{_ALIAS_PREFIX}{name}"


def name_in_alias(alias: str) -> InterfaceName | None:
    """Return the name that the alias of one of our links tells; None for a foreign link."""
    if not alias.startswith(_ALIAS_PREFIX):
        return None
    return InterfaceName(alias.removeprefix(_ALIAS_PREFIX))


def network_of_link(name: InterfaceName) -> NetworkName:
    """Return the NetworkID in the name of one of our links.

    No NetworkID holds an underscore (it is the name of an object), so the two forms never meet.
    """
    if name.startswith(_VXLAN_PREFIX):
        return NetworkName(name.removeprefix(_VXLAN_PREFIX))
    return NetworkName(name.rpartition(".")[0])


def group_for(vni: int, source: IPAddress) -> IPAddress:
    """Return the multicast group of a VNI, in the family of the tunnel's source address."""
    match source:
        case IPv4Address():
            return _GROUPS_IPV4 + vni
        case IPv6Address():
            return _GROUPS_IPV6 + vni


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedAddress:
    """An address of a link.

    Attributes:
        is_global: Valid beyond the link.
        is_stable: Neither temporary, nor deprecated, nor still being probed for duplicates.
        since_s: When the link got it, in seconds of the monotonic clock.
    """

    address: IPAddress
    is_global: bool
    is_stable: bool
    since_s: float = 0.0


def source_of(addresses: Iterable[ObservedAddress]) -> IPAddress | None:
    """Return the first global IPv4 address, else the first global IPv6 address (SPEC N2).

    Args:
        addresses: In the kernel's order.
    """
    usable = [a.address for a in addresses if a.is_global and a.is_stable]
    first_ipv4 = next((a for a in usable if isinstance(a, IPv4Address)), None)
    return first_ipv4 or next(iter(usable), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedVlan:
    """The 802.1q part of a link."""

    parent_index: int
    vid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedVxlan:
    """The VXLAN part of a link."""

    parent_index: int | None
    vni: int
    port: int
    source: IPAddress | None
    group: IPAddress | None
    learning: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherKind:
    """A link of any other kind; the name is empty for hardware."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedLink:
    """A link of the node.

    Attributes:
        group: The kernel's link group, 0 by default.
        up: Set up by its administrator.
        carrier: Whether frames can travel, as far as the kernel knows.
        mtu: Bytes.
        altnames: Its alternative names, by which the kernel finds it too.
    """

    index: int
    name: InterfaceName
    alias: str
    group: int
    up: bool
    carrier: bool
    mtu: int
    kind: ObservedVlan | ObservedVxlan | OtherKind
    altnames: frozenset[InterfaceName] = frozenset()

    @property
    def half_made(self) -> bool:
        """Say whether a netwatcher created the link and did not live to mark it."""
        return (
            self.group == HALF_MADE_GROUP
            and not self.alias
            and not isinstance(self.kind, OtherKind)
        )

    @property
    def made_as(self) -> InterfaceName | None:
        """Return the name that netwatcher made the link under; None when it did not."""
        return self.name if self.half_made else name_in_alias(self.alias)
