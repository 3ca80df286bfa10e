"""Links, addresses, routes and rules inside a Pod's network namespace (SPEC D1 to D4, E4).

Blocking: the functions run in threads of ``danm_cni.netns``, where pyroute2's synchronous class
works. They execute what was planned and decide nothing.
"""

import errno
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from danm_api.errors import LinkSetupError
from danm_api.model.addresses import IPAddress
from danm_cni.announce import (
    ETH_P_ARP,
    ETH_P_IPV6,
    arp_announcement,
    neighbour_advertisement,
)
from danm_cni.netns import enter_netns
from danm_cni.plan import PlannedRoute

# include/uapi/linux/if_addr.h: no duplicate address detection (SPEC D4).
_IFA_F_NODAD: Final = 0x02
# include/uapi/linux/rtnetlink.h: RT_TABLE_MAIN.
_MAIN_TABLE: Final = 254
_IPV6_SWITCH: Final = "/proc/sys/net/ipv6/conf/{name}/disable_ipv6"
_NOTIFY_SWITCHES: Final = (
    "/proc/sys/net/ipv4/conf/{name}/arp_notify",
    "/proc/sys/net/ipv6/conf/{name}/ndisc_notify",
)
# The kernel compares macvlan links of one parent, in whichever network they are.
_MAC_IN_USE: Final = {
    errno.EADDRINUSE: "another macvlan interface on the same link of the node has its MAC, which "
    "follows from the last three bytes of an IPv4 address"
}

Address = IPv4Interface | IPv6Interface


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildLink:
    """A link to create directly in a namespace.

    Attributes:
        kind: The kernel's link kind.
        attributes: Of that kind, as pyroute2 names them.
        mtu: Bytes; None for the parent's.
        mac: None for the kernel's choice.
    """

    kind: str
    name: str
    parent: str
    attributes: Mapping[str, Any]
    mtu: int | None = None
    mac: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceSetup:
    """What an interface gets once it exists.

    Attributes:
        mac: What it is to have since its creation; None for any.
    """

    name: str
    mac: str | None = None
    addresses: tuple[Address, ...] = ()
    routes: tuple[PlannedRoute, ...] = ()
    rules: tuple["PolicyRule", ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRule:
    """Packets from an address look into a table (SPEC D3)."""

    source: IPAddress
    table: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFacts:
    """What the kernel says about an interface."""

    mac: str | None
    mtu: int | None


@contextmanager
def _told(what: str, hints: Mapping[int, str] = MappingProxyType({})) -> Iterator[None]:
    """Say what the kernel refused; the hints say more of some of its errors."""
    try:
        yield
    except NetlinkError as error:
        reason = os.strerror(error.code) if error.code else str(error)
        more = f"; {hints[error.code]}" if error.code in hints else ""
        raise LinkSetupError(f"{what}: {reason}{more}") from error
    except OSError as error:
        raise LinkSetupError(f"{what}: {error.strerror or error}") from error


def create_child(link: ChildLink, netns: int) -> str:
    """Create a link on a parent of the caller's namespace, in another namespace.

    Returns:
        The name that it has for now. Linux before 6.14 refuses a name that the *caller's* namespace
        has as well, such as eth0; then the link gets its final name in its own namespace.

    Raises:
        LinkSetupError: The parent is missing, or the kernel refused.
    """
    with IPRoute() as host:
        parents = host.link_lookup(ifname=link.parent)
        if not parents:
            raise LinkSetupError(
                f"interface {link.name}: this node has no link {link.parent!r}; if the DanmNet has "
                "a vlan or vxlan, netwatcher makes it on host_device: see its log and 'kubectl get "
                "danmnodes', else correct Options.host_device"
            )
        extra = {
            key: value
            for key, value in (("mtu", link.mtu), ("address", link.mac))
            if value is not None
        }
        taken = host.link_lookup(ifname=link.name)
        name = _interim_name(link.name) if taken else link.name
        busy = (
            f"{link.parent} is a port of a bridge or bond, or has children of another kind, and "
            "Linux allows one of ipvlan and macvlan on a link"
        )
        what = f"{link.kind} interface {link.name} on {link.parent}"
        with _told(what, {errno.EBUSY: busy}):
            host.link(
                "add",
                ifname=name,
                kind=link.kind,
                link=parents[0],
                net_ns_fd=netns,
                **link.attributes,
                **extra,
            )
    return name


def _interim_name(name: str) -> str:
    """Return a name that no link of a node has, always the same for one final name."""
    return f"danm{sha256(name.encode()).hexdigest()[:11]}"


def set_up(setup: InterfaceSetup, netns: int, *, present_name: str) -> LinkFacts:
    """Enter a namespace and give one of its interfaces what it needs; tell the neighbours.

    Args:
        setup: The interface under its final name, and what it gets.
        netns: The namespace.
        present_name: What it is called until it gets its final name.

    Raises:
        LinkSetupError: The kernel refused; what was done before stays, for the caller to undo.
        NetnsGoneError: The namespace is gone.
    """
    enter_netns(netns)
    with IPRoute() as pod:
        index = _index(pod, present_name)
        if present_name != setup.name:
            with _told(f"interface {setup.name} cannot get its name"):
                pod.link("set", index=index, ifname=setup.name)
        if any(isinstance(address, IPv6Interface) for address in setup.addresses):
            _enable_ipv6(setup.name)
        for address in setup.addresses:
            _add_address(pod, index, setup.name, address)
        with _told(f"interface {setup.name} cannot be set up", _MAC_IN_USE):
            pod.link("set", index=index, state="up")
        for route in setup.routes:
            _add_route(pod, index, setup.name, route)
        for rule in setup.rules:
            _add_rule(pod, rule)
        facts = _facts(pod, index)
    _announce(setup.name, facts.mac, setup.addresses)
    return facts


def keep_telling(name: str) -> None:
    """Have the kernel tell the neighbours whenever an interface of this namespace gets another MAC.

    A plugin behind danm may give a macvlan link one, and an IPVLAN link follows its parent.

    Raises:
        LinkSetupError: The kernel refused.
    """
    for switch in _NOTIFY_SWITCHES:
        what = f"interface {name} cannot be told to announce itself"
        # A kernel may have no IPv6.
        with _told(what), suppress(FileNotFoundError):
            Path(switch.format(name=name)).write_text("1")


def take_down(name: str, rules: Sequence[PolicyRule], netns: int, *, delete_link: bool) -> None:
    """Enter a namespace and remove an interface's rules and the interface, where they are there.

    Raises:
        LinkSetupError: The kernel refused.
        NetnsGoneError: The namespace is gone, and everything in it.
    """
    enter_netns(netns)
    with IPRoute() as pod:
        for rule in rules:
            _remove_rule(pod, rule)
        if delete_link:
            names = (name, _interim_name(name))
            for index in [index for each in names for index in pod.link_lookup(ifname=each)]:
                with _told(f"interface {name} cannot be removed"), _ignored(errno.ENODEV):
                    pod.link("del", index=index)


def find_faults(setup: InterfaceSetup, netns: int) -> list[str]:
    """Enter a namespace and return what of a setup is not there, in words (SPEC C6).

    Raises:
        LinkSetupError: The kernel refused to tell.
        NetnsGoneError: The namespace is gone.
    """
    enter_netns(netns)
    faults: list[str] = []
    with IPRoute() as pod, _told(f"interface {setup.name} cannot be read"):
        found = pod.link_lookup(ifname=setup.name)
        if not found:
            return [f"interface {setup.name} is missing"]
        index = found[0]
        mac = _facts(pod, index).mac
        if setup.mac is not None and mac != setup.mac:
            faults.append(f"interface {setup.name} has the MAC {mac} and not {setup.mac}")
        addresses = {(each.get("address"), each["prefixlen"]) for each in pod.get_addr(index=index)}
        faults += [
            f"address {each} is missing on {setup.name}"
            for each in setup.addresses
            if (str(each.ip), each.network.prefixlen) not in addresses
        ]
        families = {each.source.version for each in setup.rules}
        rules = {
            (each.get("src"), each.get("table"))
            for family in families
            for each in pod.get_rules(family=_family(family))
        }
        faults += [
            f"rule from {each.source} lookup {each.table} is missing"
            for each in setup.rules
            if (str(each.source), each.table) not in rules
        ]
        routes = {
            (
                f"{each.get('dst') or _anywhere(each['family'])}/{each['dst_len']}",
                each.get("gateway"),
                each.get("table"),
            )
            for each in pod.get_routes(oif=index)
        }
        faults += [
            f"route {each.destination} via {each.gateway} is missing on {setup.name}"
            for each in setup.routes
            if (str(each.destination), str(each.gateway), each.table or _MAIN_TABLE) not in routes
        ]
    return faults


def _anywhere(family: int) -> str:
    """Return the destination that the kernel leaves out of a default route."""
    return "0.0.0.0" if family == socket.AF_INET else "::"  # noqa: S104  (no socket)


def _index(pod: Any, name: str) -> int:  # noqa: ANN401  (pyroute2 has no types)
    found = pod.link_lookup(ifname=name)
    if not found:
        raise LinkSetupError(f"the Pod has no interface {name}")
    return int(found[0])


def _facts(pod: Any, index: int) -> LinkFacts:  # noqa: ANN401
    with _told("the interface cannot be read"):
        (message,) = pod.get_links(index)
    return LinkFacts(mac=message.get("address"), mtu=message.get("mtu"))


def _enable_ipv6(name: str) -> None:
    """Runtimes may create namespaces with IPv6 off; an address asks for it."""
    switch = Path(_IPV6_SWITCH.format(name=name))
    with _told(f"IPv6 cannot be enabled on {name}"):
        if switch.exists() and switch.read_text().strip() != "0":
            switch.write_text("0")


def _add_address(pod: Any, index: int, name: str, address: Address) -> None:  # noqa: ANN401
    flags = {"flags": _IFA_F_NODAD} if isinstance(address, IPv6Interface) else {}
    with _told(f"address {address} on {name}"), _ignored(errno.EEXIST):
        pod.addr(
            "add",
            index=index,
            address=str(address.ip),
            prefixlen=address.network.prefixlen,
            **flags,
        )


def _add_route(pod: Any, index: int, name: str, route: PlannedRoute) -> None:  # noqa: ANN401
    extra = {
        key: value
        for key, value in (("table", route.table), ("priority", route.metric))
        if value is not None
    }
    where = "" if route.table is None else f" in table {route.table}"
    with _told(f"route {route.destination} via {route.gateway} on {name}{where}"):
        pod.route(
            "add",
            dst=str(route.destination),
            gateway=str(route.gateway),
            oif=index,
            family=_family(route.destination.version),
            **extra,
        )


def _rule_arguments(rule: PolicyRule) -> dict[str, Any]:
    return {
        "src": str(rule.source),
        "src_len": rule.source.max_prefixlen,
        "table": rule.table,
        "family": _family(rule.source.version),
    }


def _add_rule(pod: Any, rule: PolicyRule) -> None:  # noqa: ANN401
    what = f"rule from {rule.source} lookup {rule.table}"
    with _told(what), _ignored(errno.EEXIST):
        pod.rule("add", **_rule_arguments(rule))


def _remove_rule(pod: Any, rule: PolicyRule) -> None:  # noqa: ANN401
    what = f"rule from {rule.source} lookup {rule.table} cannot be removed"
    with _told(what), _ignored(errno.ENOENT, errno.EAFNOSUPPORT):
        pod.rule("del", **_rule_arguments(rule))


def _family(version: int) -> int:
    return int(socket.AF_INET if version == 4 else socket.AF_INET6)  # noqa: PLR2004


@contextmanager
def _ignored(*numbers: int) -> Iterator[None]:
    try:
        yield
    except NetlinkError as error:
        if error.code not in numbers:
            raise


def _announce(name: str, mac: str | None, addresses: Sequence[Address]) -> None:
    if mac is None:
        return
    with _told(f"the neighbours cannot be told about {name}"):
        for address in addresses:
            match address:
                case IPv4Interface():
                    _send(name, ETH_P_ARP, arp_announcement(mac, address.ip))
                case IPv6Interface():
                    _send(name, ETH_P_IPV6, neighbour_advertisement(mac, address.ip))


def _send(name: str, protocol: int, frame: bytes) -> None:
    # Protocol 0 receives nothing: registering a receiver would cost the kernel 10 ms each time.
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as raw:
        raw.sendto(frame, (name, protocol))
