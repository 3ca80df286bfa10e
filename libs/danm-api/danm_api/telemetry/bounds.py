"""What a listener holds: how many connections, for how long, and how much of each."""

import asyncio
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

# How much of one connection waits to be read, in each place: the kernel, TLS, HTTP. By default that
# is 800 KB of memory, which a peer without a token can fill on every connection (decision 0011).
_KERNEL_BYTES: Final = 4 * 1024
_TLS_BYTES: Final = 4 * 1024
HTTP_BYTES: Final = 2 * 1024
# How much of an answer waits for the peer to read: in the kernel, and beyond that before the peer
# counts as one that does not read. By default these are 87 KB and more, and 512 KB with TLS.
_KERNEL_ANSWER_BYTES: Final = 32 * 1024
_UNREAD_BYTES: Final = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a peer may take; callers in the same cluster take milliseconds.

    Attributes:
        handshake_s: For TLS.
        head_s: From a request's first byte, or the connection's begin, to a whole head.
        idle_s: Between requests; danmd asks every 10 s.
        write_s: While it does not read what was answered.
    """

    handshake_s: float = 10.0
    head_s: float = 10.0
    idle_s: float = 75.0
    write_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a listener holds.

    Attributes:
        connections: More are refused; with TLS each takes 32 KB, and 71 KB when its peer
            sends all that it can.
        address_connections: Of one address.
        takes_newcomers: Instead of a new connection, the oldest one of that address ends which has
            most: where anybody may connect, nobody keeps others out by holding connections.
        unread: Whose peers have yet to read an answer of more than 48 KB. Beyond that, the one that
            was waited for longest ends: who reads does so in milliseconds.
        patience: With peers that are slow.
    """

    connections: int
    address_connections: int
    takes_newcomers: bool = False
    unread: int = 64
    patience: Patience = field(default_factory=Patience)


def bound_sockets(listening: Iterable[socket.socket]) -> None:
    """Bound what the kernel keeps: connections have it from the socket that takes them."""
    for each in listening:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _KERNEL_BYTES)
        each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_ANSWER_BYTES)


def bound_transport(transport: asyncio.Transport) -> None:
    """Bound what a transport keeps for a peer that sends too much, or reads too little."""
    transport.set_write_buffer_limits(high=_UNREAD_BYTES)
    # With TLS there is a buffer below the protocol's own; these transports can bound it.
    bound = getattr(transport, "set_read_buffer_limits", None)
    if bound is not None:
        bound(_TLS_BYTES)
