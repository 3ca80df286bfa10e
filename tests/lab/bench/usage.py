"""What processes use, by /proc; and what servers count, by /metrics."""

import os
import re
import ssl
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_PROC: Final = Path("/proc")
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
    ticks = 0
    for each in process_tree(pid):
        try:
            # The name, in parentheses, may hold spaces.
            fields = (_PROC / str(each) / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS_PER_S


def machine_seconds() -> float:
    """Return the processor time that everything on this machine has used."""
    first = (_PROC / "stat").read_text().split("\n", 1)[0]
    user, nice, system, _idle, _iowait, irq, softirq, *_ = map(int, first.split()[1:])
    return (user + nice + system + irq + softirq) / _TICKS_PER_S


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
