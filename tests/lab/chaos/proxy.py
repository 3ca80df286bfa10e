"""A TCP proxy that breaks connections in the ways that networks do.

It sees bytes, not requests: on a connection of TLS and HTTP that is past its handshake, what comes
from the client is a request and what comes back is an answer.
"""

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Final, Self

from pyroute2.netns import setns as enter_netns

from tests.lab.apiserver import LOOPBACK

_CHUNK_BYTES: Final = 256 * 1024
# A handshake on the loopback interface takes milliseconds.
_HANDSHAKE_S: Final = 0.2


class Weather(StrEnum):
    """What happens to what passes.

    CUT: no connection stands or comes about.
    STALL: nothing passes; all of it does afterwards, however late.
    HANG: nothing passes, and the connections break afterwards.
    LOSE_REQUESTS: a connection breaks when a request comes, before it is passed on.
    LOSE_ANSWERS: a connection breaks when an answer comes, after the request was passed on.
    """

    FAIR = "fair"
    CUT = "cut"
    STALL = "stall"
    HANG = "hang"
    LOSE_REQUESTS = "lose requests"
    LOSE_ANSWERS = "lose answers"


@dataclass(slots=True, kw_only=True, eq=False)
class _Connection:
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    since: float

    def abort(self) -> None:
        for writer in (self.client, self.server):
            _reset(writer)

    def close(self) -> None:
        """Let the ends of what both sides said arrive."""
        for writer in (self.client, self.server):
            writer.close()


@dataclass(slots=True, kw_only=True)
class Proxy:
    """Passes connections on to one port.

        async with Proxy(target_port=6443) as proxy:
            ...  # connect to 127.0.0.1:proxy.port
            proxy.set_weather(Weather.STALL)

    Attributes:
        port: Where it listens; 0 before it does.
        netns: In which network namespace; empty for this process's own.
    """

    target_port: int
    port: int = 0
    netns: str = ""
    clock: Callable[[], float] = time.monotonic
    _weather: Weather = Weather.FAIR
    _flowing: asyncio.Event = field(default_factory=asyncio.Event)
    _connections: set[_Connection] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        """Listen on a free port."""
        self._flowing.set()
        listening = await asyncio.to_thread(_listening, self.netns)
        self._server = await asyncio.start_server(self._accept, sock=listening)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close all."""
        assert self._server is not None
        self._server.close()
        self._flowing.set()
        for connection in self._connections:
            connection.abort()
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    @property
    def passing(self) -> int:
        """How many connections it passes on now."""
        return len(self._connections)

    def set_weather(self, weather: Weather) -> None:
        """Change what happens from now on."""
        before, self._weather = self._weather, weather
        if weather is Weather.CUT or before is Weather.HANG:
            for connection in tuple(self._connections):
                connection.abort()
        if weather in {Weather.STALL, Weather.HANG}:
            self._flowing.clear()
        else:
            self._flowing.set()

    async def _accept(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            await self._serve(reader, client)
        except asyncio.CancelledError:
            # The proxy is closing; asyncio's server would complain of a cancelled handler.
            _reset(client)

    async def _serve(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        if self._weather is Weather.CUT:
            _reset(client)
            return
        await self._flowing.wait()
        try:
            from_server, server = await asyncio.open_connection(LOOPBACK, self.target_port)
        except OSError:
            _reset(client)
            return
        connection = _Connection(client=client, server=server, since=self.clock())
        self._connections.add(connection)
        try:
            await asyncio.gather(
                self._pass(reader, server, connection, Weather.LOSE_REQUESTS),
                self._pass(from_server, client, connection, Weather.LOSE_ANSWERS),
            )
            connection.close()
        except asyncio.CancelledError:
            connection.abort()
            raise
        finally:
            self._connections.discard(connection)

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        connection: _Connection,
        breaks_in: Weather,
    ) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(_CHUNK_BYTES):
                await self._flowing.wait()
                is_young = self.clock() - connection.since < _HANDSHAKE_S
                if self._weather is breaks_in and not is_young:
                    connection.abort()
                    return
                if writer.is_closing():
                    return
                writer.write(chunk)
                await writer.drain()
            await self._flowing.wait()
            # The other direction may have broken the connection; uvloop refuses to end it again.
            if not writer.is_closing():
                writer.write_eof()
            return
        connection.abort()


def _listening(netns: str) -> socket.socket:
    """Return a socket that listens; it stays in the network namespace that it was made in."""
    if not netns:
        return socket.create_server((LOOPBACK, 0))
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_listening_in, netns).result()


def _listening_in(netns: str) -> socket.socket:
    enter_netns(netns)
    return socket.create_server((LOOPBACK, 0))


def _reset(writer: asyncio.StreamWriter) -> None:
    """Break a connection as when a machine is gone: the other end finds no orderly end."""
    if not writer.is_closing():
        linger_for_nothing = struct.pack("ii", 1, 0)
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_for_nothing)
    writer.transport.abort()
