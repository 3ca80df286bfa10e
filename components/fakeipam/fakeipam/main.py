"""The flow of one call of fakeipam. Few imports: each costs time at every call.

A configuration that asks for an address of a DanmNet goes to the node daemon as it is, unread.
Everything else is answered by ``fakeipam.local``, which reads it: importing what that needs takes
longer than a whole call (docs/decisions/0018).
"""

import posix

from danm_api.node_call import (
    VERBS,
    DaemonUnreachableError,
    ask_daemon,
    request_frame,
    unreadable_variables,
)
from danm_api.node_frame import MAX_STDIN_BYTES, PROGRAM_FAKEIPAM, FrameError


def answer_call(environment: dict[bytes, bytes], stdin: bytes) -> tuple[int, bytes]:
    """Return the exit status and what to print."""
    verb = environment.get(b"CNI_COMMAND", b"").decode("ascii", "replace")
    unreachable = ""
    asks = b'"network"' in stdin and b'"ip"' not in stdin
    if verb in VERBS and asks and not unreadable_variables(environment):
        try:
            frame = request_frame(PROGRAM_FAKEIPAM, verb, environment, stdin)
            return ask_daemon(verb, environment, frame)
        except DaemonUnreachableError as error:
            unreachable = str(error) or "no answer"
        except FrameError:
            # To be told in the version of the request.
            pass
    from fakeipam.local import answer_here

    return answer_here(verb, environment, stdin, unreachable=unreachable)


def main() -> int:
    """Run one call on the process's own environment and streams; return the exit status."""
    parts, size = [], 0
    while size <= MAX_STDIN_BYTES and (part := posix.read(0, 1 << 16)):
        parts.append(part)
        size += len(part)
    # What is too large is refused with all of it unread.
    status, output = answer_call(dict(posix.environ), b"".join(parts))
    view = memoryview(output)
    while view:
        view = view[posix.write(1, view) :]
    return status
