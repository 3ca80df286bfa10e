"""What has to be done so that one host link is as the DanmNets want it.

Pure. Only links that carry our mark are ever changed, and none is taken away while an interface
hangs on it (DESIGN, "Controllers"; SPEC N2 to N4).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from danm_api.model.addresses import IPAddress
from danm_api.model.danmnet import Vlan, Vxlan
from danm_api.names import InterfaceName
from netwatcher.links import (
    VXLAN_PORT,
    HostLink,
    ObservedAddress,
    ObservedLink,
    ObservedVlan,
    ObservedVxlan,
    group_for,
    source_of,
)

# Bytes around a frame: outer IP header, UDP and VXLAN headers, inner Ethernet header.
_VXLAN_OVERHEAD_IPV4: Final = 20 + 8 + 8 + 14
_VXLAN_OVERHEAD_IPV6: Final = 40 + 8 + 8 + 14

_USERS_SHOWN: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateVlan:
    """Create an 802.1q link, mark it and set it up."""

    name: InterfaceName
    parent_index: int
    vid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateVxlan:
    """Create a VXLAN link that learns, mark it and set it up."""

    name: InterfaceName
    parent_index: int
    vni: int
    source: IPAddress
    group: IPAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Mark a link that a netwatcher created just before it died."""

    index: int
    name: InterfaceName


@dataclass(frozen=True, slots=True, kw_only=True)
class Rename:
    """Give a link its name back, and set it up: one request does both."""

    index: int
    name: InterfaceName


@dataclass(frozen=True, slots=True, kw_only=True)
class SetMtu:
    """Set the MTU in bytes."""

    index: int
    mtu: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetVxlanSource:
    """Let a tunnel start at another address of the same family."""

    index: int
    source: IPAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class SetUp:
    """Set a link up."""

    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    """Delete a link. It is one of ours, and the kernel may meanwhile have forgotten it."""

    index: int


Action = CreateVlan | CreateVxlan | Mark | Rename | SetMtu | SetVxlanSource | SetUp | Delete


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The part of the node that concerns one link name.

    Attributes:
        link: What bears the name now.
        stray: One of ours that was made under the name and bears another one now.
        parent: The host_device.
        parent_addresses: In the kernel's order.
        ipv4_wait_s: For how long no tunnel may be made at an IPv6 address, because the parent may
            still get an IPv4 address.
    """

    link: ObservedLink | None = None
    stray: ObservedLink | None = None
    parent: ObservedLink | None = None
    parent_addresses: Sequence[ObservedAddress] = ()
    ipv4_wait_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do, in this order.

    Attributes:
        blocked: Why the link is not as wanted even afterwards, and the way out; empty when it is.
        again_s: After how long time alone may have changed the plan; 0 when only events can.
    """

    actions: tuple[Action, ...] = ()
    blocked: str = ""
    again_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AskUsers:
    """The plan would take a link away: find out who uses it, and plan again."""

    link: ObservedLink


def plan_link(
    name: InterfaceName,
    wanted: HostLink | None,
    seen: Seen,
    *,
    users: Sequence[str] | None = None,
) -> Plan | AskUsers:
    """Plan the work on one link name.

    Args:
        name: The link's name.
        wanted: None when no DanmNet asks for the link any more.
        seen: What the kernel says.
        users: Who uses the link of that name, readable; None when nobody has asked yet.
    """
    ours = _ours(name, seen)
    if wanted is None:
        return Plan() if ours is None else _take_away(ours, users, why="no DanmNet asks for it")
    if seen.link is not None and seen.link is not ours:
        if seen.link.made_as is not None:
            # Two of ours have changed names: each can have its own back once the other is away.
            aside = Rename(index=seen.link.index, name=_name_aside(seen.link))
            return Plan(actions=(aside,), blocked=f"link {seen.link.made_as} bears the name {name}")
        return Plan(
            blocked=f"a link {name} exists that DANM did not make; rename or remove it, or give"
            " the DanmNet another NetworkID"
        )
    create = _creation(wanted, seen)
    if isinstance(create, str):
        return Plan(blocked=create)
    if ours is not None and _can_become(ours, create):
        return _repair(ours, create, parent_mtu=seen.parent.mtu if seen.parent else ours.mtu)
    if seen.ipv4_wait_s > 0:
        return Plan(
            blocked=f"host_device {wanted.parent} has no IPv4 address yet on this node, and the"
            " tunnels of all nodes have to speak one family; if none comes soon, this one starts at"
            " the IPv6 address",
            again_s=seen.ipv4_wait_s,
        )
    if ours is None:
        return Plan(actions=(create,))
    removal = _take_away(ours, users, why="its parent, id or address family changed")
    if isinstance(removal, AskUsers) or removal.blocked:
        return removal
    return Plan(actions=(*removal.actions, create))


def _ours(name: InterfaceName, seen: Seen) -> ObservedLink | None:
    if seen.link is not None and seen.link.made_as == name:
        return seen.link
    return seen.stray


def _name_aside(link: ObservedLink) -> InterfaceName:
    return InterfaceName(f"danm-{link.index}")


def _take_away(link: ObservedLink, users: Sequence[str] | None, *, why: str) -> Plan | AskUsers:
    if users is None:
        return AskUsers(link=link)
    if not users:
        return Plan(actions=(Delete(index=link.index),))
    shown = ", ".join(users[:_USERS_SHOWN])
    rest = len(users) - _USERS_SHOWN
    more = f" and {rest} more" if rest > 0 else ""
    return Plan(
        blocked=f"link {link.name} has to go ({why}), but {shown}{more} still use it; it goes"
        " after the last of them"
    )


def _creation(wanted: HostLink, seen: Seen) -> CreateVlan | CreateVxlan | str:
    """Return how the link is created, or why it cannot be."""
    parent = seen.parent
    if parent is None:
        return (
            f"host_device {wanted.parent} does not exist on this node; add it, or correct the"
            " DanmNet's host_device"
        )
    if not parent.up:
        return f"host_device {wanted.parent} is down on this node; set it up"
    match wanted.segment:
        case Vlan(vid=vid):
            return CreateVlan(name=wanted.name, parent_index=parent.index, vid=vid)
        case Vxlan(vni=vni):
            source = source_of(seen.parent_addresses)
            if source is None:
                return (
                    f"host_device {wanted.parent} has no global IPv4 or IPv6 address on this"
                    " node, and a VXLAN tunnel needs one as its source; give it one"
                )
            return CreateVxlan(
                name=wanted.name,
                parent_index=parent.index,
                vni=vni,
                source=source,
                group=group_for(vni, source),
            )


def _can_become(link: ObservedLink, create: CreateVlan | CreateVxlan) -> bool:
    """Say whether the kernel can change the link into what would be created."""
    match create, link.kind:
        case CreateVlan(), ObservedVlan() as kind:
            return (kind.parent_index, kind.vid) == (create.parent_index, create.vid)
        case CreateVxlan(), ObservedVxlan() as kind:
            same_family = kind.source is not None and kind.source.version == create.source.version
            return same_family and (
                kind.parent_index,
                kind.vni,
                kind.port,
                kind.group,
                kind.learning,
            ) == (create.parent_index, create.vni, VXLAN_PORT, create.group, True)
        case _:
            return False


def _repair(link: ObservedLink, create: CreateVlan | CreateVxlan, *, parent_mtu: int) -> Plan:
    actions: list[Action] = []
    if link.half_made:
        actions.append(Mark(index=link.index, name=create.name))
    if link.name != create.name:
        actions.append(Rename(index=link.index, name=create.name))
    if (
        isinstance(create, CreateVxlan)
        and isinstance(link.kind, ObservedVxlan)
        and link.kind.source != create.source
    ):
        actions.append(SetVxlanSource(index=link.index, source=create.source))
    mtu = _mtu_below(parent_mtu, create)
    if link.mtu != mtu:
        actions.append(SetMtu(index=link.index, mtu=mtu))
    if not link.up and link.name == create.name:
        actions.append(SetUp(index=link.index))
    blocked = "" if actions or link.carrier else f"link {link.name} has no carrier"
    return Plan(actions=tuple(actions), blocked=blocked)


def _mtu_below(parent_mtu: int, create: CreateVlan | CreateVxlan) -> int:
    """Return the MTU that the kernel gives to a new link on a parent."""
    match create:
        case CreateVlan():
            return parent_mtu
        case CreateVxlan(source=IPv4Address()):
            return parent_mtu - _VXLAN_OVERHEAD_IPV4
        case CreateVxlan():
            return parent_mtu - _VXLAN_OVERHEAD_IPV6
