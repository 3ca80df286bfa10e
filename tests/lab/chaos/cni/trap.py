"""danmd with traps at its failpoints: the program that chaos tests run in danmd's place.

The lab mounts this one file into danmd's container, so it imports danmd and the standard library
alone. The directory that DANM_TRAP names has

- ``plan``: a JSON object a line, ``{"point": ..., "action": ..., "hold_s": ...}``: traps that are
  met in this order, each once, also over several lives of danmd;
- ``met``: a line for each trap that was met, written before it does anything;
- ``go-N``: lets the Nth trap (from 0), whose action is to wait, go on.
"""

import ctypes
import json
import os
import signal
import struct
import sys
import threading
import time
from errno import ENOSPC
from functools import partial
from pathlib import Path
from typing import Any, Final

from danm_api.errors import (
    ApiUnavailableError,
    DelegateError,
    IpamUnavailableError,
    LinkSetupError,
)
from danm_cni.failpoints import IN_THE_KERNEL, Effect, observed_by

VARIABLE: Final = "DANM_TRAP"
# Not empty: start danmd again when it was killed.
STAYS: Final = "DANM_TRAP_STAYS"
# include/uapi/linux/prctl.h
_PR_SET_PDEATHSIG: Final = 1
_POLL_S: Final = 0.005
_LONGEST_WAIT_S: Final = 60.0
_HOLD: Final = struct.Struct("d")

_IPAM: Final = {Effect.RESERVE, Effect.RELEASE}
_API: Final = {
    Effect.CREATE_ENDPOINT,
    Effect.UPDATE_ENDPOINT,
    Effect.DELETE_ENDPOINT,
    Effect.ANNOTATE,
}
_PLUGINS: Final = {Effect.RUN_ADD, Effect.RUN_DEL}


def error_at(point: str) -> Exception:
    """Return what goes wrong with an effect in real life; all others are files."""
    effect = Effect(point.partition(" ")[2])
    why = f"a test failed it {point}"
    if effect in _IPAM:
        return IpamUnavailableError(why)
    if effect in _API:
        return ApiUnavailableError(why, status=0)
    if effect in _PLUGINS:
        return DelegateError(why, code=999)
    if effect in IN_THE_KERNEL:
        return LinkSetupError(why)
    if effect is Effect.ANSWER:
        return BrokenPipeError(why)
    return OSError(ENOSPC, os.strerror(ENOSPC), why)


class Trap:
    """Meets what is planned."""

    def __init__(self, directory: Path, *, nurse: int) -> None:
        """Read the plan in a directory; ``nurse`` is the pipe of who wakes a stopped danmd."""
        self._directory = directory
        self._nurse = nurse
        self._lock = threading.Lock()

    def __call__(self, point: str) -> None:
        """Do what is planned for a failpoint, if its turn has come."""
        with self._lock:
            planned = _lines(self._directory / "plan")
            number = len(_lines(self._directory / "met"))
            if number >= len(planned) or planned[number]["point"] != point:
                return
            with (self._directory / "met").open("a") as file:
                file.write(json.dumps({"point": point, "at": time.monotonic()}) + "\n")
        self._act(planned[number], number)

    def _act(self, planned: dict[str, Any], number: int) -> None:
        match planned["action"]:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "stop":
                os.write(self._nurse, _HOLD.pack(planned["hold_s"]))
                os.kill(os.getpid(), signal.SIGSTOP)
            case "error":
                raise error_at(planned["point"])
            case "wait":
                deadline = time.monotonic() + _LONGEST_WAIT_S
                go = self._directory / f"go-{number}"
                while not go.exists() and time.monotonic() < deadline:
                    time.sleep(_POLL_S)


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in path.read_text().splitlines()]
    except FileNotFoundError:
        return []


def start_nurse() -> int:
    """Start who lets this process go on after it has stopped; return the pipe to it.

    It is not a child of the moment: that would be in whichever namespace the moment is in.
    """
    patient = os.getpid()
    reading, writing = os.pipe()
    if os.fork():
        os.close(reading)
        return writing
    os.close(writing)
    while data := os.read(reading, _HOLD.size):
        time.sleep(_HOLD.unpack(data)[0])
        os.kill(patient, signal.SIGCONT)
    os._exit(0)


def _pass_on(child: int, number: int, frame: object) -> None:
    del frame
    os.kill(child, number)


def stay() -> None:
    """Return in a child of this process, and in another one whenever that was killed.

    To the kubelet it is one container that never ends: it would wait longer after each end.
    """
    while child := os.fork():
        signal.signal(signal.SIGTERM, partial(_pass_on, child))
        _, status = os.waitpid(child, 0)
        if not (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL):
            sys.exit(max(os.waitstatus_to_exitcode(status), 0))
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def main() -> None:
    """Run danmd with its arguments."""
    directory = Path(os.environ[VARIABLE])
    if os.environ.get(STAYS):
        stay()
    nurse = start_nurse()
    # Not before: it may start threads, after which nothing can be forked.
    from danm_cni.__main__ import main as danmd

    with observed_by(Trap(directory, nurse=nurse)):
        danmd(sys.argv[1:])


if __name__ == "__main__":
    main()
