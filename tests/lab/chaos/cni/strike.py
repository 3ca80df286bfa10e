"""Kills, stops and restarts within a node of the lab: it runs there.

It needs the standard library alone.

    python strike.py kill danmd|containerd|shims|plugins|sandbox SEED
    python strike.py freeze danmd
    python strike.py stop containerd SECONDS
    python strike.py reboot

It prints how many processes it has met.
"""

import ctypes
import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# include/uapi/linux/reboot.h: LINUX_REBOOT_CMD_RESTART.
_RESTART: Final = 0x01234567
_TRAP: Final = "/chaos/trap.py"


@dataclass(frozen=True, kw_only=True)
class Process:
    """One process.

    Attributes:
        name: As /proc/PID/comm has it.
        own_network: It is in another network namespace than this program.
    """

    pid: int
    parent: int
    name: str
    command: tuple[str, ...] = ()
    environment: frozenset[str] = frozenset()
    own_network: bool = False


def chosen(processes: Sequence[Process], what: str, chance: random.Random) -> list[int]:
    """Return whom a strike is at."""
    if what == "danmd":
        danmds = {each.pid for each in processes if _TRAP in each.command}
        # The one that starts it anew is left, and so is who wakes it.
        parents = {each.parent for each in processes if each.pid in danmds}
        return [
            each.pid for each in processes if each.pid in danmds & parents and each.parent in danmds
        ]
    if what == "plugins":
        return [
            each.pid
            for each in processes
            if any(entry.startswith("DANM_SANDBOX=") for entry in each.environment)
        ]
    if what == "sandbox":
        # Those in the node's own network are of DANM's parts: danmd has no part in them, and the
        # kubelet would soon wait for minutes before it starts them again.
        found = [each.pid for each in processes if each.name == "pause" and each.own_network]
        return chance.sample(found, min(len(found), 1))
    names = {"containerd": "containerd", "shims": "danm"}
    return [each.pid for each in processes if each.name == names[what]]


def processes() -> list[Process]:
    """Return all processes of this node."""
    found = []
    nodes_network = _network(Path("/proc/self"))
    for directory in Path("/proc").iterdir():
        # A process may end while it is looked at.
        with suppress(OSError, ValueError, IndexError):
            if not directory.name.isdecimal():
                continue
            status = (directory / "stat").read_text().rpartition(")")[2].split()
            found.append(
                Process(
                    pid=int(directory.name),
                    parent=int(status[1]),
                    name=(directory / "comm").read_text().strip(),
                    command=_words(directory / "cmdline"),
                    environment=frozenset(_words(directory / "environ")),
                    own_network=_network(directory) != nodes_network,
                )
            )
    return found


def _network(process: Path) -> str:
    return str((process / "ns" / "net").readlink())


def _words(path: Path) -> tuple[str, ...]:
    return tuple(path.read_bytes().decode(errors="replace").split("\0"))


def main() -> None:
    """Strike."""
    act, *rest = sys.argv[1:]
    if act == "reboot":
        ctypes.CDLL(None).reboot(_RESTART)
        return
    what, *more = rest
    struck = chosen(processes(), what, random.Random(more[0] if more else ""))  # noqa: S311
    for pid in struck:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL if act == "kill" else signal.SIGSTOP)
    if act == "stop":
        time.sleep(float(more[0]))
        for pid in struck:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    sys.stdout.write(f"{len(struck)}\n")


if __name__ == "__main__":
    main()
