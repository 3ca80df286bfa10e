"""Failed connections in uvloop."""

import asyncio
import os
import socket
import ssl
import struct
from contextlib import suppress

from danm_api.uv_loop import UvLoop


def _connection_that_was_reset() -> socket.socket:
    with socket.create_server(("127.0.0.1", 0)) as server:
        here = socket.create_connection(server.getsockname())
        there, _ = server.accept()
        there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        there.close()
    return here


def test_a_reset_connection_closes_its_descriptor_once() -> None:
    """What gets the same number next is not closed by who drops the socket object."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        sock = _connection_that_was_reset()
        with suppress(ConnectionResetError):
            await loop.create_connection(
                asyncio.Protocol, sock=sock, ssl=ssl.create_default_context(), server_hostname="any"
            )
        await asyncio.sleep(0)
        reader, writer = os.pipe()
        sock.close()
        os.write(writer, b"x")
        assert os.read(reader, 1) == b"x"
        os.close(reader)
        os.close(writer)

    with asyncio.Runner(loop_factory=UvLoop) as runner:
        runner.run(main())
