"""Whom a strike within a node is at."""

from random import Random

import pytest

from tests.lab.chaos.cni.strike import Process, chosen

TRAP = ("/app/bin/python", "-s", "/chaos/trap.py")
PROCESSES = (
    Process(pid=1, parent=0, name="bash"),
    Process(pid=10, parent=1, name="containerd"),
    Process(pid=11, parent=1, name="containerd-shim"),
    # Who starts danmd anew, danmd, and who wakes it when it has stopped.
    Process(pid=20, parent=11, name="python", command=TRAP),
    Process(pid=21, parent=20, name="python", command=TRAP),
    Process(pid=22, parent=21, name="python", command=TRAP),
    Process(pid=30, parent=11, name="pause", own_network=True),
    Process(pid=31, parent=11, name="pause", own_network=True),
    # Of a Pod in the node's own network.
    Process(pid=32, parent=11, name="pause"),
    Process(pid=40, parent=10, name="danm"),
    Process(pid=50, parent=21, name="bridge", environment=frozenset({"DANM_SANDBOX=c1"})),
)


@pytest.mark.parametrize(
    ("what", "wanted"),
    [("danmd", [21]), ("containerd", [10]), ("shims", [40]), ("plugins", [50])],
)
def test_who_is_struck(what: str, wanted: list[int]) -> None:
    """Only those who are meant: never danmd's keeper, a container's shim or another program."""
    assert wanted == chosen(PROCESSES, what, Random(1))


def test_one_sandbox_is_struck() -> None:
    """One Pod's sandbox is killed, by chance; none is no error."""
    struck = {pid for seed in range(20) for pid in chosen(PROCESSES, "sandbox", Random(seed))}
    assert {30, 31} == struck
    assert len(chosen(PROCESSES, "sandbox", Random(1))) == 1
    assert [] == chosen(PROCESSES[:3], "sandbox", Random(1))
