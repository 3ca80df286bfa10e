"""What is told of kubectl."""

from pathlib import Path

import pytest

from tests.lab.cluster import GivenCluster
from tests.lab.errors import LabError


@pytest.mark.parametrize(
    ("script", "timeout_s", "told"),
    [
        pytest.param("echo no such Pod >&2; exit 1", 60.0, "failed: no such Pod", id="failed"),
        pytest.param("exec sleep 60", 0.1, "did not end within 0 s", id="hung"),
    ],
)
def test_a_kubectl_that_does_not_work_is_the_labs_error(
    script: str, timeout_s: float, told: str
) -> None:
    """Who waits for the cluster asks again in both cases."""
    cluster = GivenCluster(
        kubeconfig=Path("none"), kubectl_program="kubectl", prefix=("sh", "-c", script)
    )
    with pytest.raises(LabError, match=f"`kubectl get pods` {told}"):
        cluster.kubectl("get", "pods", timeout_s=timeout_s)
