"""Kubernetes' own controllers that end the lives of objects, beside a real API server."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.apiserver import ApiServer
from tests.lab.binaries import KUBERNETES, Binaries
from tests.lab.cache import Cache, default_cache_directory
from tests.lab.process import start_leashed
from tests.lab.progress import Progress


def cached_binaries() -> Binaries:
    """Return the programs of the usual cache."""
    return Binaries(Cache(directory=default_cache_directory()), Progress())


@contextmanager
def deletion_controllers(server: ApiServer, directory: Path) -> Iterator[None]:
    """Run the garbage collector and the controller that empties namespaces, for the block."""
    controllers = start_leashed(
        "kube-controller-manager",
        [
            cached_binaries().program(KUBERNETES, "kube-controller-manager"),
            f"--kubeconfig={server.kubeconfig}",
            "--controllers=namespace-controller,garbage-collector-controller",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            # Nobody asks for its metrics; several test files may run at once.
            "--secure-port=0",
        ],
        log=directory / "kube-controller-manager.log",
    )
    try:
        yield
    finally:
        controllers.stop()
