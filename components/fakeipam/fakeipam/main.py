"""The flow of one call of fakeipam. Few imports: each costs time at every call."""

import json
import posix

from fakeipam.answer import (
    SUPPORTED_VERSIONS,
    RefusedError,
    add_answer,
    error_answer,
    requested_version,
    version_answer,
)

_INVALID_ENVIRONMENT = 4
_FAILED_TO_DECODE = 6
# Nothing is allocated here, so there is nothing to give back, to collect or to find missing.
_SILENT_VERBS = ("DEL", "GC", "STATUS")


def answer_call(verb: str, stdin: bytes) -> tuple[int, dict[str, object] | None]:
    """Return the exit status and what to print; None prints nothing."""
    newest = SUPPORTED_VERSIONS[-1]
    try:
        config = json.loads(stdin)
        if not isinstance(config, dict):
            message = "the configuration is not a JSON object"
            raise TypeError(message)
    except (ValueError, TypeError) as error:
        if verb == "VERSION" and not stdin.strip():
            return 0, version_answer(newest)
        return 1, error_answer(newest, _FAILED_TO_DECODE, f"standard input: {error}")
    try:
        version = requested_version(config)
        if verb == "VERSION":
            return 0, version_answer(version)
        if verb == "ADD":
            return 0, add_answer(config)
        if verb == "CHECK":
            add_answer(config)
            return 0, None
    except RefusedError as error:
        return 1, error_answer(newest, error.code, f"fakeipam: {error.reason}")
    if verb in _SILENT_VERBS:
        return 0, None
    message = f"CNI_COMMAND is {verb!r}; it must be ADD, DEL, CHECK, GC, STATUS or VERSION"
    return 1, error_answer(version, _INVALID_ENVIRONMENT, message)


def main() -> int:
    """Run one call on the process's own environment and streams; return the exit status."""
    parts = []
    while part := posix.read(0, 1 << 16):
        parts.append(part)
    verb = posix.environ.get(b"CNI_COMMAND", b"").decode("ascii", "replace")
    status, answer = answer_call(verb, b"".join(parts))
    if answer is not None:
        view = memoryview(json.dumps(answer).encode() + b"\n")
        while view:
            view = view[posix.write(1, view) :]
    return status
