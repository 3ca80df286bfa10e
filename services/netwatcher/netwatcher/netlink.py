"""The node's network, through netlink.

Sockets to the kernel block while it works, so all requests are made, in order, by one thread of
their own.
"""

import asyncio
import errno
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, assert_never

from danm_api.errors import LinkSetupError
from danm_api.names import InterfaceName
from danm_api.netlink_socket import KernelRefusedError, NetlinkSocket
from danm_api.netlink_wire import Data, Flag
from netwatcher.group_limit import HINT, LIMIT_FILE, raise_limit
from netwatcher.kernel import LinkEvent
from netwatcher.link_messages import (
    DELETE_LINK,
    GET_ADDRESSES,
    GET_LINK,
    NEW_LINK,
    NO_GROUP,
    Attribute,
    addresses_body,
    link_body,
    query_body,
    read_address,
    read_child,
    read_link,
)
from netwatcher.links import (
    HALF_MADE_GROUP,
    VXLAN_PORT,
    ObservedAddress,
    ObservedLink,
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

T = TypeVar("T")


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
        self._route: NetlinkSocket | None = None
        self._events: socket.socket | None = None

    async def __aenter__(self) -> Self:
        # With strict checks the kernel filters dumps itself.
        self._route = await self._in_thread(lambda: NetlinkSocket(strict=True))
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
        return await self._get_link(name, ("IFLA_IFNAME", name))

    async def link_by_index(self, index: int) -> ObservedLink | None:
        """Return the link of an index."""
        return await self._get_link(f"number {index}", index=index)

    async def links(self) -> Sequence[ObservedLink]:
        """Return all links."""
        return [read_link(answer) for answer in await self._dump_links()]

    async def children(self, index: int) -> Sequence[InterfaceName]:
        """Return the links of the host that hang on a link; those in other netns stay hidden."""
        children = map(read_child, await self._dump_links())
        return [name for name, parent in children if parent == index]

    async def addresses(self, index: int) -> Sequence[ObservedAddress]:
        """Return a link's addresses in the kernel's order."""
        body = addresses_body(index)
        answers = await self._request(
            "read the addresses", lambda route: route.dump(GET_ADDRESSES, body)
        )
        now_s = time.monotonic()
        return [read_address(answer, now_s=now_s) for answer in answers]

    async def execute(self, action: Action) -> None:
        """Carry an action out. Deleting what is gone already succeeds."""

        def execute(route: NetlinkSocket) -> None:
            try:
                _execute(route, action)
            except (KernelRefusedError, OSError) as error:
                # The link is there, and not up yet: that can be asked for again.
                if _number(error) != errno.ENOBUFS or not raise_limit(self._group_limit_file):
                    raise
                _set_up(route, action)

        await self._request(_describe(action), execute)

    async def subscribe(self, on_event: Callable[[LinkEvent], None]) -> None:
        """Call ``on_event`` for whatever happens from now on."""
        self._events = sock = await self._in_thread(
            lambda: open_event_socket(self._receive_buffer_bytes)
        )
        asyncio.get_running_loop().add_reader(sock, read_events, sock, on_event)

    async def _get_link(
        self, which: str, *attributes: Attribute, index: int = 0
    ) -> ObservedLink | None:
        def get(route: NetlinkSocket) -> ObservedLink | None:
            try:
                (answer,) = route.ask(GET_LINK, Flag.ACK, query_body(*attributes, index=index))
            except KernelRefusedError as error:
                if error.number == errno.ENODEV:
                    return None
                raise
            return read_link(answer)

        return await self._request(f"look up link {which}", get)

    async def _dump_links(self) -> Sequence[Data]:
        return await self._request(
            "list the links", lambda route: route.dump(GET_LINK, query_body())
        )

    async def _request(self, what: str, work: Callable[[NetlinkSocket], T]) -> T:
        route = self._route
        if route is None:
            raise LinkSetupError("the netlink socket is not open")
        try:
            return await self._in_thread(lambda: work(route))
        except (KernelRefusedError, OSError) as error:
            why = HINT if _number(error) == errno.ENOBUFS else error
            raise LinkSetupError(f"the kernel refused to {what}: {why}") from error

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)


def _number(error: KernelRefusedError | OSError) -> int | None:
    """Return the kernel's error number; the socket itself may fail, too."""
    return error.errno if isinstance(error, OSError) else error.number


def _execute(route: NetlinkSocket, action: Action) -> None:
    match action:
        case CreateVlan():
            body = link_body(
                ("IFLA_IFNAME", action.name),
                ("IFLA_LINK", action.parent_index),
                ("IFLA_GROUP", HALF_MADE_GROUP),
                kind="vlan",
                data={"id": action.vid},
            )
            route.add(NEW_LINK, body)
            _finish(route, action)
        case CreateVxlan():
            suffix = "6" if action.source.version == 6 else ""  # noqa: PLR2004
            body = link_body(
                ("IFLA_IFNAME", action.name),
                ("IFLA_GROUP", HALF_MADE_GROUP),
                kind="vxlan",
                data={
                    "link": action.parent_index,
                    "id": action.vni,
                    "port": VXLAN_PORT,
                    "learning": 1,
                    f"local{suffix}": str(action.source),
                    f"group{suffix}": str(action.group),
                },
            )
            route.add(NEW_LINK, body)
            _finish(route, action)
        case Mark(index=index, name=name):
            marks = (("IFLA_IFALIAS", alias_for(name)), ("IFLA_GROUP", NO_GROUP))
            route.change(NEW_LINK, link_body(*marks, index=index))
        case Rename():
            _rename(route, action)
        case SetMtu(index=index, mtu=mtu):
            route.change(NEW_LINK, link_body(("IFLA_MTU", mtu), index=index))
        case SetVxlanSource(index=index, source=source):
            key = "local" if source.version == 4 else "local6"  # noqa: PLR2004
            route.change(NEW_LINK, link_body(index=index, kind="vxlan", data={key: str(source)}))
        case SetUp():
            _set_up(route, action)
        case Delete(index=index):
            _delete(route, index)
        case _:
            assert_never(action)


def _finish(route: NetlinkSocket, action: CreateVlan | CreateVxlan) -> None:
    # Marked before it is set up, which the kernel may refuse, though both are one request.
    body = link_body(
        ("IFLA_IFNAME", action.name),
        ("IFLA_IFALIAS", alias_for(action.name)),
        ("IFLA_GROUP", NO_GROUP),
        up=True,
    )
    route.change(NEW_LINK, body)


def _rename(route: NetlinkSocket, action: Rename) -> None:
    named = link_body(("IFLA_IFNAME", action.name), index=action.index, up=True)
    try:
        route.change(NEW_LINK, named)
    except KernelRefusedError as error:
        # Before Linux 6.2 a link has to be down for that.
        if error.number != errno.EBUSY:
            raise
        route.change(NEW_LINK, link_body(index=action.index, up=False))
        route.change(NEW_LINK, named)


def _set_up(route: NetlinkSocket, action: Action) -> None:
    match action:
        case CreateVlan(name=name) | CreateVxlan(name=name):
            route.change(NEW_LINK, link_body(("IFLA_IFNAME", name), up=True))
        case SetUp(index=index) | Rename(index=index):
            route.change(NEW_LINK, link_body(index=index, up=True))
        case Mark() | SetMtu() | SetVxlanSource() | Delete():
            return
        case _:
            assert_never(action)


def _delete(route: NetlinkSocket, index: int) -> None:
    try:
        route.change(DELETE_LINK, link_body(index=index))
    except KernelRefusedError as error:
        if error.number != errno.ENODEV:
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
