"""Describes the machine of a run, without its name."""

import os
import platform
import re
import time
from pathlib import Path
from statistics import median
from typing import Final

from tests.lab import versions
from tests.lab.bench.results import Machine

_SYNCS: Final = 50
# About what etcd appends for one write of a block.
_APPEND: Final = b"x" * 2048


def describe_machine(directory: Path) -> Machine:
    """Describe this machine; ``directory`` is where etcd will write."""
    processor = re.search(r"^model name\s*: (.+)$", _read("/proc/cpuinfo"), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s+(\d+) kB", _read("/proc/meminfo"), re.MULTILINE)
    return Machine(
        processor=processor[1] if processor else platform.machine(),
        cores=os.cpu_count() or 1,
        memory_gb=round(int(memory[1]) / 2**20, 1) if memory else 0.0,
        kernel=platform.release(),
        python=platform.python_version(),
        kubernetes=versions.KUBERNETES,
        etcd=versions.ETCD,
        fsync_ms=round(_fsync_ms(directory), 3),
    )


def _read(path: str) -> str:
    return Path(path).read_text()


def _fsync_ms(directory: Path) -> float:
    path = directory / "fsync"
    times = []
    with path.open("wb", buffering=0) as file:
        for _ in range(_SYNCS):
            file.write(_APPEND)
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - started) * 1000)
    path.unlink()
    return median(times)
