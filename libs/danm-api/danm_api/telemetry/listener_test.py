"""Connections that stay open by sending nothing, are too many, or speak no HTTP."""

import asyncio
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import msgspec
import pytest
import trustme
from aiohttp import web

from danm_api.ipam_api import Problem
from danm_api.telemetry.bounds import Bounds, Patience
from danm_api.telemetry.listener import Listener
from danm_api.testing.clock import FakeClock
from danm_api.testing.hangs import HANGS_S

_USUAL = Bounds(connections=99, address_connections=99)
_GET = b"GET /quick HTTP/1.1\r\nHost: x\r\n\r\n"
# More than all that may wait on the way to a peer, and less than what would by default.
_LARGE = 2**18
_PIECE = 2**14
# More than may wait on the way to the application.
_LITTLE = 2**16
# Linux, struct tcp_info: tcpi_bytes_acked.
_BYTES_ACKED = slice(120, 128)


@dataclass(slots=True, kw_only=True)
class _Peer:
    """A client that sends what it likes."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, bytes]:
        """Return status and body of the next answer."""
        async with asyncio.timeout(HANGS_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            lines = head.lower().split("\r\n")
            length = next(line for line in lines if line.startswith("content-length:"))
            body = await self.reader.readexactly(int(length.partition(":")[2]))
        return int(head.split(" ", 2)[1]), body

    async def until_delivered(self, count: int) -> None:
        """Wait until the server's kernel has taken so many bytes, for a second.

        Raises:
            TimeoutError: It took less.
        """
        connection = self.writer.get_extra_info("socket")
        taken = 0
        async with asyncio.timeout(1):
            while taken < count:
                await asyncio.sleep(0.01)
                info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED.stop)
                taken = int.from_bytes(info[_BYTES_ACKED], sys.byteorder)

    async def is_ended(self) -> bool:
        """Say whether the server ends the connection within a moment."""
        try:
            async with asyncio.timeout(HANGS_S):
                return await self.reader.read() == b""
        except ConnectionError:
            return True

    async def stays(self) -> bool:
        """Say whether the server still answers."""
        await self.send(_GET)
        return (await self.answer())[0] == 200


class _Server:
    """A listener with an application of two pages, and its clock."""

    def __init__(self, bounds: Bounds) -> None:
        self.clock = FakeClock()
        self.gate = asyncio.Event()
        app = web.Application()
        app.router.add_get("/quick", self._quick)
        app.router.add_get("/slow", self._slow)
        app.router.add_get("/large", self._large)
        app.router.add_post("/slow", self._slow)
        self.listener = Listener(app, host="127.0.0.1", port=0, bounds=bounds, clock=self.clock)
        self.peers: list[_Peer] = []
        self._trust: ssl.SSLContext | None = None

    async def start(self, *, tls: bool) -> None:
        """Listen, with TLS or without."""
        context = None
        if tls:
            authority = trustme.CA()
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            authority.issue_cert("localhost").configure_cert(context)
            self._trust = ssl.create_default_context()
            authority.configure_trust(self._trust)
        await self.listener.start(context)

    async def connect(self, *, source: str = "127.0.0.1") -> _Peer:
        """Connect, as a client that reads and sends little at a time."""
        connection = socket.socket()
        connection.bind((source, 0))
        connection.setblocking(False)  # noqa: FBT003  (positional only)
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            connection.setsockopt(socket.SOL_SOCKET, option, 4096)
        address = ("127.0.0.1", self.listener.port)
        await asyncio.get_running_loop().sock_connect(connection, address)
        name = None if self._trust is None else "localhost"
        reader, writer = await asyncio.open_connection(
            sock=connection, limit=2**12, ssl=self._trust, server_hostname=name
        )
        if name is not None:
            writer.transport.set_read_buffer_limits(4096)  # type: ignore[attr-defined]
        self.peers.append(_Peer(reader=reader, writer=writer))
        return self.peers[-1]

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.listener.end_overdue()

    async def _quick(self, request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _slow(self, request: web.Request) -> web.Response:
        await self.gate.wait()
        return web.Response(text="late")

    async def _large(self, request: web.Request) -> web.StreamResponse:
        """Answer in pieces: with TLS, what is written at once does not wait for the peer."""
        response = web.StreamResponse()
        response.content_length = _LARGE
        await response.prepare(request)
        with suppress(ConnectionError):
            for _ in range(0, _LARGE, _PIECE):
                await response.write(bytes(_PIECE))
        return response


@asynccontextmanager
async def _running(bounds: Bounds = _USUAL, *, tls: bool = False) -> AsyncIterator[_Server]:
    server = _Server(bounds)
    await server.start(tls=tls)
    try:
        yield server
    finally:
        server.gate.set()
        for peer in server.peers:
            peer.writer.transport.abort()
        await server.listener.stop()


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"GET /quick HT", id="part of a line"),
        pytest.param(b"GET /quick HTTP/1.1\r\nHost: x\r\n", id="part of a head"),
    ],
)
async def test_a_head_that_does_not_come_ends_the_connection(sent: bytes) -> None:
    """A new connection has 10 s to send a request, whatever it sends meanwhile."""
    # DESIGN P6
    async with _running() as server:
        peer = await server.connect()
        other = await server.connect()
        assert await other.stays()
        await peer.send(sent)
        server.pass_time(9)
        await peer.send(b"T" if sent else b"")
        assert await other.stays()
        server.pass_time(1.5)
        assert await peer.is_ended()
        assert await other.stays()


async def test_later_requests_have_no_more_time_for_their_head() -> None:
    """Between requests a connection may idle, but a head that began has to go on."""
    async with _running() as server:
        peer = await server.connect()
        assert await peer.stays()
        server.pass_time(60)
        assert await peer.stays()
        await peer.send(b"GET /quick")
        other = await server.connect()
        # Answered after the bytes above were read.
        assert await other.stays()
        server.pass_time(10)
        assert await peer.is_ended()


async def test_idle_connection_ends() -> None:
    """After 75 s without a request a connection goes."""
    async with _running() as server:
        peer = await server.connect()
        assert await peer.stays()
        server.pass_time(75)
        assert await peer.is_ended()


async def test_request_under_way_is_not_disturbed() -> None:
    """While the service works on a request its connection stays, however long."""
    async with _running() as server:
        peer = await server.connect()
        await peer.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        other = await server.connect()
        assert await other.stays()
        server.pass_time(1000)
        server.gate.set()
        assert await peer.answer() == (200, b"late")


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
async def test_peer_that_does_not_read_is_ended(*, tls: bool) -> None:
    """An answer that nobody takes is not kept in memory for ever."""
    # DESIGN P6
    async with _running(tls=tls) as server:
        peer = await server.connect()
        await peer.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        await peer.reader.readuntil(b"\r\n\r\n")
        # What was sent fills all buffers before this is answered.
        other = await server.connect()
        assert await other.stays()
        server.pass_time(31)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            async with asyncio.timeout(HANGS_S):
                await peer.reader.readexactly(_LARGE)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
async def test_peer_fills_no_more_than_little(*, tls: bool) -> None:
    """What is sent and not read by the application waits with its sender, not here."""
    # DESIGN P6
    async with _running(tls=tls) as server:
        peer = await server.connect()
        head = f"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: {_LARGE}\r\n\r\n"
        peer.writer.write(head.encode() + bytes(_LARGE))
        with pytest.raises(TimeoutError):
            await peer.until_delivered(_LITTLE)
        other = await server.connect()
        assert await other.stays()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
async def test_peers_that_do_not_read_are_few(*, tls: bool) -> None:
    """Of those whose answers wait, the one that was waited for longest goes."""
    # DESIGN P6
    async with _running(Bounds(connections=9, address_connections=9, unread=2), tls=tls) as server:
        peers = [await server.connect() for _ in range(3)]
        for peer in peers:
            await peer.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
            await peer.reader.readuntil(b"\r\n\r\n")
        other = await server.connect()
        assert await other.stays()
        first, *rest = peers
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            async with asyncio.timeout(HANGS_S):
                await first.reader.readexactly(_LARGE)
        for peer in rest:
            assert await peer.reader.readexactly(_LARGE) == bytes(_LARGE)


async def test_peers_that_read_are_not_counted() -> None:
    """One that has read its answer stays, whoever comes afterwards and does not."""
    async with _running(Bounds(connections=9, address_connections=9, unread=1)) as server:
        one, two = [await server.connect() for _ in range(2)]
        for peer in (one, two):
            await peer.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
            await peer.reader.readuntil(b"\r\n\r\n")
            if peer is one:
                await one.reader.readexactly(_LARGE)
        assert await one.stays()
        assert await two.reader.readexactly(_LARGE) == bytes(_LARGE)


@pytest.mark.parametrize(
    ("bounds", "reason"),
    [
        pytest.param(
            Bounds(connections=2, address_connections=9), "2 connections are open", id="all"
        ),
        pytest.param(
            Bounds(connections=9, address_connections=2), "127.0.0.1 has 2", id="one address"
        ),
    ],
)
async def test_connections_are_bounded(bounds: Bounds, reason: str) -> None:
    """One too many is told so and ended; those before stay, and one that goes makes room."""
    # DESIGN P6, P7
    async with _running(bounds) as server:
        peers = [await server.connect() for _ in range(2)]
        assert all([await peer.stays() for peer in peers])
        late = await server.connect()
        status, body = await late.answer()
        assert status == 503
        assert reason in msgspec.json.decode(body, type=Problem).detail
        assert await late.is_ended()
        peers[0].writer.close()
        async with asyncio.timeout(HANGS_S):
            while True:
                again = await server.connect()
                await again.send(_GET)
                if (await again.answer())[0] == 200:
                    break


@pytest.mark.parametrize(
    "bounds",
    [
        pytest.param(Bounds(connections=3, address_connections=9, takes_newcomers=True), id="all"),
        pytest.param(
            Bounds(connections=9, address_connections=3, takes_newcomers=True), id="one address"
        ),
    ],
)
async def test_who_holds_most_connections_makes_way(bounds: Bounds) -> None:
    """Where anybody may connect, nobody is kept out: the oldest ones of the greediest end."""
    # DESIGN P6
    async with _running(bounds) as server:
        first, second, third = [await server.connect() for _ in range(3)]
        assert all([await peer.stays() for peer in (first, second, third)])
        late = await server.connect(source="127.0.0.2")
        if bounds.connections == 3:
            assert await first.is_ended()
        assert await late.stays()
        again = await server.connect()
        assert await again.stays()
        assert await (second if bounds.connections == 3 else first).is_ended()
        # Who has one connection keeps it.
        assert all([await peer.stays() for peer in (late, third, again)])


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"hello\r\n\r\n", 400, id="no HTTP"),
        pytest.param(b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431, id="path"),
        pytest.param(
            b"GET / HTTP/1.1\r\nAuthorization: Bearer " + b"x" * 9000 + b"\r\n\r\n",
            431,
            id="header",
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\n" + b"".join(b"H%d: x\r\n" % i for i in range(65)) + b"\r\n",
            400,
            id="too many headers",
        ),
        pytest.param(
            b"GET /quick HTTP/1.1\r\nHost: x\r\nExpect: \xff\r\n\r\n", 400, id="Expect of bytes"
        ),
    ],
)
async def test_what_is_no_request_gets_a_problem_document(sent: bytes, status: int) -> None:
    """Heads beyond their bounds are refused as everything else is, and the connection ends."""
    # DESIGN P6, P7
    async with _running() as server:
        peer = await server.connect()
        await peer.send(sent)
        answered, body = await peer.answer()
        assert answered == status
        assert msgspec.json.decode(body, type=Problem).status == status
        assert await peer.is_ended()


async def test_handshake_that_does_not_end_is_ended() -> None:
    """Who connects and never speaks TLS is hung up on."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    bounds = Bounds(connections=9, address_connections=9, patience=Patience(handshake_s=0.1))
    listener = Listener(
        web.Application(), host="127.0.0.1", port=0, bounds=bounds, clock=FakeClock()
    )
    await listener.start(context)
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    peer = _Peer(reader=reader, writer=writer)
    assert await peer.is_ended()
    writer.close()
    await listener.stop()
