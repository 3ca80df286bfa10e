"""Programs in the background: those that end with their starter, and those that outlive it."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from tests.lab.errors import StartError

_POLL_S: Final = 0.05
_STOP_S: Final = 10.0
_LOG_TAIL_LINES: Final = 15

# Ends the program as soon as standard input closes, which the kernel does whenever the process
# that holds the other end dies, and ends itself when the program does. An API server whose etcd
# went first never ends by itself.
_LEASH: Final = """
exec 3<&0
"$@" < /dev/null 3<&- &
child=$!
(
  cat <&3 > /dev/null
  kill -TERM $child
  for _ in 1 2 3 4 5; do sleep 1; kill -0 $child || exit; done
  kill -KILL $child
) 2> /dev/null &
exec 3<&-
wait $child
"""


@dataclass(frozen=True, slots=True)
class Background:
    """A program that was started."""

    name: str
    log: Path
    process: subprocess.Popen[bytes]

    def failure(self) -> StartError | None:
        """Return why the program is not running any more; None while it runs."""
        status = self.process.poll()
        if status is None:
            return None
        return StartError(
            f"{self.name} ended with status {status}; its log {self.log} closes with:\n"
            f"{log_tail(self.log)}"
        )

    def stop(self) -> None:
        """End the program and wait for its end. Safe to call twice."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class _Detached(subprocess.Popen[bytes]):
    def __del__(self) -> None:
        """Nothing is wrong with a program that runs on: it is meant to outlive this process."""


class Starter(Protocol):
    """Starts a program in the background."""

    def __call__(
        self, name: str, argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None
    ) -> Background:
        """Start a program whose output goes to a log file."""


def start_leashed(
    name: str, argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None
) -> Background:
    """Start a program that ends when this process does, however that happens."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["/bin/sh", "-c", _LEASH, name, *argv],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            start_new_session=True,
        )
    return Background(name, log, process)


def start_detached(
    name: str, argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None
) -> Background:
    """Start a program that goes on when this process has ended."""
    with log.open("wb") as output:
        process = _Detached(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            start_new_session=True,
        )
    return Background(name, log, process)


def wait_until(
    condition: Callable[[], bool],
    *,
    what: str,
    timeout_s: float,
    alive: Sequence[Background] = (),
    poll_s: float = _POLL_S,
) -> None:
    """Wait for a condition.

    Args:
        condition: What is waited for.
        what: The condition in words.
        timeout_s: How long at most.
        alive: Programs without which waiting makes no sense.
        poll_s: How often to look.

    Raises:
        StartError: The time is over, or one of the programs ended.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        for background in alive:
            if (failure := background.failure()) is not None:
                raise failure
        if time.monotonic() > deadline:
            logs = ", ".join(str(background.log) for background in alive)
            raise StartError(
                f"{what}: not within {timeout_s:.0f} s." + (f" Logs: {logs}" if logs else "")
            )
        time.sleep(poll_s)


def log_tail(log: Path) -> str:
    """Return the last lines of a log."""
    lines = log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
    return "\n".join(f"    {line}" for line in lines)
