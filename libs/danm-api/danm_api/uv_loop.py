"""uvloop, with sockets that are closed once.

When ``create_connection`` is given a socket, libuv owns its descriptor from then on. uvloop tells
the socket object so only when the transport closes later than the connection is made (seen with
uvloop 0.23): where the other end resets it at once, the object keeps the number of a descriptor
that libuv has closed. Whoever drops that object closes the number again, which is another
connection's by then: bytes go astray between connections, or libuv aborts the process. aiohttp
connects this way.
"""

import socket
from collections.abc import Callable
from typing import Any

import uvloop


class UvLoop(uvloop.Loop):
    """A uvloop that takes a socket away from its object as soon as it has it."""

    async def create_connection(
        self,
        protocol_factory: Callable[[], Any],
        *arguments: Any,  # noqa: ANN401
        sock: socket.socket | None = None,
        **options: Any,  # noqa: ANN401
    ) -> tuple[Any, Any]:
        """Connect; a socket that was given is not the caller's any more, also after a failure."""
        try:
            return await super().create_connection(
                protocol_factory, *arguments, sock=sock, **options
            )
        finally:
            if sock is not None:
                sock.detach()
