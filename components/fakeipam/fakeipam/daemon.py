"""Asking the node daemon for an address of a DanmNet (SPEC F2).

The daemon decides everything; what it is not there for is decided here: a DEL is kept for later,
the rest is to be tried again.
"""

import posix
import time

from danm_api.node_call import (
    PATIENCE_NS,
    SOCKET_PATH,
    DaemonUnreachableError,
    call_daemon,
)
from danm_api.node_frame import PROGRAM_FAKEIPAM, FrameError, encode_request
from danm_api.node_json import encode_json
from danm_api.node_tombstone import (
    FAKEIPAM_DIRECTORY,
    attachment_name,
    is_container_id,
    is_interface_name,
    write_tombstone,
)
from fakeipam.answer import RefusedError

# Codes of the CNI specification 1.1.0, "Error".
_INVALID_ENVIRONMENT = 4
_IO_FAILURE = 5
_TRY_AGAIN_LATER = 11
_NOT_AVAILABLE = 50
# Exists from the moment that the daemon was first ready since the node booted.
_READY_MARKER = "/run/danm/ready"
# As those of `danm` (SPEC C3; DESIGN, P5).
_DEADLINE_NS = 10_000_000_000
_DEL_DEADLINE_NS = 2_000_000_000
_AWAY = (
    "danmd, DANM's node daemon, does not answer on this node, and addresses of ipam.network come "
    "from it; try again. Look at the danm-cni Pod of this node: "
    "kubectl -n danm-system get pods -l app.kubernetes.io/name=danm-cni -o wide"
)


def names_network(config: dict[str, object]) -> bool:
    """Say whether a configuration asks for an address, rather than naming it."""
    section = config.get("ipam")
    return isinstance(section, dict) and not section.get("ip") and bool(section.get("network"))


def ask_daemon(
    verb: str, environment: dict[bytes, bytes], stdin: bytes, version: str
) -> tuple[int, bytes]:
    """Return the exit status and the standard output of one call.

    Raises:
        RefusedError: The call names no container or interface, or the daemon is away.
    """
    name = _attachment(environment) if verb in ("ADD", "DEL", "CHECK") else ""
    deadline_ns = time.monotonic_ns() + (_DEL_DEADLINE_NS if verb == "DEL" else _DEADLINE_NS)
    block = b"\0".join(key + b"=" + value for key, value in environment.items())
    try:
        frame = encode_request(
            program=PROGRAM_FAKEIPAM, deadline_ns=deadline_ns, environment=block, stdin=stdin
        )
    except FrameError as error:
        raise RefusedError(_IO_FAILURE, str(error)) from error
    path = environment.get(b"DANM_SOCKET", SOCKET_PATH.encode()).decode()
    # One that was there before is being replaced, or starts again.
    patience_ns = PATIENCE_NS if verb == "ADD" and _was_ready(environment) else 0
    try:
        return call_daemon(path, frame, deadline_ns=deadline_ns, patience_ns=patience_ns)
    except DaemonUnreachableError as error:
        return _without_daemon(verb, environment, name, frame, version, str(error))


def _attachment(environment: dict[bytes, bytes]) -> str:
    """Return the name of what the call is about, which is a plain file name."""
    container_id = environment.get(b"CNI_CONTAINERID", b"").decode("utf-8", "replace")
    interface = environment.get(b"CNI_IFNAME", b"").decode("utf-8", "replace")
    if not is_container_id(container_id):
        reason = f"CNI_CONTAINERID {container_id!r} is missing or not a container id"
        raise RefusedError(_INVALID_ENVIRONMENT, reason)
    if not is_interface_name(interface):
        reason = f"CNI_IFNAME {interface!r} is missing or not an interface's name"
        raise RefusedError(_INVALID_ENVIRONMENT, reason)
    return attachment_name(container_id, interface)


def _without_daemon(
    verb: str,
    environment: dict[bytes, bytes],
    name: str,
    frame: bytes,
    version: str,
    details: str,
) -> tuple[int, bytes]:
    """Return exit status and output for a daemon that is away."""
    code, reason = _TRY_AGAIN_LATER, _AWAY
    if verb == "STATUS":
        # A runtime that sees STATUS fail makes the whole node NotReady, and its Pods leave.
        if _was_ready(environment):
            return 0, b""
        code = _NOT_AVAILABLE
    elif verb == "DEL":
        directory = environment.get(b"DANM_FAKEIPAM_TOMBSTONES", FAKEIPAM_DIRECTORY.encode())
        try:
            write_tombstone(directory.decode(), name, frame)
        except OSError as error:
            reason = f"danmd is away and this DEL cannot be kept in {directory.decode()}: {error}"
        else:
            return 0, b""
    answer = {
        "cniVersion": version,
        "code": code,
        "msg": f"fakeipam: {reason}",
        "details": details,
    }
    return 1, encode_json(answer).encode() + b"\n"


def _was_ready(environment: dict[bytes, bytes]) -> bool:
    """Say whether the daemon has been ready since the node booted."""
    try:
        posix.stat(environment.get(b"DANM_READY_MARKER", _READY_MARKER.encode()))
    except OSError:
        return False
    return True
