"""Whom a strike within a node is at."""

import json
import signal
import subprocess
from pathlib import Path
from random import Random

import pytest

from tests.lab.chaos.cni.strike import Process, chosen, strike, with_addresses

TRAP = ("/app/bin/python", "-s", "/chaos/trap.py")
PROCESSES = (
    Process(pid=1, parent=0, name="bash"),
    Process(pid=10, parent=1, name="containerd"),
    Process(pid=11, parent=1, name="containerd-shim"),
    # Who starts danmd anew, danmd, and who wakes it when it has stopped.
    Process(pid=20, parent=11, name="python", command=TRAP),
    Process(pid=21, parent=20, name="python", command=TRAP),
    Process(pid=22, parent=21, name="python", command=TRAP),
    Process(pid=30, parent=11, name="pause", network=1),
    Process(pid=31, parent=11, name="pause", network=2),
    # Of a Pod that is not meant.
    Process(pid=32, parent=11, name="pause", network=3),
    # A container of a Pod that is.
    Process(pid=33, parent=11, name="python", network=1),
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
    meant = {1, 2}
    struck = [chosen(PROCESSES, "sandbox", Random(seed), meant) for seed in range(20)]
    assert {30, 31} == {pid for each in struck for pid in each}
    assert {1} == {len(each) for each in struck}
    assert [] == chosen(PROCESSES, "sandbox", Random(1))


def test_sandboxes_with_addresses(tmp_path: Path) -> None:
    """Only what is added counts, with an address of ipam-svc; broken and lost files do not."""
    journal = tmp_path / "journal"
    journal.mkdir()
    for name, state, reserved in (
        ("meant", "added", True),
        ("going", "removing", True),
        ("fallback", "added", False),
        ("lost", "added", True),
    ):
        netns = tmp_path / name
        if name != "lost":
            netns.touch()
        record = {"netns": str(netns), "state": state, "interfaces": [{"reserved": reserved}]}
        (journal / f"{name}.json").write_text(json.dumps(record))
    (journal / "broken.json").write_text("{")
    assert {(tmp_path / "meant").stat().st_ino} == with_addresses(journal)


def test_a_strike_waits_for_somebody_to_meet() -> None:
    """Executables live for a moment: who is there a little later is met as well, and counted."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        looks = iter([[], [], [child.pid]])
        met = strike(lambda: next(looks), signal.SIGKILL, within_s=60.0)
        assert child.wait() == -signal.SIGKILL
        assert [child.pid] == met


def test_who_has_ended_meanwhile_is_not_met() -> None:
    """A strike that comes too late is none."""
    with subprocess.Popen(["true"]) as child:
        child.wait()
        assert [] == strike(lambda: [child.pid], signal.SIGKILL, within_s=0.0)
