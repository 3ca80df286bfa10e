"""Replicas of ipam-svc come and go on a cluster, and callers that never pause notice nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.conftest import Tenant, eventually
from tests.e2e.ipam_callers import calling
from tests.lab.cluster import objects
from tests.lab.errors import LabError
from tests.lab.installation import SYSTEM_NAMESPACE
from tests.lab.lab import Lab
from tests.lab.topology import NODES, node_named

_DEPLOYMENT: Final = "deployment/danm-ipam"
_SELECTOR: Final = "app.kubernetes.io/name=danm-ipam"
# Within the first of so many seconds kubectl has asked once whether the last replica may go.
_REFUSED_S: Final = 30
# A replica in a guest starts within half a minute.
_REPLACED_S: Final = 240.0

pytestmark = pytest.mark.usefixtures("_clean_nodes")


@contextmanager
def callers(lab: Lab, tenant: Tenant, directory: Path) -> Iterator[None]:
    """Let callers reserve and release from beside the nodes; at the end nothing has gone wrong."""
    with calling(lab, tenant, directory) as called:
        yield
    report = called.report
    print(f"{report.operations} operations, the longest took {report.longest_s:.1f} s")
    print(f"{report.stalls}; {len(report.set_aside)} set aside:", *report.set_aside, sep="\n")
    assert report.operations > 0
    assert report.faults == []


def rolled_out(lab: Lab) -> None:
    """Wait until all replicas are there and serve."""
    words = ("rollout", "status", _DEPLOYMENT, "-n", SYSTEM_NAMESPACE)
    lab.kubectl(*words, f"--timeout={_REPLACED_S:.0f}s", timeout_s=_REPLACED_S + 30)


def replicas(lab: Lab) -> dict[str, str]:
    """Return each replica's node by its Pod's name; empty of one that has no place."""
    pods = objects(lab, "pods", "-n", SYSTEM_NAMESPACE, "-l", _SELECTOR)
    return {raw["metadata"]["name"]: raw["spec"].get("nodeName", "") for raw in pods}


def lease_holder(lab: Lab) -> str:
    """Return the Pod that holds the Lease."""
    (lease,) = objects(lab, "lease", "danm-ipam", "-n", SYSTEM_NAMESPACE)
    return str(lease["spec"].get("holderIdentity", ""))


def restarted(lab: Lab, pod: str) -> bool:
    """Say whether a replica's container was started again, and serves."""
    (raw,) = objects(lab, "pod", pod, "-n", SYSTEM_NAMESPACE)
    (status,) = raw["status"]["containerStatuses"]
    return bool(status["restartCount"] and status["ready"])


def drain(lab: Lab, node: str, *, timeout: str) -> None:
    """Drain a node of replicas of ipam-svc."""
    lab.kubectl(
        "drain", node, "--ignore-daemonsets", "--delete-emptydir-data",
        f"--pod-selector={_SELECTOR}", f"--timeout={timeout}", timeout_s=_REPLACED_S,
    )  # fmt: skip


def test_a_rollout_restart_fails_nobody(lab: Lab, tenant: Tenant, tmp_path: Path) -> None:
    """`kubectl rollout restart` replaces every replica under load, in the places of the old."""
    # SPEC I1
    before = replicas(lab)
    with callers(lab, tenant, tmp_path):
        lab.kubectl("rollout", "restart", _DEPLOYMENT, "-n", SYSTEM_NAMESPACE)
        rolled_out(lab)
    after = replicas(lab)
    assert before.keys().isdisjoint(after)
    assert sorted(after.values()) == sorted(before.values())


def test_the_lease_holders_end_fails_nobody(lab: Lab, tenant: Tenant, tmp_path: Path) -> None:
    """The replica with the Lease dies in the middle of its work; another one goes on."""
    # DESIGN, P1
    with callers(lab, tenant, tmp_path):
        eventually(lambda: lease_holder(lab) in replicas(lab), "A replica has the Lease")
        holder = lease_holder(lab)
        node = node_named(replicas(lab)[holder])
        assert node is not None
        done = lab.node_exec(node, ["pkill", "-KILL", "-f", "python -s -m ipam_svc"])
        assert done.status == 0
        eventually(lambda: restarted(lab, holder), "Kubelet has started it again", _REPLACED_S)
        rolled_out(lab)


def test_drained_nodes_fail_nobody(lab: Lab, tenant: Tenant, tmp_path: Path) -> None:
    """A drained node's replica goes and does not come back; the last one may not be evicted."""
    first, second = (node.name for node in NODES)
    with callers(lab, tenant, tmp_path):
        try:
            drain(lab, first, timeout="120s")
            assert sorted(replicas(lab).values()) == ["", second]
            with pytest.raises(LabError, match="disruption budget"):
                drain(lab, second, timeout=f"{_REFUSED_S}s")
            assert second in replicas(lab).values()
        finally:
            for node in (first, second):
                lab.kubectl("uncordon", node)
        rolled_out(lab)
    assert sorted(replicas(lab).values()) == [first, second]
