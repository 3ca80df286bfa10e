"""A place of its own for a node: namespaces for its network, files and processes.

Whatever happens to the program in them, the kernel removes all of it at once when process 1 of the
place ends, and that ends when its standard input does: when its starter has what it wants, is
interrupted or dies.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.lab.errors import LabError, StartError
from tests.lab.system import program

_STOP_S: Final = 10.0


def run_confined(module: str, job: bytes, *, timeout_s: float) -> bytes:
    """Run a module as process 1 of new namespaces and return what it printed.

    Args:
        module: Its first steps are `read_job` and `furnish`.
        job: The line that it reads from standard input.
        timeout_s: How long it may take.

    Raises:
        LabError: It failed; it has said why on standard error.
    """
    command = [program("unshare"), "--mount", "--net", "--pid", "--fork", "--mount-proc"]
    command += ["--kill-child", "--", sys.executable, "-m", module]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path)),
        # An interrupt is for this process, which ends that one.
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    overdue = threading.Timer(timeout_s, process.stdin.close)
    overdue.start()
    try:
        with suppress(BrokenPipeError):
            process.stdin.write(job + b"\n")
            process.stdin.flush()
        output = process.stdout.read()
    finally:
        overdue.cancel()
        _end(process)
    if process.returncode != 0:
        raise LabError(f"{module} ended with status {process.returncode}.")
    return output


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(BrokenPipeError):
        process.stdin.close()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()


def read_job() -> bytes:
    """Return the job; from now on this process ends when its standard input does."""
    job = sys.stdin.buffer.readline()
    threading.Thread(target=_end_with_input, name="leash", daemon=True).start()
    return job


def _end_with_input() -> None:
    # Not by the buffered reader, whose lock the interpreter wants at its end.
    while os.read(0, 1):
        pass
    os._exit(1)


def furnish(directory: Path) -> None:
    """Give this place directories of its own.

    `/run` is empty; `/var/lib`, where a node keeps what must survive, is on a disk.

    Args:
        directory: On that disk.

    Raises:
        StartError: The machine refuses a mount.
    """
    kept = directory / "var-lib"
    kept.mkdir()
    _mount(["-t", "tmpfs", "none", "/run"])
    _mount(["--bind", str(kept), "/var/lib"])
    Path("/run/netns").mkdir()


def _mount(arguments: Sequence[str]) -> None:
    done = subprocess.run(
        [program("mount"), *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise StartError(f"`mount {' '.join(arguments)}` failed: {done.stderr.strip()}")
