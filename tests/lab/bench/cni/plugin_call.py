"""One call of an executable, as a container runtime makes it, measured.

Both sides are driven by this: what it costs itself is the same for both.
"""

import fcntl
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

# A configuration waits in the pipe, so that nobody has to feed the process while it runs.
_PIPE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How a process ended.

    Attributes:
        status: Its exit status; negative for the signal that killed it.
        output: What it printed on standard output.
        took_ms: From before its start until it had ended.
    """

    status: int
    output: bytes
    took_ms: float


def call(
    command: Sequence[str],
    environment: Mapping[str, str],
    stdin: bytes = b"",
    *,
    timeout_s: float | None = None,
    with_errors: bool = False,
) -> Answer:
    """Run a process to its end.

    Args:
        command: Its path, and arguments.
        environment: All of its environment.
        stdin: What it reads, at most 1 MB.
        timeout_s: When it is killed.
        with_errors: Whether what it prints on standard error is part of its output.

    Raises:
        OSError: It cannot be started.
    """
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    try:
        fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        os.write(write_end, stdin)
    finally:
        os.close(write_end)
    started = time.perf_counter()
    try:
        process = subprocess.Popen(
            command,
            stdin=read_end,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if with_errors else subprocess.DEVNULL,
            env=environment,
        )
    finally:
        os.close(read_end)
    with process:
        try:
            output, _ = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
        took_ms = (time.perf_counter() - started) * 1000
    return Answer(status=process.returncode, output=output, took_ms=took_ms)
