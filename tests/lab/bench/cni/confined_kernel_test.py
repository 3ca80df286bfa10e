"""A place of its own for a node. Needs root."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.bench.cni.confined import run_confined
from tests.lab.errors import LabError
from tests.lab.process import wait_until

# Says what it sees; then it does what its job says.
_PROGRAM = """\
import os, signal, subprocess, sys
from pathlib import Path
from tests.lab.bench.cni.confined import furnish, read_job

directory, what = read_job().decode().split()
furnish(Path(directory))
Path("/var/lib/kept").write_text("x")
if what == "hang":
    # Somebody who would go on for ever.
    subprocess.Popen(["/bin/sh", "-c", 'echo ready > "$0/ready"; exec sleep 1000', directory])
    signal.pause()
if what == "fail":
    sys.exit(7)
# mount(8) itself keeps notes in /run/mount.
print(os.getpid(), set(os.listdir("/run")) - {"mount"}, os.listdir("/var/lib"))
"""


@pytest.fixture()
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have a program that can be run as a module."""
    (tmp_path / "confined_program.py").write_text(_PROGRAM)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "confined_program"


def _run(module: str, tmp_path: Path, what: str, *, timeout_s: float = 60) -> bytes:
    directory = tmp_path / "place"
    directory.mkdir()
    return run_confined(module, f"{directory} {what}".encode(), timeout_s=timeout_s)


def test_a_program_has_processes_and_directories_of_its_own(module: str, tmp_path: Path) -> None:
    """It is process 1, and what it writes where a node keeps things is on the given disk."""
    assert _run(module, tmp_path, "print") == b"1 {'netns'} ['kept']\n"
    assert (tmp_path / "place" / "var-lib" / "kept").exists()
    assert not Path("/var/lib/kept").exists()


def test_a_program_that_fails_is_an_error(module: str, tmp_path: Path) -> None:
    """Its status is told."""
    with pytest.raises(LabError, match="status 7"):
        _run(module, tmp_path, "fail")


def test_nothing_outlives_its_time(module: str, tmp_path: Path) -> None:
    """When the time is over everything ends, also what the program has started."""
    with pytest.raises(LabError):
        _run(module, tmp_path, "hang", timeout_s=3)
    assert _running(tmp_path) == []


def test_nothing_outlives_its_starter(module: str, tmp_path: Path) -> None:
    """A starter that is killed leaves nothing running."""
    directory = tmp_path / "place"
    directory.mkdir()
    script = (
        "from tests.lab.bench.cni.confined import run_confined\n"
        f"run_confined({module!r}, b'{directory} hang', timeout_s=600)\n"
    )
    paths = os.pathsep.join(filter(None, sys.path))
    with subprocess.Popen(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": paths}
    ) as starter:
        wait_until((directory / "ready").exists, what="the program runs", timeout_s=60)
        assert _running(tmp_path) != []
        starter.kill()
    wait_until(lambda: _running(tmp_path) == [], what="the program has ended", timeout_s=30)


def _running(tmp_path: Path) -> list[bytes]:
    """Return the command lines of this test's processes, whichever namespace they are in."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes()
            environment = (process / "environ").read_bytes()
        except OSError:
            continue
        if process.name != str(os.getpid()) and str(tmp_path).encode() in line + environment:
            found.append(line)
    return found
