"""The demo's one-line protocol."""

import asyncio

import pytest
from wire import ask, resolve, serve_http, serve_lines


def port_of(server: asyncio.Server) -> int:
    """Return the port that a server got."""
    return int(server.sockets[0].getsockname()[1])


async def test_a_line_is_answered() -> None:
    """A request travels and its answer comes back."""

    async def answer(line: str) -> str:
        return line + " | answered"

    server = await serve_lines("127.0.0.1", 0, answer)
    async with server:
        assert await ask("127.0.0.1", port_of(server), "hello") == "hello | answered"


async def test_a_peer_that_closes_is_an_error() -> None:
    """No answer is never taken for an empty one."""

    async def answer(_: str) -> str:
        raise ValueError

    server = await serve_lines("127.0.0.1", 0, answer)
    async with server:
        with pytest.raises(OSError, match="without an answer"):
            await ask("127.0.0.1", port_of(server), "hello")


async def test_pages_are_served_and_others_are_404() -> None:
    """A probe finds its page."""
    server = await serve_http("127.0.0.1", 0, {"/healthz": lambda: "ok\n"})
    async with server:
        for path, status in (("/healthz", b"200 OK"), ("/other", b"404 Not Found")):
            reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert status in await reader.read()
            writer.close()
            await writer.wait_closed()


async def test_look_ups_are_sorted_and_without_doubles() -> None:
    """The name of this machine's loopback has one IPv4 address."""
    assert await resolve("localhost", 80) == ["127.0.0.1"]
