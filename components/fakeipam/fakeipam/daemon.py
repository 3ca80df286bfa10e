"""Asking the node daemon for an address of a DanmNet (SPEC F2). The daemon decides everything."""

import posix
import time

from danm_api.node_call import PATIENCE_NS, SOCKET_PATH, call_daemon
from danm_api.node_frame import PROGRAM_FAKEIPAM, encode_request

VERBS = ("ADD", "DEL", "CHECK", "GC", "STATUS")
# Exists from the moment that the daemon was first ready since the node booted.
_READY_MARKER = "/run/danm/ready"
# As those of `danm` (SPEC C3; DESIGN, P5).
_DEADLINE_NS = 10_000_000_000
_DEL_DEADLINE_NS = 2_000_000_000


def request_frame(verb: str, environment: dict[bytes, bytes], stdin: bytes) -> bytes:
    """Return what the daemon is sent, with its deadline as from now.

    Raises:
        FrameError: Environment or input is too large.
    """
    return encode_request(
        program=PROGRAM_FAKEIPAM,
        deadline_ns=time.monotonic_ns() + _allowance_ns(verb),
        environment=b"\0".join(key + b"=" + value for key, value in environment.items()),
        stdin=stdin,
    )


def _allowance_ns(verb: str) -> int:
    return _DEL_DEADLINE_NS if verb == "DEL" else _DEADLINE_NS


def ask_daemon(verb: str, environment: dict[bytes, bytes], stdin: bytes) -> tuple[int, bytes]:
    """Return the exit status and the standard output of one call.

    Raises:
        DaemonUnreachableError: The daemon is away.
        FrameError: Environment or input is too large.
    """
    # One that was there before is being replaced, or starts again.
    patience_ns = PATIENCE_NS if verb == "ADD" and was_ready(environment) else 0
    return call_daemon(
        environment.get(b"DANM_SOCKET", SOCKET_PATH.encode()).decode(),
        request_frame(verb, environment, stdin),
        deadline_ns=time.monotonic_ns() + _allowance_ns(verb),
        patience_ns=patience_ns,
    )


def was_ready(environment: dict[bytes, bytes]) -> bool:
    """Say whether the daemon has been ready since the node booted."""
    try:
        posix.stat(environment.get(b"DANM_READY_MARKER", _READY_MARKER.encode()))
    except OSError:
        return False
    return True
