"""The promises of programs in the background."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.errors import StartError
from tests.lab.process import start_leashed, wait_until

_STARTER = """
import sys, time
from pathlib import Path
from tests.lab.process import start_leashed
start_leashed("sleep", ["sh", "-c", "echo $$; exec sleep 600"], log=Path(sys.argv[1]))
print("started", flush=True)
time.sleep(600)
"""


def _runs(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_a_leashed_program_ends_with_its_starter(tmp_path: Path) -> None:
    """When the starting process is killed, what it started does not stay behind."""
    log = tmp_path / "log"
    root = Path(__file__).parents[2]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(root), *sys.path]))
    with subprocess.Popen(
        [sys.executable, "-c", _STARTER, str(log)], stdout=subprocess.PIPE, env=environment
    ) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == b"started\n"
        wait_until(lambda: log.read_text().endswith("\n"), what="The program runs", timeout_s=10)
        pid = int(log.read_text())
        assert _runs(pid)
        starter.send_signal(signal.SIGKILL)

    wait_until(lambda: not _runs(pid), what="The program ended", timeout_s=10)


def test_stop_ends_a_program(tmp_path: Path) -> None:
    """After stop() has returned the program is gone; a second stop() does nothing."""
    log = tmp_path / "log"
    background = start_leashed("sleep", ["sh", "-c", "echo $$; exec sleep 600"], log=log)
    wait_until(lambda: log.read_text().endswith("\n"), what="The program runs", timeout_s=10)

    background.stop()
    background.stop()

    assert not _runs(int(log.read_text().split()[0]))


def test_waiting_ends_when_the_program_does(tmp_path: Path) -> None:
    """A program that dies is told at once, with its log's last lines."""
    background = start_leashed("broken", ["sh", "-c", "echo no disk; exit 3"], log=tmp_path / "log")

    with pytest.raises(StartError, match=r"broken ended with status 3(.|\n)*no disk"):
        wait_until(lambda: False, what="Never", timeout_s=30, alive=(background,))

    background.stop()
