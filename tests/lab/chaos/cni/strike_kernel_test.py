"""What a strike sees of processes."""

import os
import subprocess
from pathlib import Path

from tests.lab.chaos.cni.strike import processes


def test_networks_of_processes_are_told_apart() -> None:
    """A process in this one's network is not taken for a Pod's, and one of another network is."""
    elsewhere = ["unshare", "--net", "sh", "-c", "echo ready; read wait"]
    with subprocess.Popen(elsewhere, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        found = {each.pid: each.network for each in processes()}
        wanted = [Path(f"/proc/{pid}/ns/net").stat().st_ino for pid in (os.getpid(), other.pid)]
        other.communicate(b"\n")
    assert wanted == [found[os.getpid()], found[other.pid]]
    assert wanted[0] != wanted[1]
