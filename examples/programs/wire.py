"""What the demo's programs share: addresses of interfaces, one-line requests, and HTTP for probes.

The demo's protocol is one line of text each way over TCP. Only the standard library is used.
"""

import asyncio
import contextlib
import fcntl
import json
import signal
import socket
import struct
import sys
import time
from collections.abc import Awaitable, Callable

# Linux, include/uapi/linux/sockios.h.
_SIOCGIFADDR = 0x8915
# A peer that says nothing for this long is given up.
PEER_TIMEOUT_S = 3.0
# The demo's lines are short; anything longer is somebody else's protocol.
MAX_LINE_BYTES = 4096


def address_of(interface: str) -> str:
    """Return the IPv4 address of an interface of this Pod.

    Raises:
        OSError: There is no such interface, or it has no address.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        request = struct.pack("256s", interface.encode()[:15])
        answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, request)
    return socket.inet_ntoa(answer[20:24])


def log(message: str, **keys: object) -> None:
    """Print one JSON line."""
    print(json.dumps({"time": round(time.time(), 3), "message": message, **keys}), flush=True)


async def resolve(name: str, port: int) -> list[str]:
    """Return the addresses behind a Service's name now, sorted; nothing is cached.

    Raises:
        OSError: The name server does not answer, or knows no address.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(name, port, family=socket.AF_INET, type=socket.SOCK_STREAM)
    return sorted({str(entry[4][0]) for entry in found})


async def ask(address: str, port: int, line: str) -> str:
    """Send one line to a peer and return its answer.

    Raises:
        OSError: The peer cannot be reached, or closes without an answer.
        TimeoutError: The peer is silent.
    """
    async with asyncio.timeout(PEER_TIMEOUT_S):
        reader, writer = await asyncio.open_connection(address, port, limit=MAX_LINE_BYTES)
        try:
            writer.write(line.encode() + b"\n")
            await writer.drain()
            answer = await reader.readline()
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
    if not answer.endswith(b"\n"):
        message = f"{address}:{port} closed the connection without an answer"
        raise ConnectionError(message)
    return answer.decode().rstrip("\n")


async def serve_lines(
    address: str, port: int, answer: Callable[[str], Awaitable[str]]
) -> asyncio.Server:
    """Listen on one address and answer each line with another."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(2 * PEER_TIMEOUT_S):
                line = await reader.readline()
                if line.endswith(b"\n"):
                    writer.write((await answer(line.decode().rstrip("\n"))).encode() + b"\n")
                    await writer.drain()
        except (OSError, TimeoutError, ValueError) as error:
            log("Lost a request", error=str(error))
        finally:
            writer.close()

    return await asyncio.start_server(handle, address, port, limit=MAX_LINE_BYTES)


async def serve_http(
    address: str, port: int, pages: dict[str, Callable[[], str]]
) -> asyncio.Server:
    """Serve a few plain pages, such as /healthz, on one address."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PEER_TIMEOUT_S):
                words = (await reader.readline()).decode(errors="replace").split()
                while (await reader.readline()).strip():
                    pass
                page = pages.get(words[1]) if len(words) > 1 else None
                status, body = ("200 OK", page()) if page else ("404 Not Found", "no such page\n")
                head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\n"
                head += f"Content-Length: {len(body.encode())}\r\nConnection: close\r\n\r\n"
                writer.write((head + body).encode())
                await writer.drain()
        except (OSError, TimeoutError, ValueError) as error:
            log("Lost an HTTP request", error=str(error))
        finally:
            writer.close()

    return await asyncio.start_server(handle, address, port, limit=MAX_LINE_BYTES)


async def until_stopped() -> None:
    """Return when the Pod is told to stop."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()
    log("Stopped", program=sys.argv[0])
