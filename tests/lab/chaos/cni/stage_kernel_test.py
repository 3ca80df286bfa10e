"""What a node of this machine's own kernel makes goes with the run that it is for."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from tests.lab.chaos.cni import stage
from tests.lab.chaos.program import Program
from tests.lab.namespace import namespaces
from tests.lab.process import wait_until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a netns")

_RUN = f"""
import signal, sys
from pathlib import Path
from {stage.__name__} import ChaosNode, centre
from {Program.__module__} import Program
with centre():
    name, directory = sys.argv[1], Path(sys.argv[2])
    danmd = Program(name="danmd", command=["false"], logs=directory, env={{}})
    node = ChaosNode(number=1, name=name, directory=directory, danmd=danmd)
    node.connect()
    node.make_sandbox()
    print("connected", flush=True)
    signal.pause()
"""


def _a_name() -> str:
    return f"test-{uuid4().hex[:8]}"


@pytest.mark.parametrize("ended_by", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_node_and_its_pods_go_with_the_run(tmp_path: Path, ended_by: signal.Signals) -> None:
    """Whatever signal ends a run, none of its network namespaces stays behind."""
    name = _a_name()
    prefix = f"danm-{name}"
    paths = [str(Path(__file__).parents[4]), *sys.path]
    with subprocess.Popen(
        [sys.executable, "-c", _RUN, name, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(paths)),
        start_new_session=True,
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"connected\n"
        # The node's and its Pod's.
        assert len(namespaces(prefix)) == 2
        os.killpg(run.pid, ended_by)
    wait_until(lambda: not namespaces(prefix), what="The namespaces are gone", timeout_s=10)


def test_a_node_that_is_disconnected_leaves_nothing(tmp_path: Path) -> None:
    """Neither its namespace nor that of a Pod that it still has, and doing so twice is no error."""
    name = _a_name()
    prefix = f"danm-{name}"
    danmd = Program(name="danmd", command=["false"], logs=tmp_path, env={})
    with stage.centre():
        node = stage.ChaosNode(number=1, name=name, directory=tmp_path, danmd=danmd)
        try:
            node.connect()
            first, second = node.make_sandbox(), node.make_sandbox()
            assert sorted([prefix, first, second]) == sorted(namespaces(prefix))
            node.remove_sandbox(first)
            assert sorted([prefix, second]) == sorted(namespaces(prefix))
        finally:
            node.disconnect()
        node.disconnect()
        assert [] == namespaces(prefix)
