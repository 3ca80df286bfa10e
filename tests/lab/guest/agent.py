"""Runs commands in a guest for the lab: the far end of `lab node N -- COMMAND`.

Started in the guest by its path, with the machine's Python and nothing but its standard library.
One TCP connection is one command. The client sends one line of JSON (a `Request`), then frames:
one byte that says what it is, four bytes of length, the payload.

    client to agent: i standard input, c its end
    agent to client: o standard output, e standard error, x exit status as text (the last frame)
"""

import contextlib
import hmac
import json
import os
import signal
import socket
import socketserver
import struct
import subprocess
import sys
import threading
from io import BufferedIOBase
from pathlib import Path
from typing import IO

STDIN, STDIN_END, STDOUT, STDERR, EXIT = b"i", b"c", b"o", b"e", b"x"
_HEADER = struct.Struct(">cI")
_CHUNK_BYTES = 65536
# What a shell says of a command that does not exist.
_NOT_FOUND = 127


def send_frame(connection: socket.socket, kind: bytes, payload: bytes = b"") -> None:
    """Send one frame."""
    connection.sendall(_HEADER.pack(kind, len(payload)) + payload)


def read_frame(stream: BufferedIOBase) -> tuple[bytes, bytes] | None:
    """Read one frame as kind and payload; None at the end of the stream."""
    header = stream.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    kind, length = _HEADER.unpack(header)
    return kind, stream.read(length)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], token: str) -> None:
        self.token = token
        super().__init__(address, _Handler)


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        request = json.loads(self.rfile.readline())
        assert isinstance(self.server, _Server)
        if not hmac.compare_digest(request["token"], self.server.token):
            return
        lock = threading.Lock()
        try:
            process = subprocess.Popen(
                request["argv"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(os.environ, **request["environment"]),
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            send_frame(self.connection, STDERR, f"{request['argv'][0]}: {error}\n".encode())
            send_frame(self.connection, EXIT, str(_NOT_FOUND).encode())
            return
        threading.Thread(target=self._feed, args=(process,), daemon=True).start()
        readers = [
            threading.Thread(target=self._copy, args=(stream, kind, lock))
            for stream, kind in ((process.stdout, STDOUT), (process.stderr, STDERR))
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        status = process.wait()
        # As shells put it: 128 and the signal.
        code = status if status >= 0 else 128 - status
        with contextlib.suppress(OSError):
            send_frame(self.connection, EXIT, str(code).encode())

    def _feed(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            while (frame := read_frame(self.rfile)) is not None:
                kind, payload = frame
                if kind == STDIN_END:
                    process.stdin.close()
                else:
                    with contextlib.suppress(BrokenPipeError):
                        process.stdin.write(payload)
                        process.stdin.flush()
        # The client has gone: nobody wants the answer any more.
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGHUP)

    def _copy(self, stream: IO[bytes], kind: bytes, lock: threading.Lock) -> None:
        with contextlib.suppress(OSError):
            while chunk := os.read(stream.fileno(), _CHUNK_BYTES):
                with lock:
                    send_frame(self.connection, kind, chunk)


def main(path: str) -> None:
    """Serve for ever, as the JSON file at this path says (address, port, token)."""
    configuration = json.loads(Path(path).read_text())
    address = (configuration["address"], configuration["port"])
    with _Server(address, configuration["token"]) as server:
        server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1])
