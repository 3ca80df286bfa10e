"""What a strike sees of processes."""

import os
import subprocess

from tests.lab.chaos.cni.strike import processes


def test_networks_of_processes_are_told_apart() -> None:
    """A process in this one's network is not taken for a Pod's, and one of another network is."""
    elsewhere = ["unshare", "--net", "sh", "-c", "echo ready; read wait"]
    with subprocess.Popen(elsewhere, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        found = {each.pid: each.own_network for each in processes()}
        other.communicate(b"\n")
    assert (found[os.getpid()], found[other.pid]) == (False, True)
