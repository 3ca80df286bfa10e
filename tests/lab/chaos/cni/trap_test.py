"""The program with traps: each is met once, in order, over several lives."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from danm_api.errors import LinkSetupError
from danm_cni.failpoints import Effect, effect, observed_by
from tests.lab.chaos.cni.trap import Trap, error_at

_WAIT_S = 60.0
RESERVE, FORGET = f"before {Effect.RESERVE}", f"after {Effect.FORGET}"


def _plan(directory: Path, *traps: tuple[str, str]) -> Trap:
    lines = [{"point": point, "action": act, "hold_s": 0.1} for point, act in traps]
    (directory / "plan").write_text("".join(json.dumps(each) + "\n" for each in lines))
    return Trap(directory, nurse=-1)


def _met(directory: Path) -> list[str]:
    path = directory / "met"
    return [json.loads(line)["point"] for line in path.read_text().splitlines()]


def _python(program: str, directory: Path) -> "subprocess.Popen[bytes]":
    """Start a program in a directory, with the same modules as this one."""
    before = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from tests.lab.chaos.cni import trap\n"
    )
    paths = os.pathsep.join(path for path in sys.path if path)
    return subprocess.Popen(
        [sys.executable, "-c", before + program],
        env={**os.environ, "PYTHONPATH": paths},
        cwd=directory,
    )


def test_traps_are_met_once_and_in_their_order(tmp_path: Path) -> None:
    """A point whose turn has not come is passed, and so is one that was met."""
    trap = _plan(tmp_path, (RESERVE, "error"), (FORGET, "error"), (RESERVE, "error"))
    trap(FORGET)
    with pytest.raises(Exception, match=f"a test failed it {RESERVE}"):
        trap(RESERVE)
    trap(RESERVE)
    with pytest.raises(OSError, match="No space left on device"):
        trap(FORGET)
    # As another danmd after a kill.
    with pytest.raises(Exception, match=f"a test failed it {RESERVE}"):
        Trap(tmp_path, nurse=-1)(RESERVE)
    trap(RESERVE)
    assert [RESERVE, FORGET, RESERVE] == _met(tmp_path)


def test_without_a_plan_nothing_happens(tmp_path: Path) -> None:
    """A directory without a plan has no traps."""
    Trap(tmp_path, nurse=-1)(RESERVE)
    assert [] == list(tmp_path.iterdir())


def test_a_trap_is_the_effect_s_own_failure(tmp_path: Path) -> None:
    """An armed observer makes the effect fail as the kernel would."""
    point = f"after {Effect.ADD_ROUTE}"
    with (
        observed_by(_plan(tmp_path, (point, "error"))),
        pytest.raises(LinkSetupError, match=point),
        effect(Effect.ADD_ROUTE),
    ):
        pass
    assert isinstance(error_at(point), LinkSetupError)


def test_a_trap_that_waits_goes_on_when_it_is_told(tmp_path: Path) -> None:
    """It is noted as met at once, and stands until its file is there."""
    trap = _plan(tmp_path, (RESERVE, "wait"))
    thread = threading.Thread(target=trap, args=(RESERVE,))
    thread.start()
    deadline = time.monotonic() + _WAIT_S
    while not (tmp_path / "met").exists():
        assert time.monotonic() < deadline
    assert thread.is_alive()
    (tmp_path / "go-0").touch()
    thread.join(_WAIT_S)
    assert not thread.is_alive()


def test_a_trap_kills(tmp_path: Path) -> None:
    """The whole program is gone at once, and the trap is noted as met."""
    _plan(tmp_path, (RESERVE, "kill"))
    process = _python(f"trap.Trap(Path.cwd(), nurse=-1)({RESERVE!r})", tmp_path)
    assert process.wait(_WAIT_S) == -signal.SIGKILL
    assert [RESERVE] == _met(tmp_path)


def test_a_trap_stops_for_a_while(tmp_path: Path) -> None:
    """The program stands still, and goes on by itself."""
    _plan(tmp_path, (RESERVE, "stop"))
    process = _python(
        f"nurse = trap.start_nurse()\ntrap.Trap(Path.cwd(), nurse=nurse)({RESERVE!r})", tmp_path
    )
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    assert process.wait(_WAIT_S) == 0


def test_one_that_stays_starts_again_after_a_kill(tmp_path: Path) -> None:
    """What was killed is started again; any other end is the end, with its status."""
    process = _python(
        "trap.stay()\n"
        "lives = Path('lives')\n"
        "before = len(lives.read_text()) if lives.exists() else 0\n"
        "lives.write_text('x' * (before + 1))\n"
        "os.kill(os.getpid(), signal.SIGKILL) if before < 2 else sys.exit(7)\n",
        tmp_path,
    )
    assert process.wait(_WAIT_S) == 7
    assert (tmp_path / "lives").read_text() == "xxx"
