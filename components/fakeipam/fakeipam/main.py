"""The flow of one call of fakeipam. Few imports: each costs time at every call."""

import posix

from danm_api.node_frame import MAX_STDIN_BYTES
from danm_api.node_json import encode_json
from fakeipam.answer import (
    SUPPORTED_VERSIONS,
    RefusedError,
    add_answer,
    error_answer,
    requested_version,
    require_verb,
    version_answer,
)
from fakeipam.daemon import ask_daemon, names_network
from fakeipam.json_text import NotJsonError, decode_json

_INVALID_ENVIRONMENT = 4
_IO_FAILURE = 5
_FAILED_TO_DECODE = 6
_VERBS = ("ADD", "DEL", "CHECK", "GC", "STATUS")
# An address that the configuration names is nobody's to give back, to collect or to miss.
_SILENT_VERBS = ("DEL", "GC", "STATUS")


def answer_call(environment: dict[bytes, bytes], stdin: bytes) -> tuple[int, bytes]:
    """Return the exit status and what to print."""
    verb = environment.get(b"CNI_COMMAND", b"").decode("ascii", "replace")
    if verb == "VERSION":
        return 0, _printed(version_answer(_version_to_speak(stdin)))
    version = SUPPORTED_VERSIONS[-1]
    try:
        config = _config(stdin)
        version = requested_version(config)
        if verb not in _VERBS:
            known = ", ".join(_VERBS)
            message = f"CNI_COMMAND is {verb!r}; it must be VERSION or one of {known}"
            raise RefusedError(_INVALID_ENVIRONMENT, message)
        require_verb(verb, version)
        if names_network(config):
            return ask_daemon(verb, environment, stdin, version)
        return 0, _given(verb, config)
    except RefusedError as error:
        return 1, _printed(error_answer(version, error.code, f"fakeipam: {error.reason}"))


def _version_to_speak(stdin: bytes) -> str:
    """Return the version for VERSION's answer, which tells who asks in another one what to ask in.

    It had no input before 1.0.0.
    """
    try:
        return requested_version(_config(stdin))
    except RefusedError:
        return SUPPORTED_VERSIONS[-1]


def _config(stdin: bytes) -> dict[str, object]:
    try:
        config = decode_json(stdin)
    except NotJsonError as error:
        raise RefusedError(_FAILED_TO_DECODE, f"standard input: {error}") from error
    if not isinstance(config, dict):
        raise RefusedError(_FAILED_TO_DECODE, "the configuration is not a JSON object")
    return config


def _given(verb: str, config: dict[str, object]) -> bytes:
    """Return what to print for an address that the configuration names (SPEC F1)."""
    if verb in _SILENT_VERBS:
        return b""
    answer = add_answer(config)
    return b"" if verb == "CHECK" else _printed(answer)


def _printed(answer: dict[str, object]) -> bytes:
    return encode_json(answer).encode() + b"\n"


def main() -> int:
    """Run one call on the process's own environment and streams; return the exit status."""
    parts, size = [], 0
    while size <= MAX_STDIN_BYTES and (part := posix.read(0, 1 << 16)):
        parts.append(part)
        size += len(part)
    if size > MAX_STDIN_BYTES:
        reason = f"the configuration has more than {MAX_STDIN_BYTES} bytes"
        status, output = 1, _printed(error_answer(SUPPORTED_VERSIONS[-1], _IO_FAILURE, reason))
    else:
        status, output = answer_call(dict(posix.environ), b"".join(parts))
    view = memoryview(output)
    while view:
        view = view[posix.write(1, view) :]
    return status
