"""Programs that are killed, frozen and started again."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.chaos.program import Program
from tests.lab.process import wait_until

_BEATS = """
import time
while True:
    print("beat", flush=True)
    time.sleep(0.01)
"""


@pytest.fixture()
def program(tmp_path: Path) -> Iterator[Program]:
    """Yield a program that writes into its log for ever."""
    made = Program(
        name="beats",
        command=[sys.executable, "-c", _BEATS],
        logs=tmp_path,
        env=dict(os.environ),
    )
    made.start()
    yield made
    made.kill()


def _beats(program: Program, tmp_path: Path) -> int:
    return (tmp_path / f"beats-{program.lives}.log").read_text().count("beat")


def _wait_for_beats(program: Program, tmp_path: Path, count: int) -> None:
    wait_until(lambda: _beats(program, tmp_path) >= count, what="it runs", timeout_s=20)


def test_frozen_and_thawed(program: Program, tmp_path: Path) -> None:
    """A frozen program stands still, and goes on where it was."""
    _wait_for_beats(program, tmp_path, 3)
    program.freeze()
    state = Path(f"/proc/{program.pid}/stat")
    wait_until(lambda: state.read_text().split()[2] == "T", what="it stands still", timeout_s=20)
    beats = _beats(program, tmp_path)
    program.thaw()
    _wait_for_beats(program, tmp_path, beats + 3)


def test_killed_while_frozen_and_started_again(program: Program, tmp_path: Path) -> None:
    """Kill -9 ends even a frozen program, and its next life has a log of its own."""
    _wait_for_beats(program, tmp_path, 1)
    program.freeze()
    program.kill()
    assert program.failure() is not None
    program.start()
    _wait_for_beats(program, tmp_path, 1)
    assert program.lives == 2
    assert program.failure() is None
