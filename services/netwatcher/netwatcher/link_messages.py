"""Messages about links and addresses, read and written by pyroute2, which knows all of them.

Its messages alone: its sockets run an event loop for each request (docs/decisions/0035).

Source: RFC 3549 section 3; include/uapi/linux/rtnetlink.h, if_link.h, if_addr.h.
"""

from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from types import MappingProxyType
from typing import Any, Final

from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from danm_api.model.addresses import IPAddress
from danm_api.names import InterfaceName
from danm_api.netlink_wire import Data, Flag, message
from netwatcher.ipv4_wait import since_s
from netwatcher.links import (
    ObservedAddress,
    ObservedLink,
    ObservedVlan,
    ObservedVxlan,
    OtherKind,
)

NEW_LINK: Final = 16
DELETE_LINK: Final = 17
GET_LINK: Final = 18
GET_ADDRESSES: Final = 22

NO_GROUP: Final = 0
_IFF_UP: Final = 0x1
# RTEXT_FILTER_SKIP_STATS: counters are two thirds of a link's message, and nobody reads them here.
_SKIP_STATISTICS: Final = 0x8
# The states in which a link that is up cannot carry frames (RFC 2863); VXLAN's is UNKNOWN.
_WITHOUT_CARRIER: Final = frozenset({"DOWN", "LOWERLAYERDOWN", "NOTPRESENT", "DORMANT"})
# linux/if_addr.h: temporary, duplicate, deprecated, tentative. The first means secondary in IPv4.
_IFA_F_DEPRECATED: Final = 0x20
_UNSTABLE_IPV6: Final = 0x01 | 0x08 | _IFA_F_DEPRECATED | 0x40
_SCOPE_GLOBAL: Final = 0
# A message's header (linux/netlink.h), which the socket writes.
_HEADER_BYTES: Final = 16

Attribute = tuple[str, object]


def link_body(
    *attributes: Attribute,
    index: int = 0,
    up: bool | None = None,
    kind: str = "",
    data: Mapping[str, object] = MappingProxyType({}),
) -> bytes:
    """Return a message about one link, without its header.

    Args:
        attributes: Names as in linux/if_link.h, and what pyroute2 writes into them.
        index: Of the link; 0 where its name is among the attributes.
        up: What it is to be; None for what it is.
        kind: The kernel's word for what it is; empty where that does not matter.
        data: Attributes of the kind, by what follows IFLA_KIND_ in their names, in small letters.
    """
    state = 0 if up is None else _IFF_UP
    if kind:
        of_kind = [(f"IFLA_{kind}_{name}".upper(), value) for name, value in data.items()]
        info = [("IFLA_INFO_KIND", kind), ("IFLA_INFO_DATA", {"attrs": of_kind})]
        attributes = (*attributes, ("IFLA_LINKINFO", {"attrs": info}))
    return _body(ifinfmsg(), attributes, index=index, flags=state if up else 0, change=state)


def query_body(*attributes: Attribute, index: int = 0) -> bytes:
    """Return a question about links; all, where it has neither an index nor a name."""
    return link_body(("IFLA_EXT_MASK", _SKIP_STATISTICS), *attributes, index=index)


def addresses_body(index: int) -> bytes:
    """Return a question about the addresses of one link."""
    return _body(ifaddrmsg(), (), index=index)


# pyroute2's messages carry no types: ``Any`` ends in these functions.


def _body(written: Any, attributes: Iterable[Attribute], **fields: int) -> bytes:  # noqa: ANN401
    for name, value in fields.items():
        written[name] = value
    written["attrs"] = list(attributes)
    written.encode()
    return bytes(written.data[_HEADER_BYTES:])


def _decoded(kind: Any, answer: Data) -> Any:  # noqa: ANN401
    read = kind(message(answer.type, Flag(0), number=0, body=answer.body))
    read.decode()
    return read


def read_child(answer: Data) -> tuple[InterfaceName, int | None]:
    """Return a link's name, and the index of the link of the same netns that it hangs on."""
    read = _decoded(ifinfmsg, answer)
    # An index of another netns comes with that netns's id, and means another link.
    parent = read.get("link") if read.get("link_netnsid") is None else None
    return InterfaceName(read.get("ifname")), parent


def read_link(answer: Data) -> ObservedLink:
    """Return a link."""
    read = _decoded(ifinfmsg, answer)
    return ObservedLink(
        index=read["index"],
        name=InterfaceName(read.get("ifname")),
        alias=read.get("ifalias") or "",
        group=read.get("group") or NO_GROUP,
        up=bool(read["flags"] & _IFF_UP),
        carrier=read.get("operstate") not in _WITHOUT_CARRIER,
        mtu=read.get("mtu"),
        kind=_kind(read),
        altnames=frozenset(
            InterfaceName(name)
            for kind, name in (read.get("prop_list") or {"attrs": ()})["attrs"]
            if kind == "IFLA_ALT_IFNAME"
        ),
    )


def _kind(read: Any) -> ObservedVlan | ObservedVxlan | OtherKind:  # noqa: ANN401
    kind = read.get(("linkinfo", "kind")) or ""
    data = read.get(("linkinfo", "data"))
    if kind == "vlan":
        return ObservedVlan(parent_index=read.get("link"), vid=data.get("vlan_id"))
    if kind == "vxlan":
        return ObservedVxlan(
            parent_index=data.get("vxlan_link"),
            vni=data.get("vxlan_id"),
            port=data.get("vxlan_port"),
            source=_ip(data.get("vxlan_local") or data.get("vxlan_local6")),
            group=_ip(data.get("vxlan_group") or data.get("vxlan_group6")),
            learning=bool(data.get("vxlan_learning")),
        )
    return OtherKind(name=kind)


def _ip(text: str | None) -> IPAddress | None:
    return None if text is None else ip_address(text)


def read_address(answer: Data, *, now_s: float) -> ObservedAddress:
    """Return an address of a link.

    Args:
        answer: The kernel's.
        now_s: Of the monotonic clock.
    """
    read = _decoded(ifaddrmsg, answer)
    # IFA_LOCAL is the link's own address where the two differ (point-to-point links).
    address = ip_address(read.get("local") or read.get("address"))
    unstable = _IFA_F_DEPRECATED if address.version == 4 else _UNSTABLE_IPV6  # noqa: PLR2004
    flags = read.get("flags") or read["flags"]
    return ObservedAddress(
        address=address,
        is_global=read["scope"] == _SCOPE_GLOBAL,
        is_stable=not flags & unstable,
        since_s=since_s(read.get("cacheinfo")["cstamp"], now_s),
    )
