"""A real API server starts, answers and leaves nothing."""

import subprocess
from pathlib import Path

import pytest

from tests.lab.apiserver import ApiServer
from tests.lab.binaries import API_SERVER, Binaries
from tests.lab.cache import Cache, default_cache_directory
from tests.lab.progress import Progress


@pytest.mark.apiserver()
@pytest.mark.timeout(1500)  # Building Kubernetes, where the cache is empty.
def test_the_server_answers_its_administrator(tmp_path: Path) -> None:
    """The kubeconfig that is handed out is good for a request; nothing runs on afterwards."""
    binaries = Binaries(Cache(directory=default_cache_directory()), Progress())
    kubectl = binaries.program(API_SERVER, "kubectl")

    with ApiServer.start(tmp_path, binaries=binaries) as server:
        command = [kubectl, "--kubeconfig", str(server.kubeconfig), "get", "namespaces", "-o"]
        answer = subprocess.run([*command, "name"], capture_output=True, text=True, check=True)

    assert "namespace/default\n" in answer.stdout
    assert server.etcd.process.poll() is not None
    assert server.server.process.poll() is not None
