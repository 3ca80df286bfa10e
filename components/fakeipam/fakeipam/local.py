"""What fakeipam answers by itself: it reads the configuration.

That is an address that the configuration names (SPEC F1), what is wrong with a call, and what
becomes of a call when the node daemon is away: a DEL is kept for later, the rest is to be tried
again.
"""

import json

from danm_api.node_call import (
    VERBS,
    DaemonUnreachableError,
    ask_daemon,
    request_frame,
    unreadable_variables,
    was_ready,
)
from danm_api.node_frame import MAX_STDIN_BYTES, PROGRAM_FAKEIPAM, FrameError, is_container_id
from danm_api.node_tombstone import (
    FAKEIPAM_DIRECTORY,
    attachment_name,
    is_interface_name,
    write_tombstone,
)
from fakeipam.answer import (
    SUPPORTED_VERSIONS,
    RefusedError,
    add_answer,
    error_answer,
    requested_version,
    require_verb,
    version_answer,
)

# Codes of the CNI specification 1.1.0, "Error".
_INVALID_ENVIRONMENT = 4
_IO_FAILURE = 5
_FAILED_TO_DECODE = 6
_TRY_AGAIN_LATER = 11
_NOT_AVAILABLE = 50
# An address that the configuration names is nobody's to give back, to collect or to miss.
_SILENT_VERBS = ("DEL", "GC", "STATUS")
_AWAY = (
    "danmd, DANM's node daemon, does not answer on this node, and addresses of ipam.network come "
    "from it; try again. Look at the danm-cni Pod of this node: "
    "kubectl -n danm-system get pods -l app.kubernetes.io/name=danm-cni -o wide"
)


def answer_here(
    verb: str, environment: dict[bytes, bytes], stdin: bytes, *, unreachable: str
) -> tuple[int, bytes]:
    """Return the exit status and what to print.

    Args:
        verb: Of the call.
        environment: Of the call.
        stdin: The configuration.
        unreachable: Why the daemon, which was asked already, did not answer; empty: ask it.
    """
    if verb == "VERSION":
        return 0, _printed(version_answer(_version_to_speak(stdin)))
    version = SUPPORTED_VERSIONS[-1]
    try:
        config = _config(stdin)
        version = requested_version(config)
        if verb not in VERBS:
            known = ", ".join(VERBS)
            message = f"CNI_COMMAND is {verb!r}; it must be VERSION or one of {known}"
            raise RefusedError(_INVALID_ENVIRONMENT, message)
        require_verb(verb, version)
        if unreadable := unreadable_variables(environment):
            reason = "; ".join(f"{name} is no text in UTF-8" for name in unreadable)
            raise RefusedError(_INVALID_ENVIRONMENT, reason)
        if not _names_network(config):
            return 0, _given(verb, config)
        name = _attachment(environment) if verb in ("ADD", "DEL", "CHECK") else ""
        frame = request_frame(PROGRAM_FAKEIPAM, verb, environment, stdin)
        if not unreachable:
            try:
                return ask_daemon(verb, environment, frame)
            except DaemonUnreachableError as error:
                unreachable = str(error)
        return 0, _without_daemon(verb, environment, frame, name)
    except FrameError as error:
        refusal = RefusedError(_IO_FAILURE, str(error))
    except RefusedError as error:
        refusal = error
    reason = f"fakeipam: {refusal.reason}"
    away = refusal.code in (_TRY_AGAIN_LATER, _NOT_AVAILABLE)
    answer = error_answer(version, refusal.code, reason, details=unreachable if away else "")
    return 1, _printed(answer)


def _version_to_speak(stdin: bytes) -> str:
    """Return the version for VERSION's answer, which tells who asks in another one what to ask in.

    It had no input before 1.0.0.
    """
    try:
        return requested_version(_config(stdin))
    except RefusedError:
        return SUPPORTED_VERSIONS[-1]


def _config(stdin: bytes) -> dict[str, object]:
    if len(stdin) > MAX_STDIN_BYTES:
        reason = f"the configuration has more than {MAX_STDIN_BYTES} bytes"
        raise RefusedError(_IO_FAILURE, reason)
    try:
        config = json.loads(stdin)
    except (ValueError, RecursionError) as error:
        raise RefusedError(_FAILED_TO_DECODE, f"standard input: {error}") from error
    if not isinstance(config, dict):
        raise RefusedError(_FAILED_TO_DECODE, "the configuration is not a JSON object")
    return config


def _names_network(config: dict[str, object]) -> bool:
    """Say whether a configuration asks for an address, rather than naming it."""
    section = config.get("ipam")
    return isinstance(section, dict) and not section.get("ip") and bool(section.get("network"))


def _given(verb: str, config: dict[str, object]) -> bytes:
    """Return what to print for an address that the configuration names (SPEC F1)."""
    if verb in _SILENT_VERBS:
        return b""
    answer = add_answer(config)
    return b"" if verb == "CHECK" else _printed(answer)


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


def _without_daemon(verb: str, environment: dict[bytes, bytes], frame: bytes, name: str) -> bytes:
    """Return what to print while the daemon is away.

    Raises:
        RefusedError: The call has to be tried again.
    """
    if verb == "STATUS":
        # A runtime that sees STATUS fail makes the whole node NotReady, and its Pods leave.
        if was_ready(environment):
            return b""
        raise RefusedError(_NOT_AVAILABLE, _AWAY)
    if verb != "DEL":
        raise RefusedError(_TRY_AGAIN_LATER, _AWAY)
    directory = environment.get(b"DANM_FAKEIPAM_TOMBSTONES", FAKEIPAM_DIRECTORY.encode())
    try:
        write_tombstone(directory.decode("utf-8", "surrogateescape"), name, frame)
    except OSError as error:
        reason = f"danmd is away and this DEL cannot be kept in {directory!r}: {error}"
        raise RefusedError(_TRY_AGAIN_LATER, reason) from error
    return b""


def _printed(answer: dict[str, object]) -> bytes:
    return json.dumps(answer).encode() + b"\n"
