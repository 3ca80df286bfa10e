"""What processes use, by /proc; and what servers count, by /metrics."""

import os
import re
import ssl
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_PROC: Final = Path("/proc")
# include/linux/posix-timers.h: with a process's number, the clock of its processor time.
_CPUCLOCK_SCHED: Final = 2
_METRICS_TIMEOUT_S: Final = 10.0


def process_tree(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    found = [pid]
    for parent in found:
        for tasks in (_PROC / str(parent) / "task").glob("*/children"):
            try:
                found += map(int, tasks.read_text().split())
            except OSError:
                # It ended meanwhile.
                continue
    return found


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process and of all that descend from it."""
    found = 0.0
    for each in process_tree(pid):
        with suppress(OSError):
            # /proc counts in hundredths of a second, which is longer than most of what is measured.
            found += time.clock_gettime((~each << 3) | _CPUCLOCK_SCHED)
    return found


def machine_seconds() -> float:
    """Return the processor time that everything on this machine has used."""
    first = (_PROC / "stat").read_text().split("\n", 1)[0]
    user, nice, system, _idle, _iowait, irq, softirq, *_ = map(int, first.split()[1:])
    return (user + nice + system + irq + softirq) / _TICKS_PER_S


class BusyTime:
    """Adds up what named processes, and the machine as a whole, use while blocks run."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        """Count for each process with all that descend from it then."""
        self._pids = pids
        self._used = dict.fromkeys(pids, 0.0)
        self._machine_s = 0.0
        self._own_s = 0.0
        self._lasted_s = 0.0
        self._blocks = 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count what is used during the block."""
        before = {name: cpu_seconds(pid) for name, pid in self._pids.items()}
        # What looking at processes takes is not to be the machine's.
        own_s, machine_s, began_s = time.process_time(), machine_seconds(), time.monotonic()
        yield
        self._lasted_s += time.monotonic() - began_s
        self._machine_s += machine_seconds() - machine_s
        self._own_s += time.process_time() - own_s
        for name, pid in self._pids.items():
            self._used[name] += cpu_seconds(pid) - before[name]
        self._blocks += 1

    def block_ms(self, rest: str) -> dict[str, float]:
        """Return the mean of a block by process, and that of all others together as ``rest``.

        The process that counts is not among them.
        The machine's is exact to a hundredth of a second a block, and right in the mean of many.
        """
        found = {name: self._used[name] * 1000 / self._blocks for name in self._pids}
        others = (self._machine_s - self._own_s) * 1000 / self._blocks - sum(found.values())
        return {**found, rest: max(others, 0.0)}

    def share(self) -> float:
        """Return how much of all processors was used while blocks ran: 0 to 1."""
        return self._machine_s / (self._lasted_s * (os.cpu_count() or 1))


def peak_memory_mb(pid: int) -> float:
    """Return the greatest resident memory that one process of a tree ever had."""
    return _status_mb(pid, "VmHWM")


def memory_mb(pid: int) -> float:
    """Return the greatest resident memory that one process of a tree has now."""
    return _status_mb(pid, "VmRSS")


def _status_mb(pid: int, field: str) -> float:
    found = [0]
    for each in process_tree(pid):
        try:
            status = (_PROC / str(each) / "status").read_text()
        except OSError:
            continue
        found += [int(kb) for kb in re.findall(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)]
    return max(found) / 1024


def read_metrics(url: str, headers: Mapping[str, str], *, authority: str | None = None) -> str:
    """Return a server's metrics in the text form of Prometheus."""
    context = None if authority is None else ssl.create_default_context(cafile=authority)
    request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310  (our own server)
    with urllib.request.urlopen(  # noqa: S310
        request, timeout=_METRICS_TIMEOUT_S, context=context
    ) as answer:
        text: bytes = answer.read()
    return text.decode()


def metric_sum(text: str, name: str, labels: Iterable[str] = ()) -> float:
    """Add up the samples of a metric that carry all of some labels (``key="value"``). Pure."""
    total = 0.0
    wanted = list(labels)
    for line in text.splitlines():
        series, _, value = line.rpartition(" ")
        if series.split("{", 1)[0] == name and all(label in series for label in wanted):
            total += float(value)
    return total
