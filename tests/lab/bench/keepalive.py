"""A lean HTTP/1.1 client of one TLS connection, so that a load generator costs little.

It knows just what the API server and ipam-svc send: answers with a Content-Length or in chunks.
"""

import asyncio
import ssl
from typing import Final, Self, cast

_HEAD_END: Final = b"\r\n\r\n"


class BrokenAnswerError(Exception):
    """The connection ended within an answer."""


class Connection(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self, host: str, token: str) -> None:
        """Prepare the lines that every request has."""
        self._fixed = f" HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n".encode()
        self._transport: asyncio.WriteTransport | None = None
        self._received = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    @classmethod
    async def open(
        cls, endpoint: str, *, context: ssl.SSLContext, server_name: str, token: str
    ) -> Self:
        """Connect to ``host:port``.

        Raises:
            OSError: Nobody listens there, or the certificate is not trusted.
        """
        host, _, port = endpoint.rpartition(":")
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: cls(endpoint, token), host, int(port), ssl=context, server_hostname=server_name
        )
        return connection

    async def request(self, method: bytes, path: bytes, body: bytes = b"") -> tuple[int, bytes]:
        """Send a request and return the answer's status and body.

        Raises:
            BrokenAnswerError: The connection ended before the answer did.
        """
        if self._transport is None or self._transport.is_closing():
            raise BrokenAnswerError("the connection is closed")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(
            b"%b %b%bContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (method, path, self._fixed, len(body), body)
        )
        return await self._answer

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note where to write."""
        # uvloop's is one in all but its class.
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        """Take in a piece of an answer."""
        self._received += data
        parsed = parse_answer(self._received)
        if parsed is not None and self._answer is not None:
            self._received = b""
            if not self._answer.done():
                self._answer.set_result(parsed)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(BrokenAnswerError(str(exc or "the connection ended")))


def parse_answer(received: bytes) -> tuple[int, bytes] | None:
    """Return status and body of an answer; None while it is not complete."""
    end = received.find(_HEAD_END)
    if end < 0:
        return None
    head = received[:end].lower()
    rest = received[end + len(_HEAD_END) :]
    status = int(head[9:12])
    at = head.find(b"\r\ncontent-length:")
    if at >= 0:
        length = int(head[at + 17 :].split(b"\r\n", 1)[0])
        return (status, rest) if len(rest) >= length else None
    if b"transfer-encoding: chunked" in head:
        body = _joined_chunks(rest)
        return None if body is None else (status, body)
    return status, b""


def _joined_chunks(rest: bytes) -> bytes | None:
    """Return the body of all chunks; None while the last one is missing."""
    body = b""
    while True:
        line, newline, rest = rest.partition(b"\r\n")
        if not newline:
            return None
        size = int(line.split(b";", 1)[0], 16)
        if len(rest) < size + 2:
            return None
        if size == 0:
            return body
        body += rest[:size]
        rest = rest[size + 2 :]
