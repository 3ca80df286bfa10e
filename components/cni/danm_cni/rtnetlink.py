"""The kernel's links, addresses, routes and rules, of the namespace in which a socket was opened.

Blocking: for threads. Nothing is decided here.

Source: RFC 3549 section 3; include/uapi/linux/rtnetlink.h, if_link.h, if_addr.h, fib_rules.h.
"""

import errno
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from danm_api.model.addresses import IPAddress, IPNetwork
from danm_api.netlink_socket import KernelRefusedError, NetlinkSocket
from danm_api.netlink_wire import (
    Flag,
    attribute,
    read_attributes,
    read_text,
    read_u32,
    text_attribute,
    u32_attribute,
)
from danm_cni.interface_setup import PolicyRule

_NEW_LINK, _DELETE_LINK, _GET_LINK = 16, 17, 18
_NEW_ADDRESS, _DELETE_ADDRESS, _GET_ADDRESSES = 20, 21, 22
_NEW_ROUTE, _GET_ROUTES = 24, 26
_NEW_RULE, _DELETE_RULE, _GET_RULES = 32, 33, 34

# Family, type, index, flags and the flags that change; then attributes.
_LINK: Final = struct.Struct("=BxHiII")
_LINK_MAC, _LINK_NAME, _LINK_MTU, _LINK_PARENT, _LINK_INFO, _LINK_NETNS = 1, 3, 4, 5, 18, 28
_LINK_GROUP, _LINK_EXTENT = 27, 29
_INFO_KIND, _INFO_DATA = 1, 2
_UP: Final = 1
# A group of links that nobody else has: "danm" as a number.
_TO_DELETE: Final = 0x64616E6D
# Without counters an answer is short (RTEXT_FILTER_SKIP_STATS).
_SKIP_COUNTERS: Final = 1 << 3

# Family, prefix length, flags, scope, index.
_ADDRESS: Final = struct.Struct("=BBBBI")
_ADDRESS_PEER, _ADDRESS_LOCAL = 1, 2
# No duplicate address detection (SPEC D4).
_NO_DETECTION: Final = 0x02

# Family, lengths of destination and source, TOS, table, protocol, scope, type, flags.
_ROUTE: Final = struct.Struct("=BBBBBBBBI")
_ROUTE_DESTINATION, _ROUTE_LINK, _ROUTE_GATEWAY, _ROUTE_METRIC, _ROUTE_TABLE = 1, 4, 5, 6, 15
_STATIC, _UNICAST = 4, 1
MAIN_TABLE: Final = 254

# A rule's header has the form of a route's; its type is an action.
_RULE_SOURCE, _RULE_PRIORITY, _RULE_TABLE = 2, 6, 15
_TO_TABLE: Final = 1
# Before the main table's; rules of earlier releases have it, too.
_RULE_BEFORE_MAIN: Final = 32000


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link as the kernel shows it.

    Attributes:
        name: Its own one; it may have alternative names, too.
    """

    index: int
    name: str
    mac: str | None
    mtu: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkAddress:
    """An address of a link.

    Attributes:
        peer: The other end's on a point-to-point link, else the same.
    """

    link: int
    address: IPAddress
    peer: IPAddress
    prefix_length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayRoute:
    """A route through a gateway and a link.

    Attributes:
        metric: None for the kernel's default.
    """

    destination: IPNetwork
    gateway: IPAddress
    link: int
    table: int = MAIN_TABLE
    metric: int | None = None


class RouteSocket(NetlinkSocket):
    """One conversation with the kernel; every method raises KernelRefusedError."""

    def link(self, name: str) -> Link | None:
        """Return the link of a name, its own or an alternative one."""
        body = _LINK.pack(0, 0, 0, 0, 0) + text_attribute(_LINK_NAME, name)
        body += u32_attribute(_LINK_EXTENT, _SKIP_COUNTERS)
        try:
            (found,) = self.ask(_GET_LINK, Flag.ACK, body)
        except KernelRefusedError as error:
            if error.number == errno.ENODEV:
                return None
            raise
        _, _, index, _, _ = _LINK.unpack_from(found.body)
        attributes = read_attributes(found.body[_LINK.size :])
        mac, mtu = attributes.get(_LINK_MAC), attributes.get(_LINK_MTU)
        return Link(
            index=index,
            name=read_text(attributes[_LINK_NAME]),
            mac=mac.hex(":") if mac else None,
            mtu=read_u32(mtu) if mtu else None,
        )

    def add_child(
        self,
        kind: str,
        name: str,
        *,
        parent: int,
        netns: int,
        options: bytes,
        mtu: int | None,
        mac: str | None,
    ) -> None:
        """Create a link on a parent of this namespace, in another namespace.

        Args:
            kind: The kernel's word for it.
            name: In the other namespace.
            parent: Its index.
            netns: A descriptor of the other namespace.
            options: Attributes of the kind's own.
            mtu: None for the parent's.
            mac: None for the kernel's choice.
        """
        info = text_attribute(_INFO_KIND, kind) + attribute(_INFO_DATA, options)
        body = _LINK.pack(0, 0, 0, 0, 0) + text_attribute(_LINK_NAME, name)
        body += u32_attribute(_LINK_PARENT, parent) + u32_attribute(_LINK_NETNS, netns)
        body += attribute(_LINK_INFO, info)
        if mtu is not None:
            body += u32_attribute(_LINK_MTU, mtu)
        if mac is not None:
            body += attribute(_LINK_MAC, bytes.fromhex(mac.replace(":", "")))
        self.add(_NEW_LINK, body)

    def rename(self, index: int, name: str) -> None:
        """Give a link another name."""
        self.change(_NEW_LINK, _LINK.pack(0, 0, index, 0, 0) + text_attribute(_LINK_NAME, name))

    def set_up(self, index: int, *, mtu: int | None = None) -> None:
        """Set a link up, with another MTU in bytes where there is one."""
        size = b"" if mtu is None else u32_attribute(_LINK_MTU, mtu)
        self.change(_NEW_LINK, _LINK.pack(0, 0, index, _UP, _UP) + size)

    def delete_link(self, index: int) -> None:
        """Remove a link."""
        self.change(_DELETE_LINK, _LINK.pack(0, 0, index, 0, 0))

    def delete_links(self, indices: Sequence[int]) -> None:
        """Remove links all at once, or none."""
        group = u32_attribute(_LINK_GROUP, _TO_DELETE)
        for index in indices:
            self.change(_NEW_LINK, _LINK.pack(0, 0, index, 0, 0) + group)
        self.change(_DELETE_LINK, _LINK.pack(0, 0, 0, 0, 0) + group)

    def add_address(self, index: int, address: IPAddress, prefix_length: int) -> None:
        """Give a link an address, which is usable at once."""
        flags = _NO_DETECTION if address.version == 6 else 0  # noqa: PLR2004
        self.add(
            _NEW_ADDRESS,
            _ADDRESS.pack(_family(address), prefix_length, flags, 0, index)
            + attribute(_ADDRESS_PEER, address.packed)
            + attribute(_ADDRESS_LOCAL, address.packed),
        )

    def addresses(self) -> Iterator[LinkAddress]:
        """Yield the addresses of all links."""
        for each in self.dump(_GET_ADDRESSES, _ADDRESS.pack(0, 0, 0, 0, 0)):
            _, length, _, _, index = _ADDRESS.unpack_from(each.body)
            attributes = read_attributes(each.body[_ADDRESS.size :])
            peer = attributes.get(_ADDRESS_PEER) or attributes[_ADDRESS_LOCAL]
            yield LinkAddress(
                link=index,
                address=ip_address(attributes.get(_ADDRESS_LOCAL) or peer),
                peer=ip_address(peer),
                prefix_length=length,
            )

    def delete_address(self, held: LinkAddress) -> None:
        """Take an address off its link."""
        self.change(
            _DELETE_ADDRESS,
            _ADDRESS.pack(_family(held.address), held.prefix_length, 0, 0, held.link)
            + attribute(_ADDRESS_PEER, held.peer.packed)
            + attribute(_ADDRESS_LOCAL, held.address.packed),
        )

    def add_route(self, route: GatewayRoute) -> None:
        """Add a route."""
        destination = route.destination
        body = _route(_family(route.gateway), destination.prefixlen, 0, _UNICAST)
        body += attribute(_ROUTE_DESTINATION, destination.network_address.packed)
        body += attribute(_ROUTE_GATEWAY, route.gateway.packed)
        body += u32_attribute(_ROUTE_LINK, route.link) + u32_attribute(_ROUTE_TABLE, route.table)
        if route.metric is not None:
            body += u32_attribute(_ROUTE_METRIC, route.metric)
        self.add(_NEW_ROUTE, body)

    def gateway_routes(self) -> Iterator[tuple[int, str, str, int]]:
        """Yield link, destination, gateway and table of every route through a gateway."""
        for each in self.dump(_GET_ROUTES, _route(0, 0, 0, 0)):
            family, length, *_ = _ROUTE.unpack_from(each.body)
            found = read_attributes(each.body[_ROUTE.size :])
            if not {_ROUTE_GATEWAY, _ROUTE_LINK, _ROUTE_TABLE} <= found.keys():
                continue
            anywhere = bytes(4 if family == socket.AF_INET else 16)
            destination = ip_address(found.get(_ROUTE_DESTINATION) or anywhere)
            yield (
                read_u32(found[_ROUTE_LINK]),
                f"{destination}/{length}",
                str(ip_address(found[_ROUTE_GATEWAY])),
                read_u32(found[_ROUTE_TABLE]),
            )

    def add_rule(self, rule: PolicyRule) -> None:
        """Add a rule."""
        self.add(_NEW_RULE, _rule(rule))

    def delete_rule(self, rule: PolicyRule) -> None:
        """Remove a rule."""
        self.change(_DELETE_RULE, _rule(rule))

    def source_rules(self) -> Iterator[PolicyRule]:
        """Yield the rules of both families that are for the packets of one address."""
        for family, length in ((socket.AF_INET, 32), (socket.AF_INET6, 128)):
            try:
                found = self.dump(_GET_RULES, _route(family, 0, 0, 0))
            except KernelRefusedError as error:
                # The kernel has no IPv6, or no rules.
                if error.number in (errno.EAFNOSUPPORT, errno.EOPNOTSUPP):
                    continue
                raise
            for each in found:
                attributes = read_attributes(each.body[_ROUTE.size :])
                if each.body[2] == length and {_RULE_SOURCE, _RULE_TABLE} <= attributes.keys():
                    yield PolicyRule(
                        source=ip_address(attributes[_RULE_SOURCE]),
                        table=read_u32(attributes[_RULE_TABLE]),
                    )


def _family(address: IPAddress) -> int:
    return int(socket.AF_INET if address.version == 4 else socket.AF_INET6)  # noqa: PLR2004


def _route(family: int, destination_length: int, source_length: int, kind: int) -> bytes:
    return _ROUTE.pack(family, destination_length, source_length, 0, 0, _STATIC, 0, kind, 0)


def _rule(rule: PolicyRule) -> bytes:
    header = _ROUTE.pack(
        _family(rule.source), 0, rule.source.max_prefixlen, 0, 0, 0, 0, _TO_TABLE, 0
    )
    return (
        header
        + attribute(_RULE_SOURCE, rule.source.packed)
        + u32_attribute(_RULE_PRIORITY, _RULE_BEFORE_MAIN)
        + u32_attribute(_RULE_TABLE, rule.table)
    )
