"""Kills, stops and restarts within a node of the lab: it runs there.

It needs the standard library alone.

    python strike.py kill danmd|containerd|shims|plugins SEED WITHIN
    python strike.py kill sandbox SEED WITHIN JOURNAL
    python strike.py freeze danmd
    python strike.py stop containerd SECONDS WITHIN
    python strike.py reboot

Where nobody is there it looks again for WITHIN seconds. It prints how many processes it has met.
"""

import ctypes
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# include/uapi/linux/reboot.h: LINUX_REBOOT_CMD_RESTART.
_RESTART: Final = 0x01234567
_TRAP: Final = "/chaos/trap.py"
# A plugin lives for some tenths of a second on an emulated processor, a sandbox for seconds; all
# processes are read each time, so who can wait does.
_LOOK_AGAIN_S: Final = 0.1
_LOOK_FOR_SANDBOX_AGAIN_S: Final = 1.0


@dataclass(frozen=True, kw_only=True)
class Process:
    """One process.

    Attributes:
        name: As /proc/PID/comm has it.
        network: Its network namespace, by the number of its file; 0 where it is not known.
    """

    pid: int
    parent: int
    name: str
    command: tuple[str, ...] = ()
    environment: frozenset[str] = frozenset()
    network: int = 0


def chosen(
    processes: Sequence[Process],
    what: str,
    chance: random.Random,
    networks: Collection[int] = frozenset(),
) -> list[int]:
    """Return whom a strike is at.

    Args:
        processes: All of the node.
        what: A word of the command line.
        chance: Chooses the sandbox.
        networks: Those of the Pods whose sandboxes may be struck.
    """
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
        found = [
            each.pid for each in processes if each.name == "pause" and each.network in networks
        ]
        return chance.sample(found, min(len(found), 1))
    names = {"containerd": "containerd", "shims": "danm"}
    return [each.pid for each in processes if each.name == names[what]]


def processes() -> list[Process]:
    """Return all processes of this node."""
    found = []
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
                    network=(directory / "ns" / "net").stat().st_ino,
                )
            )
    return found


def _words(path: Path) -> tuple[str, ...]:
    return tuple(path.read_bytes().decode(errors="replace").split("\0"))


def with_addresses(journal: Path) -> set[int]:
    """Return the networks of Pods that danmd has added with addresses of ipam-svc.

    Others keep nothing when their sandbox dies. The cluster's own Pods are not there, which is as
    well: the kubelet would soon wait for minutes before it starts them again.
    """
    found = set[int]()
    for path in journal.glob("*.json"):
        # Records and namespaces may go while they are looked at.
        with suppress(OSError, ValueError, KeyError):
            record = json.loads(path.read_bytes())
            reserved = any(each["reserved"] for each in record["interfaces"])
            if record["state"] == "added" and reserved:
                found.add(Path(record["netns"]).stat().st_ino)
    return found


def strike(
    find: Callable[[], Sequence[int]],
    number: signal.Signals,
    *,
    within_s: float,
    again_s: float = _LOOK_AGAIN_S,
) -> list[int]:
    """Send a signal to those whom a strike is at, as soon as there is anybody; return them.

    Args:
        find: Says whom it is at, now.
        number: The signal.
        within_s: How long to look for somebody.
        again_s: Between two looks.
    """
    deadline = time.monotonic() + within_s
    while True:
        met = [pid for pid in find() if _sent(pid, number)]
        if met or time.monotonic() >= deadline:
            return met
        time.sleep(again_s)


def _sent(pid: int, number: signal.Signals) -> bool:
    """Send a signal; say whether there was still somebody to get it."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def main() -> None:
    """Strike."""
    act, *rest = sys.argv[1:]
    if act == "reboot":
        ctypes.CDLL(None).reboot(_RESTART)
        return
    what, *more = rest
    seed, within, journal = (*more, *("", "0", "")[len(more) :])
    chance = random.Random(seed)  # noqa: S311  (nothing secret)

    def find() -> list[int]:
        networks = with_addresses(Path(journal)) if what == "sandbox" else set[int]()
        return chosen(processes(), what, chance, networks)

    number = signal.SIGKILL if act == "kill" else signal.SIGSTOP
    again_s = _LOOK_FOR_SANDBOX_AGAIN_S if what == "sandbox" else _LOOK_AGAIN_S
    met = strike(find, number, within_s=float(within), again_s=again_s)
    if act == "stop":
        time.sleep(float(seed))
        for pid in met:
            _sent(pid, signal.SIGCONT)
    sys.stdout.write(f"{len(met)}\n")


if __name__ == "__main__":
    main()
