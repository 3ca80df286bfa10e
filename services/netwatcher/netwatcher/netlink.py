"""The node's network, through netlink.

pyroute2's asynchronous sockets do not work in uvloop, and its synchronous ones not in a thread that
runs an event loop: so all requests are made, in order, by one thread of their own.
"""

import asyncio
import errno
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar, assert_never

from pyroute2 import IPRoute, NetlinkError

from danm_api.errors import LinkSetupError
from danm_api.model.addresses import IPAddress
from danm_api.names import InterfaceName
from netwatcher.group_limit import HINT, LIMIT_FILE, raise_limit
from netwatcher.ipv4_wait import since_s
from netwatcher.kernel import LinkEvent
from netwatcher.links import (
    HALF_MADE_GROUP,
    VXLAN_PORT,
    ObservedAddress,
    ObservedLink,
    ObservedVlan,
    ObservedVxlan,
    OtherKind,
    alias_for,
)
from netwatcher.plan import (
    Action,
    CreateVlan,
    CreateVxlan,
    Delete,
    Mark,
    Rename,
    SetMtu,
    SetUp,
    SetVxlanSource,
)
from netwatcher.rtnetlink import RECEIVE_BUFFER_BYTES, open_event_socket, read_events

_IFF_UP: Final = 0x1
# RTEXT_FILTER_SKIP_STATS: counters are two thirds of a link's message, and nobody reads them here.
_SKIP_STATISTICS: Final = 0x8
_NO_GROUP: Final = 0
# The states in which a link that is up cannot carry frames (RFC 2863); VXLAN's is UNKNOWN.
_WITHOUT_CARRIER: Final = frozenset({"DOWN", "LOWERLAYERDOWN", "NOTPRESENT", "DORMANT"})
# linux/if_addr.h: temporary, duplicate, deprecated, tentative. The first means secondary in IPv4.
_IFA_F_DEPRECATED: Final = 0x20
_UNSTABLE_IPV6: Final = 0x01 | 0x08 | _IFA_F_DEPRECATED | 0x40
_SCOPE_GLOBAL: Final = 0

T = TypeVar("T")
_InOneWay = CreateVlan | CreateVxlan | Mark | SetMtu | SetVxlanSource | SetUp | Delete


class NetlinkKernel:
    """The Kernel of the netns that the executor's thread is in.

    Attributes:
        executor: Exactly one thread, which belongs to this object from now on.
        group_limit_file: Where the limit of multicast groups is raised when a tunnel meets it.
        receive_buffer_bytes: Room for events that nobody has read yet.
    """

    def __init__(
        self,
        executor: ThreadPoolExecutor,
        *,
        group_limit_file: Path = LIMIT_FILE,
        receive_buffer_bytes: int = RECEIVE_BUFFER_BYTES,
    ) -> None:
        self._executor = executor
        self._group_limit_file = group_limit_file
        self._receive_buffer_bytes = receive_buffer_bytes
        self._route: IPRoute | None = None
        self._events: socket.socket | None = None
        # Until the kernel refuses it: before Linux 6.2 a link has to be down for that.
        self._renames_while_up = True

    async def __aenter__(self) -> Self:
        self._route = await self._in_thread(_open_route)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._events is not None:
            asyncio.get_running_loop().remove_reader(self._events)
            self._events.close()
        if self._route is not None:
            await self._in_thread(self._route.close)
        self._executor.shutdown()

    async def link_by_name(self, name: InterfaceName) -> ObservedLink | None:
        """Return the link of a name."""
        return await self._get_link(ifname=name)

    async def link_by_index(self, index: int) -> ObservedLink | None:
        """Return the link of an index."""
        return await self._get_link(index=index)

    async def links(self) -> Sequence[ObservedLink]:
        """Return all links."""
        return [_decode_link(message) for message in await self._dump_links()]

    async def children(self, index: int) -> Sequence[InterfaceName]:
        """Return the links of the host that hang on a link; those in other netns stay hidden."""
        return [
            InterfaceName(message.get("ifname"))
            for message in await self._dump_links()
            # An index of another netns comes with that netns's id, and means another link.
            if message.get("link") == index and message.get("link_netnsid") is None
        ]

    async def addresses(self, index: int) -> Sequence[ObservedAddress]:
        """Return a link's addresses in the kernel's order."""

        def dump(route: IPRoute) -> list[Any]:
            return list(route.addr("dump", index=index))

        messages = await self._request("read the addresses", dump)
        now_s = time.monotonic()
        return [_decode_address(message, now_s) for message in messages]

    async def execute(self, action: Action) -> None:
        """Carry an action out. Deleting what is gone already succeeds."""

        def execute(route: IPRoute) -> None:
            try:
                if isinstance(action, Rename):
                    self._rename(route, action)
                else:
                    _execute(route, action)
            except (NetlinkError, OSError) as error:
                # The link is there, and not up yet: that can be asked for again.
                if _code(error) != errno.ENOBUFS or not raise_limit(self._group_limit_file):
                    raise
                _set_up(route, action)

        await self._request(_describe(action), execute)

    def _rename(self, route: IPRoute, action: Rename) -> None:
        if self._renames_while_up:
            try:
                route.link("set", index=action.index, ifname=action.name, state="up")
            except NetlinkError as error:
                if error.code != errno.EBUSY:
                    raise
                self._renames_while_up = False
            else:
                return
        route.link("set", index=action.index, state="down")
        route.link("set", index=action.index, ifname=action.name, state="up")

    async def subscribe(self, on_event: Callable[[LinkEvent], None]) -> None:
        """Call ``on_event`` for whatever happens from now on."""
        self._events = sock = await self._in_thread(
            lambda: open_event_socket(self._receive_buffer_bytes)
        )
        asyncio.get_running_loop().add_reader(sock, read_events, sock, on_event)

    async def _get_link(self, **which: str | int) -> ObservedLink | None:
        def get(route: IPRoute) -> ObservedLink | None:
            try:
                messages = list(route.link("get", ext_mask=_SKIP_STATISTICS, **which))
            except NetlinkError as error:
                if error.code == errno.ENODEV:
                    return None
                raise
            return _decode_link(messages[0])

        return await self._request(f"look up link {which}", get)

    async def _dump_links(self) -> list[Any]:
        def dump(route: IPRoute) -> list[Any]:
            return list(route.link("dump", ext_mask=_SKIP_STATISTICS))

        return await self._request("list the links", dump)

    async def _request(self, what: str, work: Callable[[IPRoute], T]) -> T:
        route = self._route
        if route is None:
            raise LinkSetupError("the netlink socket is not open")
        try:
            return await self._in_thread(lambda: work(route))
        except (NetlinkError, OSError) as error:
            why = HINT if _code(error) == errno.ENOBUFS else error.args[1]
            raise LinkSetupError(f"the kernel refused to {what}: {why}") from error

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)


def _code(error: NetlinkError | OSError) -> int | None:
    """Return the kernel's error number; pyroute2 raises some of them as OSError."""
    code: int | None = error.errno if isinstance(error, OSError) else error.code
    return code


def _open_route() -> IPRoute:
    # With strict checks the kernel filters dumps itself, and it explains what it refuses.
    return IPRoute(ext_ack=True, strict_check=True)


def _execute(route: IPRoute, action: _InOneWay) -> None:
    match action:
        case CreateVlan():
            route.link(
                "add",
                ifname=action.name,
                kind="vlan",
                link=action.parent_index,
                vlan_id=action.vid,
                group=HALF_MADE_GROUP,
            )
            _finish(route, action)
        case CreateVxlan():
            suffix = "6" if action.source.version == 6 else ""  # noqa: PLR2004
            route.link(
                "add",
                ifname=action.name,
                kind="vxlan",
                vxlan_link=action.parent_index,
                vxlan_id=action.vni,
                vxlan_port=VXLAN_PORT,
                vxlan_learning=True,
                group=HALF_MADE_GROUP,
                **{
                    f"vxlan_local{suffix}": str(action.source),
                    f"vxlan_group{suffix}": str(action.group),
                },
            )
            _finish(route, action)
        case Mark(index=index, name=name):
            route.link("set", index=index, ifalias=alias_for(name), group=_NO_GROUP)
        case SetMtu(index=index, mtu=mtu):
            route.link("set", index=index, mtu=mtu)
        case SetVxlanSource(index=index, source=source):
            key = "vxlan_local" if source.version == 4 else "vxlan_local6"  # noqa: PLR2004
            route.link("set", index=index, kind="vxlan", **{key: str(source)})
        case SetUp():
            _set_up(route, action)
        case Delete(index=index):
            _delete(route, index)
        case _:
            assert_never(action)


def _finish(route: IPRoute, action: CreateVlan | CreateVxlan) -> None:
    # Marked before it is set up, which the kernel may refuse, though both are one request.
    name = action.name
    route.link("set", ifname=name, ifalias=alias_for(name), group=_NO_GROUP, state="up")


def _set_up(route: IPRoute, action: Action) -> None:
    match action:
        case CreateVlan(name=name) | CreateVxlan(name=name):
            route.link("set", ifname=name, state="up")
        case SetUp(index=index) | Rename(index=index):
            route.link("set", index=index, state="up")
        case Mark() | SetMtu() | SetVxlanSource() | Delete():
            return
        case _:
            assert_never(action)


def _delete(route: IPRoute, index: int) -> None:
    try:
        route.link("del", index=index)
    except NetlinkError as error:
        if error.code != errno.ENODEV:
            raise


def _describe(action: Action) -> str:
    match action:
        case CreateVlan(name=name, vid=vid):
            return f"create link {name} for VLAN {vid}"
        case CreateVxlan(name=name, vni=vni, source=source):
            return f"create link {name} for VXLAN {vni} from {source}"
        case Mark(name=name):
            return f"mark link {name}"
        case Rename(index=index, name=name):
            return f"give link number {index} its name {name} back"
        case SetMtu(index=index, mtu=mtu):
            return f"set the MTU of link number {index} to {mtu}"
        case SetVxlanSource(index=index, source=source):
            return f"let the tunnel of link number {index} start at {source}"
        case SetUp(index=index):
            return f"set link number {index} up"
        case Delete(index=index):
            return f"delete link number {index}"
        case _:
            assert_never(action)


# pyroute2's messages carry no types: ``Any`` ends in these functions.


def _decode_link(message: Any) -> ObservedLink:  # noqa: ANN401
    return ObservedLink(
        index=message["index"],
        name=InterfaceName(message.get("ifname")),
        alias=message.get("ifalias") or "",
        group=message.get("group") or _NO_GROUP,
        up=bool(message["flags"] & _IFF_UP),
        carrier=message.get("operstate") not in _WITHOUT_CARRIER,
        mtu=message.get("mtu"),
        kind=_decode_kind(message),
        altnames=frozenset(
            InterfaceName(name)
            for kind, name in (message.get("prop_list") or {"attrs": ()})["attrs"]
            if kind == "IFLA_ALT_IFNAME"
        ),
    )


def _decode_kind(message: Any) -> ObservedVlan | ObservedVxlan | OtherKind:  # noqa: ANN401
    kind = message.get(("linkinfo", "kind")) or ""
    data = message.get(("linkinfo", "data"))
    if kind == "vlan":
        return ObservedVlan(parent_index=message.get("link"), vid=data.get("vlan_id"))
    if kind == "vxlan":
        return ObservedVxlan(
            parent_index=data.get("vxlan_link"),
            vni=data.get("vxlan_id"),
            port=data.get("vxlan_port"),
            source=_decode_ip(data.get("vxlan_local") or data.get("vxlan_local6")),
            group=_decode_ip(data.get("vxlan_group") or data.get("vxlan_group6")),
            learning=bool(data.get("vxlan_learning")),
        )
    return OtherKind(name=kind)


def _decode_ip(text: str | None) -> IPAddress | None:
    return None if text is None else ip_address(text)


def _decode_address(message: Any, now_s: float) -> ObservedAddress:  # noqa: ANN401
    # IFA_LOCAL is the link's own address where the two differ (point-to-point links).
    address = ip_address(message.get("local") or message.get("address"))
    unstable = _IFA_F_DEPRECATED if address.version == 4 else _UNSTABLE_IPV6  # noqa: PLR2004
    flags = message.get("flags") or message["flags"]
    return ObservedAddress(
        address=address,
        is_global=message["scope"] == _SCOPE_GLOBAL,
        is_stable=not flags & unstable,
        since_s=since_s(message.get("cacheinfo")["cstamp"], now_s),
    )
