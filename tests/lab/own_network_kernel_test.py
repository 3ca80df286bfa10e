"""Network namespaces of one's own go with whom they are for."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from tests.lab.errors import StartError
from tests.lab.namespace import namespaces
from tests.lab.own_network import leashed_netns, own_network
from tests.lab.process import wait_until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a netns")

_OWNER = """
import signal, sys
from tests.lab.own_network import own_network
with own_network(sys.argv[1]):
    print("inside", flush=True)
    signal.pause()
"""


def _a_prefix() -> str:
    return f"danm-test-{uuid4().hex[:8]}"


def _environment() -> dict[str, str]:
    root = Path(__file__).parents[2]
    return dict(os.environ, PYTHONPATH=os.pathsep.join([str(root), *sys.path]))


@pytest.mark.parametrize(
    "ended_by", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL, signal.SIGABRT]
)
def test_a_namespace_goes_with_its_owner(ended_by: signal.Signals) -> None:
    """Whatever signal ends a run, and all that has started with it, no namespace stays behind."""
    prefix = _a_prefix()
    with subprocess.Popen(
        [sys.executable, "-c", _OWNER, prefix],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=_environment(),
        start_new_session=True,
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"inside\n"
        assert len(namespaces(prefix)) == 1
        os.killpg(owner.pid, ended_by)
    wait_until(lambda: not namespaces(prefix), what="The namespace is gone", timeout_s=10)


def _own_netns() -> Path:
    return Path("/proc/thread-self/ns/net").readlink()


def test_a_namespace_goes_with_its_block() -> None:
    """Right after the block, also one that fails, it is gone, and this thread is where it was."""
    prefix, before = _a_prefix(), _own_netns()
    inside: list[Path] = []

    def fail_inside() -> None:
        with own_network(prefix):
            inside.append(_own_netns())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_inside()
    assert before not in inside
    assert ([], before) == (namespaces(prefix), _own_netns())


def test_a_name_that_is_taken_is_an_error() -> None:
    """And whose it is keeps it."""
    name = _a_prefix()
    with leashed_netns(name):
        with pytest.raises(StartError, match="cannot be made.*File exists"), leashed_netns(name):
            pass
        assert [name] == namespaces(name)
    assert [] == namespaces(name)


def test_nothing_stays_when_all_are_told_to_end() -> None:
    """A service manager tells every process of a run, and who is to clean up does so first."""
    prefix = _a_prefix()
    with subprocess.Popen(
        [sys.executable, "-c", _OWNER, prefix],
        stdout=subprocess.PIPE,
        env=_environment(),
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"inside\n"
        children = Path(f"/proc/{owner.pid}/task/{owner.pid}/children").read_text().split()
        assert children
        for pid in (*map(int, children), owner.pid):
            os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not namespaces(prefix), what="The namespace is gone", timeout_s=10)
