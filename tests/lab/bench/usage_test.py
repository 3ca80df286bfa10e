"""Processes' use of the machine, and metrics."""

import os
import subprocess
import time

from tests.lab.bench.usage import (
    BusyTime,
    cpu_seconds,
    memory_mb,
    metric_sum,
    peak_memory_mb,
    process_tree,
)

_TEXT = """\
# TYPE bytes histogram
bytes_sum{resource="danmipblocks",verb="update"} 1000
bytes_sum{resource="danmipblocks",verb="create"} 24.5
bytes_sum{resource="danmnets",verb="update"} 7
bytes_sum_more{resource="danmipblocks"} 3
size 1.5e+06
"""


def test_samples_with_the_labels_are_added_up() -> None:
    """Only series of exactly this name and with these labels count."""
    assert metric_sum(_TEXT, "bytes_sum", ['resource="danmipblocks"']) == 1024.5
    assert metric_sum(_TEXT, "bytes_sum", ['verb="update"']) == 1007
    assert metric_sum(_TEXT, "size") == 1_500_000
    assert metric_sum(_TEXT, "absent") == 0


def test_a_tree_holds_children() -> None:
    """A program behind a shell is found, since programs are started on a leash."""
    with subprocess.Popen(["/bin/sh", "-c", "cat; true"], stdin=subprocess.PIPE) as shell:
        assert shell.stdin is not None
        shell.stdin.write(b"x")
        tree = process_tree(os.getpid())
        assert shell.pid in tree
        shell.stdin.close()


def test_this_process_uses_something() -> None:
    """A Python takes some memory and time, in the units that are promised."""
    assert 5 < memory_mb(os.getpid()) <= peak_memory_mb(os.getpid()) < 5000
    assert 0 < cpu_seconds(os.getpid()) < 5000


def _work(seconds: float) -> None:
    began = time.process_time()
    while time.process_time() - began < seconds:
        pass


def test_what_blocks_use_is_added_up() -> None:
    """By process and for all others; what happens between blocks does not count."""
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as idle:
        busy = BusyTime({"mine": os.getpid(), "idle": idle.pid})
        for _ in range(2):
            with busy.counted():
                _work(0.05)
            _work(0.5)
        found = busy.block_ms("rest")
        assert idle.stdin is not None
        idle.stdin.close()
    assert list(found) == ["mine", "idle", "rest"]
    assert 50 <= found["mine"] < 200
    # Less than a tick of /proc's, where it would be nothing or ten.
    assert 0 <= found["idle"] < 10
    assert found["rest"] >= 0
    assert 0 < busy.share() <= 1.5
