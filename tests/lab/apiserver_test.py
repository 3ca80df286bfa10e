"""A real API server starts, answers and leaves nothing."""

from pathlib import Path

import pytest

from tests.lab.apiserver import ApiServer
from tests.lab.kubectl import Kubectl


@pytest.mark.apiserver()
@pytest.mark.timeout(1500)  # Building Kubernetes, where the cache is empty.
def test_the_server_answers_its_administrator(tmp_path: Path) -> None:
    """The kubeconfig that is handed out is good for a request; nothing runs on afterwards."""
    with ApiServer.start(tmp_path) as server:
        answer = Kubectl.on(server)("get", "namespaces", "-o", "name")

    assert answer.returncode == 0, answer.stderr
    assert "namespace/default\n" in answer.stdout
    assert server.etcd.process.poll() is not None
    assert server.server.process.poll() is not None
