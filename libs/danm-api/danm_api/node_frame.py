"""The frames between the executables (`danm`, `fakeipam`) and the node daemon on its unix socket.

And what both call a container id: a request may become a file that is named by it.

Pure, and without any import, because the executables start for every CNI call and each import costs
them time (docs/decisions/0003-static-executables.md). The executables forward what they were given
as it is; the daemon parses.

A request: magic (8 bytes), program (1), absolute deadline in CLOCK_MONOTONIC nanoseconds or 0 for
none (8), length (4) and the environment as NUL-separated KEY=VALUE, length (4) and standard input.
An answer: magic (8), exit status (1), length (4) and what to print on standard output. All numbers
are big-endian and unsigned.
"""

MAGIC = b"DANMCNI1"
PROGRAM_DANM = 1
PROGRAM_FAKEIPAM = 2

# Linux limits one argument or variable to 128 KiB; a CNI call has a few small ones.
MAX_ENVIRONMENT_BYTES = 1 << 20
# A CNI configuration with a long prevResult has some ten kilobytes.
MAX_STDIN_BYTES = 4 << 20
MAX_ANSWER_BYTES = 16 << 20

# Linux: NAME_MAX is 255, and files here have more before and after the id; usual ones have 64.
MAX_CONTAINER_ID_LENGTH = 200
_ID_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")

REQUEST_HEAD_BYTES = 8 + 1 + 8 + 4
ANSWER_HEAD_BYTES = 8 + 1 + 4


class FrameError(Exception):
    """Bytes that are no frame of this protocol."""


def encode_request(*, program: int, deadline_ns: int, environment: bytes, stdin: bytes) -> bytes:
    """Return a request's bytes.

    Raises:
        FrameError: The environment or the input is larger than the limits above.
    """
    if len(environment) > MAX_ENVIRONMENT_BYTES or len(stdin) > MAX_STDIN_BYTES:
        message = (
            f"the environment ({len(environment)} bytes) or the input ({len(stdin)}) is too large"
        )
        raise FrameError(message)
    return b"".join(
        (
            MAGIC,
            program.to_bytes(1, "big"),
            deadline_ns.to_bytes(8, "big"),
            len(environment).to_bytes(4, "big"),
            environment,
            len(stdin).to_bytes(4, "big"),
            stdin,
        )
    )


def postpone_request(request: bytes, by_ns: int) -> bytes:
    """Return the same request with a later deadline; one without (0) stays without."""
    deadline_ns = int.from_bytes(request[9:17], "big")
    if deadline_ns == 0:
        return request
    return request[:9] + (deadline_ns + by_ns).to_bytes(8, "big") + request[17:]


def decode_request_head(head: bytes) -> tuple[int, int, int]:
    """Return program, deadline in nanoseconds, and the environment's length.

    Args:
        head: Exactly REQUEST_HEAD_BYTES bytes.

    Raises:
        FrameError: Another protocol, or more than the limits allow.
    """
    if len(head) != REQUEST_HEAD_BYTES or head[:8] != MAGIC:
        message = "not a request of this protocol"
        raise FrameError(message)
    program = head[8]
    if program not in (PROGRAM_DANM, PROGRAM_FAKEIPAM):
        message = f"unknown program {program}"
        raise FrameError(message)
    length = int.from_bytes(head[17:21], "big")
    if length > MAX_ENVIRONMENT_BYTES:
        message = f"an environment of {length} bytes is too large"
        raise FrameError(message)
    return program, int.from_bytes(head[9:17], "big"), length


def decode_request(data: bytes) -> tuple[int, int, bytes, bytes]:
    """Return program, deadline in nanoseconds, environment and standard input of a whole request.

    Raises:
        FrameError: The bytes are not exactly one request.
    """
    program, deadline_ns, length = decode_request_head(data[:REQUEST_HEAD_BYTES])
    start = REQUEST_HEAD_BYTES + length
    stdin = data[start + 4 :]
    if len(data) < start + 4 or int.from_bytes(data[start : start + 4], "big") != len(stdin):
        message = "a request that is cut off, or followed by something else"
        raise FrameError(message)
    return program, deadline_ns, data[REQUEST_HEAD_BYTES:start], stdin


def encode_answer(*, status: int, stdout: bytes) -> bytes:
    """Return an answer's bytes.

    Raises:
        FrameError: The output is larger than MAX_ANSWER_BYTES.
    """
    if len(stdout) > MAX_ANSWER_BYTES:
        message = f"an answer of {len(stdout)} bytes is too large"
        raise FrameError(message)
    return MAGIC + status.to_bytes(1, "big") + len(stdout).to_bytes(4, "big") + stdout


def decode_answer_head(head: bytes) -> tuple[int, int]:
    """Return exit status and the output's length.

    Raises:
        FrameError: Another protocol, or more than the limit.
    """
    if len(head) != ANSWER_HEAD_BYTES or head[:8] != MAGIC:
        message = "not an answer of this protocol"
        raise FrameError(message)
    length = int.from_bytes(head[9:13], "big")
    if length > MAX_ANSWER_BYTES:
        message = f"an answer of {length} bytes is too large"
        raise FrameError(message)
    return head[8], length


def is_container_id(text: str) -> bool:
    """Say whether a text is a container id, and so a plain file name.

    Source: CNI specification 1.1.0, section 2: starts alphanumeric, then also ``_``, ``.`` and
    ``-``.
    """
    return (
        0 < len(text) <= MAX_CONTAINER_ID_LENGTH
        and text[0] not in "_.-"
        and _ID_CHARACTERS.issuperset(text)
    )
