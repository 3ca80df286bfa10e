"""Sockets that notice a dead peer."""

import socket
from typing import Final

import aiohttp

# A dead peer is noticed in about 20 s even while nothing is sent (P2 leaves 30 s).
_KEEPALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 2),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 20_000),
)


def keepalive_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """Return a TCP socket for an address, for ``aiohttp.TCPConnector(socket_factory=...)``."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    for level, option, value in _KEEPALIVE:
        made.setsockopt(level, option, value)
    return made
