"""The proxy loses what it is told to lose, and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from danm_api.uv_loop import UvLoop
from tests.lab.apiserver import LOOPBACK
from tests.lab.chaos.proxy import Proxy, Weather


@dataclass(slots=True, kw_only=True)
class _Clock:
    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


@dataclass(slots=True, kw_only=True)
class _Echo:
    """A server that answers each line with itself, and knows what it has got."""

    got: list[bytes] = field(default_factory=list)
    ended: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                self.got.append(line)
                writer.write(line)
                await writer.drain()
        except ConnectionError:
            pass
        self.ended += 1
        writer.close()


@dataclass(slots=True, kw_only=True)
class _Scene:
    echo: _Echo
    proxy: Proxy
    clock: _Clock
    clients: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(LOOPBACK, self.proxy.port)
        self.clients.append(writer)
        return reader, writer


async def _say(connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], line: bytes) -> bytes:
    reader, writer = connection
    writer.write(line)
    return await reader.readline()


@asynccontextmanager
async def _scene() -> AsyncIterator[_Scene]:
    echo, clock = _Echo(), _Clock()
    unhandled: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: unhandled.append(what))
    server = await asyncio.start_server(echo.serve, LOOPBACK, 0)
    port = server.sockets[0].getsockname()[1]
    async with server, asyncio.timeout(20), Proxy(target_port=port, clock=clock) as proxy:
        scene = _Scene(echo=echo, proxy=proxy, clock=clock)
        yield scene
        for writer in scene.clients:
            writer.transport.abort()
    assert not unhandled


async def test_fair_weather_passes_everything() -> None:
    """What is said arrives, and so does the end."""
    async with _scene() as scene:
        reader, writer = await scene.connect()
        assert await _say((reader, writer), b"one\n") == b"one\n"
        writer.close()
        while not scene.echo.ended:
            await asyncio.sleep(0)


async def test_a_request_is_lost_before_it_arrives() -> None:
    """The server never hears of it, and the client knows no more than that it broke."""
    async with _scene() as scene:
        connection = await scene.connect()
        assert await _say(connection, b"one\n") == b"one\n"
        scene.clock.seconds = 1.0
        scene.proxy.set_weather(Weather.LOSE_REQUESTS)
        with pytest.raises(ConnectionError):
            await _say(connection, b"two\n")
        assert scene.echo.got == [b"one\n"]


async def test_an_answer_is_lost_after_the_request_arrived() -> None:
    """The server did it, and the client knows no more than that it broke."""
    async with _scene() as scene:
        connection = await scene.connect()
        assert await _say(connection, b"one\n") == b"one\n"
        scene.clock.seconds = 1.0
        scene.proxy.set_weather(Weather.LOSE_ANSWERS)
        with pytest.raises(ConnectionError):
            await _say(connection, b"two\n")
        assert scene.echo.got == [b"one\n", b"two\n"]


async def test_a_new_connection_is_made_while_answers_are_lost() -> None:
    """A handshake is no answer: it is the requests after it that are lost."""
    async with _scene() as scene:
        scene.proxy.set_weather(Weather.LOSE_ANSWERS)
        assert await _say(await scene.connect(), b"one\n") == b"one\n"


async def test_what_stalls_arrives_late_though_its_sender_has_gone() -> None:
    """A request that was given up is delivered after all."""
    async with _scene() as scene:
        reader, writer = await scene.connect()
        assert await _say((reader, writer), b"one\n") == b"one\n"
        scene.proxy.set_weather(Weather.STALL)
        writer.write(b"two\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        assert scene.echo.got == [b"one\n"]
        scene.proxy.set_weather(Weather.FAIR)
        while len(scene.echo.got) < 2:
            await asyncio.sleep(0)
        assert scene.echo.got == [b"one\n", b"two\n"]


@pytest.mark.parametrize("weather", [Weather.CUT, Weather.HANG])
async def test_connections_break(weather: Weather) -> None:
    """Nothing of what was sent arrives, and the connections that stood are gone."""
    async with _scene() as scene:
        connection = await scene.connect()
        assert await _say(connection, b"one\n") == b"one\n"
        scene.proxy.set_weather(weather)
        asking = asyncio.create_task(_say(connection, b"two\n"))
        await asyncio.sleep(0)
        scene.proxy.set_weather(Weather.FAIR)
        with pytest.raises(ConnectionError):
            assert await asking == b"nothing"
        assert scene.echo.got == [b"one\n"]
        assert await _say(await scene.connect(), b"three\n") == b"three\n"


@pytest.mark.parametrize("weather", [Weather.CUT, Weather.LOSE_REQUESTS, Weather.LOSE_ANSWERS])
def test_broken_connections_break_once_on_uvloop(weather: Weather) -> None:
    """A chaos run's loop forgives nobody who ends a connection that is broken already."""

    async def breaks() -> None:
        async with _scene() as scene:
            connection = await scene.connect()
            assert await _say(connection, b"one\n") == b"one\n"
            scene.clock.seconds = 1.0
            scene.proxy.set_weather(weather)
            with pytest.raises(ConnectionError):
                assert await _say(connection, b"two\n") == b"nothing"
            while scene.proxy.passing:
                await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=UvLoop) as runner:
        runner.run(breaks())
