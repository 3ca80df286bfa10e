"""The kernel's link and address events, read with as little work as they need.

A node makes and removes interfaces for every Pod, and nearly none of that concerns DANM: so only
the fields that tell whether it does are decoded here (linux/rtnetlink.h, linux/if_link.h).
"""

import errno
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from danm_api.names import InterfaceName
from danm_api.netlink_wire import each_attribute, read_text
from netwatcher.kernel import AddressesChanged, EventsLost, LinkChanged, LinkEvent, LinkGone

_RTM_NEWLINK: Final = 16
_RTM_DELLINK: Final = 17
_RTM_NEWADDR: Final = 20
_RTM_DELADDR: Final = 21

_RTMGRP_LINK: Final = 0x1
_RTMGRP_IPV4_IFADDR: Final = 0x10
_RTMGRP_IPV6_IFADDR: Final = 0x100

_HEADER: Final = struct.Struct("=IHHII")
# family, padding, type, index, flags, change mask
_IFINFO: Final = struct.Struct("=BxHiII")
# family, prefix length, flags, scope, index
_IFADDR: Final = struct.Struct("=BBBBI")
_ATTRIBUTE: Final = struct.Struct("=HH")
_U32: Final = struct.Struct("=I")
_IFF_UP: Final = 0x1
_IFLA_IFNAME: Final = 3
_IFLA_MTU: Final = 4
_IFLA_IFALIAS: Final = 20
_IFLA_PROP_LIST: Final = 52
_IFLA_ALT_IFNAME: Final = 53
# IFLA_LINK, IFLA_OPERSTATE, IFLA_LINKINFO and IFLA_GROUP. No counters are among them.
_FINGERPRINT: Final = frozenset({5, 16, 18, 27})

# Room for the events of some thousand links between two turns of the event loop.
RECEIVE_BUFFER_BYTES: Final = 4 * 1024 * 1024
# linux/socket.h; Python has no name for it. It may exceed the system's limit, as root.
_SO_RCVBUFFORCE: Final = 33
# A datagram holds one event, or a few; a link's is about 2 kB.
_DATAGRAM_BYTES: Final = 64 * 1024
# Events read in one turn, so that a storm does not starve everything else.
_DATAGRAMS_PER_TURN: Final = 64


def open_event_socket(receive_buffer_bytes: int = RECEIVE_BUFFER_BYTES) -> socket.socket:
    """Return a socket that hears of links and addresses in the calling thread's netns."""
    sock = socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
    )
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, receive_buffer_bytes)
        sock.bind((0, _RTMGRP_LINK | _RTMGRP_IPV4_IFADDR | _RTMGRP_IPV6_IFADDR))
    except OSError:
        sock.close()
        raise
    return sock


class EventSocket(Protocol):
    """The part of a socket that events are read from."""

    def recvfrom(self, size: int, /) -> tuple[bytes, tuple[int, int]]:
        """Return a datagram, and the sender's port and the groups."""
        ...


def read_events(sock: EventSocket, on_event: Callable[[LinkEvent], None]) -> None:
    """Hand over the events that wait in a socket, a bounded number of them."""
    for _ in range(_DATAGRAMS_PER_TURN):
        try:
            data, (sender, _groups) = sock.recvfrom(_DATAGRAM_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            on_event(EventsLost())
            continue
        # Only the kernel speaks for the kernel.
        if sender == 0:
            for event in decode_events(data):
                on_event(event)


def decode_events(data: bytes) -> Iterator[LinkEvent]:
    """Yield the events of one datagram; messages of other kinds are skipped."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, _flags, _sequence, _port = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size:
            return
        body = data[offset + _HEADER.size : offset + length]
        if kind in (_RTM_NEWLINK, _RTM_DELLINK) and len(body) >= _IFINFO.size:
            # Other families speak of a bridge's ports and the like, not of the link itself.
            if body[0] == socket.AF_UNSPEC:
                yield _decode_link(body, gone=kind == _RTM_DELLINK)
        elif kind in (_RTM_NEWADDR, _RTM_DELADDR) and len(body) >= _IFADDR.size:
            yield AddressesChanged(index=_IFADDR.unpack_from(body)[4])
        offset += _aligned(length)


def _decode_link(body: bytes, *, gone: bool) -> LinkChanged | LinkGone:
    _family, _type, index, flags, _changed = _IFINFO.unpack_from(body)
    name = alias = ""
    mtu = 0
    fingerprint = b""
    altnames: frozenset[InterfaceName] = frozenset()
    for kind, value in each_attribute(body, _IFINFO.size):
        if kind == _IFLA_IFNAME:
            name = read_text(value)
        elif kind == _IFLA_IFALIAS:
            alias = read_text(value)
        elif kind == _IFLA_MTU and len(value) == _U32.size:
            (mtu,) = _U32.unpack(value)
        elif kind in _FINGERPRINT:
            fingerprint += _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value
        elif kind == _IFLA_PROP_LIST:
            altnames = frozenset(
                InterfaceName(read_text(name))
                for kind_of_name, name in each_attribute(value)
                if kind_of_name == _IFLA_ALT_IFNAME
            )
    if gone:
        return LinkGone(index=index, name=InterfaceName(name))
    return LinkChanged(
        index=index,
        name=InterfaceName(name),
        alias=alias,
        up=bool(flags & _IFF_UP),
        mtu=mtu,
        fingerprint=fingerprint,
        altnames=altnames,
    )


def _aligned(length: int) -> int:
    return (length + 3) & ~3
