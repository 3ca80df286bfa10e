"""The flow of one call: forward it to the node daemon, print its answer (SPEC C1, C2, C4).

Only modules that are built into the interpreter are imported: each further one costs time at every
call.
"""

import posix

from danm_api.node_call import (
    VERBS,
    DaemonUnreachableError,
    ask_daemon,
    request_frame,
    unreadable_variables,
    was_ready,
)
from danm_api.node_frame import MAX_STDIN_BYTES, PROGRAM_DANM, FrameError, is_container_id
from danm_api.node_tombstone import DIRECTORY, is_interface_name, write_tombstone
from danm_cni.shim.answers import (
    INCOMPATIBLE_VERSION,
    INVALID_ENVIRONMENT,
    IO_FAILURE,
    PLUGIN_NOT_AVAILABLE,
    SINCE,
    TRY_AGAIN_LATER,
    error_answer,
    is_missing,
    requested_version,
    version_answer,
)

_AWAY = (
    "danmd, DANM's node daemon, does not answer on this node; the runtime will try again. "
    "Look at the danm-cni Pod of this node: "
    "kubectl -n danm-system get pods -l app.kubernetes.io/name=danm-cni -o wide"
)


def read_stdin() -> bytes:
    """Return all of standard input.

    Raises:
        FrameError: It is larger than any CNI configuration.
    """
    parts: list[bytes] = []
    size = 0
    while part := posix.read(0, 1 << 16):
        parts.append(part)
        size += len(part)
        if size > MAX_STDIN_BYTES:
            message = f"the configuration has more than {MAX_STDIN_BYTES} bytes"
            raise FrameError(message)
    return b"".join(parts)


def _without_daemon(
    verb: str, environment: dict[bytes, bytes], frame: bytes, stdin: bytes, reason: str
) -> tuple[int, bytes]:
    """Return exit status and output for a daemon that is away."""
    version = requested_version(stdin)
    if is_missing(verb, version):
        message = (
            f"{verb} does not exist in version {version} of the CNI specification, which the "
            f"configuration has; it came with {SINCE[verb]}"
        )
        return 1, error_answer(stdin, code=INCOMPATIBLE_VERSION, message=message)
    if verb == "STATUS":
        # A runtime that sees STATUS fail makes the whole node NotReady, and its Pods leave.
        if was_ready(environment):
            return 0, b""
        return 1, error_answer(stdin, code=PLUGIN_NOT_AVAILABLE, message=_AWAY, details=reason)
    if verb == "DEL":
        container_id = environment.get(b"CNI_CONTAINERID", b"").decode("ascii", "replace")
        directory = environment.get(b"DANM_TOMBSTONES", DIRECTORY.encode())
        try:
            write_tombstone(directory.decode("utf-8", "surrogateescape"), container_id, frame)
        except OSError as error:
            message = f"danmd is away and this DEL cannot be kept in {directory!r}: {error}"
            return 1, error_answer(stdin, code=TRY_AGAIN_LATER, message=message, details=reason)
        return 0, b""
    return 1, error_answer(stdin, code=TRY_AGAIN_LATER, message=_AWAY, details=reason)


def _faults(verb: str, environment: dict[bytes, bytes]) -> list[str]:
    """Return what is wrong with the variables: all are to be named."""
    unreadable = unreadable_variables(environment)
    faults = [f"{name} is no text in UTF-8" for name in unreadable]
    if verb not in ("ADD", "DEL", "CHECK"):
        return faults
    container_id = environment.get(b"CNI_CONTAINERID", b"").decode("utf-8", "replace")
    if "CNI_CONTAINERID" not in unreadable and not is_container_id(container_id):
        faults.append(f"CNI_CONTAINERID {container_id!r} is missing or not a container id")
    interface = environment.get(b"CNI_IFNAME", b"").decode("utf-8", "replace")
    if "CNI_IFNAME" not in unreadable and not is_interface_name(interface):
        faults.append(f"CNI_IFNAME {interface!r} is missing or not an interface's name")
    if verb != "DEL" and not environment.get(b"CNI_NETNS"):
        faults.append(f"CNI_NETNS is missing, and {verb} needs it")
    return faults


def answer_call(environment: dict[bytes, bytes], stdin: bytes) -> tuple[int, bytes]:
    """Return the exit status and the standard output of one CNI call."""
    verb = environment.get(b"CNI_COMMAND", b"").decode("ascii", "replace")
    if verb == "VERSION":
        return 0, version_answer(stdin)
    if verb not in VERBS:
        message = f"CNI_COMMAND is {verb!r}; it must be VERSION or one of {', '.join(VERBS)}"
        return 1, error_answer(stdin, code=INVALID_ENVIRONMENT, message=message)
    message = "; ".join(_faults(verb, environment))
    if message:
        return 1, error_answer(stdin, code=INVALID_ENVIRONMENT, message=message)
    try:
        frame = request_frame(PROGRAM_DANM, verb, environment, stdin)
    except FrameError as error:
        return 1, error_answer(stdin, code=IO_FAILURE, message=str(error))
    try:
        return ask_daemon(verb, environment, frame)
    except DaemonUnreachableError as error:
        return _without_daemon(verb, environment, frame, stdin, str(error))


def main() -> int:
    """Run one CNI call on the process's own environment and streams; return the exit status."""
    try:
        stdin = read_stdin()
    except (OSError, FrameError) as error:
        status, output = 1, error_answer(b"", code=IO_FAILURE, message=f"standard input: {error}")
    else:
        status, output = answer_call(dict(posix.environ), stdin)
    view = memoryview(output)
    while view:
        view = view[posix.write(1, view) :]
    return status
