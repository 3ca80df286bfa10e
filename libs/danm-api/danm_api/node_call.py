"""One call from an executable to the node daemon.

Imports only what is built into the interpreter: see docs/decisions/0003-static-executables.md.
"""

import _socket
import posix
import time

from danm_api.node_frame import (
    ANSWER_HEAD_BYTES,
    FrameError,
    decode_answer_head,
    encode_request,
    postpone_request,
)

# What an executable is asked; VERSION it answers by itself.
VERBS = ("ADD", "DEL", "CHECK", "GC", "STATUS")
SOCKET_PATH = "/run/danm/danmd.sock"
# Exists from the moment that the daemon was first ready since the node booted (DESIGN, step 9).
_READY_MARKER = b"/run/danm/ready"
# An ADD's own deadline is 10 s (SPEC C3). A DEL waits 2 s for its release (P5).
_DEADLINE_NS = 10_000_000_000
_DEL_DEADLINE_NS = 2_000_000_000
# Beside the deadline that the daemon keeps itself: what it may need to undo and to answer.
GRACE_NS = 5_000_000_000
# So long an ADD waits for a daemon that is being replaced: for the end of that one and the start of
# the next (docs/decisions/0021).
PATIENCE_NS = 45_000_000_000
_LOOK_AGAIN_S = 0.05
# Nobody is there yet, nobody any more, or too many are waiting to be accepted.
_AWAY = (FileNotFoundError, ConnectionRefusedError, BlockingIOError)


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


def _connect(path: str, *, until_ns: int) -> _socket.socket:
    """Return a connection; a daemon that is away is waited for."""
    while True:
        connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        # Or it would wait for a place in the daemon's queue, and not see that the daemon went.
        connection.settimeout(0.0)
        try:
            connection.connect(path)
        except OSError as error:
            connection.close()
            if not isinstance(error, _AWAY) or time.monotonic_ns() >= until_ns:
                raise
        else:
            return connection
        time.sleep(_LOOK_AGAIN_S)


def call_daemon(
    path: str, request: bytes, *, deadline_ns: int, patience_ns: int = 0
) -> tuple[int, bytes]:
    """Send a request and return exit status and standard output of the answer.

    Args:
        path: The daemon's unix stream socket.
        request: A frame made by ``encode_request``.
        deadline_ns: Absolute, CLOCK_MONOTONIC.
        patience_ns: How long to wait for a daemon that is away; the deadlines move with it.

    Raises:
        DaemonUnreachableError: No socket, nobody listening, cut off, silent, or garbage.
    """
    started_ns = time.monotonic_ns()
    try:
        connection = _connect(path, until_ns=started_ns + patience_ns)
    except OSError as error:
        message = str(error)
        raise DaemonUnreachableError(message) from error
    try:
        waited_ns = time.monotonic_ns() - started_ns
        left_ns = deadline_ns + GRACE_NS - started_ns
        connection.settimeout(max(left_ns, 1) / 1e9)
        connection.sendall(postpone_request(request, waited_ns))
        status, length = decode_answer_head(_receive(connection, ANSWER_HEAD_BYTES))
        return status, _receive(connection, length)
    except (OSError, FrameError) as error:
        message = str(error)
        raise DaemonUnreachableError(message) from error
    finally:
        connection.close()


def was_ready(environment: dict[bytes, bytes]) -> bool:
    """Say whether the daemon has been ready since the node booted."""
    try:
        posix.stat(environment.get(b"DANM_READY_MARKER", _READY_MARKER))
    except OSError:
        return False
    return True


def unreadable_variables(environment: dict[bytes, bytes]) -> list[str]:
    """Return the names of CNI's variables that are no UTF-8, in order.

    The daemon, its journal and other plugins read texts: nobody could act on them, and the CNI
    specification wants invalid variables named (code 4).
    """
    return sorted(
        name.decode("utf-8", "backslashreplace")
        for name, value in environment.items()
        if name.startswith(b"CNI_") and not (_is_utf8(name) and _is_utf8(value))
    )


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _allowance_ns(verb: str) -> int:
    return _DEL_DEADLINE_NS if verb == "DEL" else _DEADLINE_NS


def request_frame(program: int, verb: str, environment: dict[bytes, bytes], stdin: bytes) -> bytes:
    """Return what an executable sends for a CNI call, with its deadline as from now.

    Raises:
        FrameError: Environment or input is too large.
    """
    return encode_request(
        program=program,
        deadline_ns=time.monotonic_ns() + _allowance_ns(verb),
        environment=b"\0".join(key + b"=" + value for key, value in environment.items()),
        stdin=stdin,
    )


def ask_daemon(verb: str, environment: dict[bytes, bytes], frame: bytes) -> tuple[int, bytes]:
    """Send what ``request_frame`` made just now; return exit status and output of the answer.

    Raises:
        DaemonUnreachableError: As ``call_daemon``.
    """
    # One that was there before is being replaced, or starts again.
    patience_ns = PATIENCE_NS if verb == "ADD" and was_ready(environment) else 0
    return call_daemon(
        environment.get(b"DANM_SOCKET", SOCKET_PATH.encode()).decode("utf-8", "surrogateescape"),
        frame,
        deadline_ns=time.monotonic_ns() + _allowance_ns(verb),
        patience_ns=patience_ns,
    )
