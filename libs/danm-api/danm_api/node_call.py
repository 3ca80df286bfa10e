"""One call from an executable to the node daemon.

Imports only what is built into the interpreter: see docs/decisions/0003-static-executables.md.
"""

import _socket
import time

from danm_api.node_frame import ANSWER_HEAD_BYTES, FrameError, decode_answer_head

SOCKET_PATH = "/run/danm/danmd.sock"
# Beside the deadline that the daemon keeps itself: what it may need to undo and to answer.
GRACE_NS = 5_000_000_000


class DaemonUnreachableError(Exception):
    """Nobody answered: whether the request took effect is not known."""


def _receive(connection: _socket.socket, length: int) -> bytes:
    """Return exactly ``length`` bytes."""
    parts: list[bytes] = []
    missing = length
    while missing:
        part = connection.recv(min(missing, 1 << 16))
        if not part:
            message = "the node daemon closed the connection without an answer"
            raise DaemonUnreachableError(message)
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def call_daemon(path: str, request: bytes, *, deadline_ns: int) -> tuple[int, bytes]:
    """Send a request and return exit status and standard output of the answer.

    Args:
        path: The daemon's unix stream socket.
        request: A frame made by ``encode_request``.
        deadline_ns: Absolute, CLOCK_MONOTONIC.

    Raises:
        DaemonUnreachableError: No socket, nobody listening, cut off, silent, or garbage.
    """
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        connection.settimeout(max(deadline_ns + GRACE_NS - time.monotonic_ns(), 1) / 1e9)
        connection.connect(path)
        connection.sendall(request)
        status, length = decode_answer_head(_receive(connection, ANSWER_HEAD_BYTES))
        return status, _receive(connection, length)
    except (OSError, FrameError) as error:
        message = str(error)
        raise DaemonUnreachableError(message) from error
    finally:
        connection.close()
