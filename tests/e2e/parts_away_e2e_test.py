"""A part that is away: what runs goes on, new Pods wait with a reason and come up afterwards."""

import json
import time
from typing import Final

import pytest

from tests.e2e.conftest import DEMO_IMAGE, REFUSED_S, Tenant, eventually
from tests.e2e.sandbox_failures import (
    DANMD_AWAY,
    SandboxFailure,
    by_words,
    sandbox_failures,
    since,
)
from tests.ipam.stalls import Stalls
from tests.lab.cluster import objects
from tests.lab.installation import SYSTEM_NAMESPACE

ONE: Final = json.dumps([{"network": "net", "ip": "dynamic"}])
# Two nodes, one after the other, on a machine that Pods and another lab keep busy as well.
_ROLLOUT_S: Final = 600.0

pytestmark = pytest.mark.usefixtures("_clean_nodes")


def nodes_ready(tenant: Tenant) -> bool:
    """Say whether all nodes are Ready."""
    return all(
        condition["status"] == "True"
        for node in objects(tenant.cluster, "nodes")
        for condition in node["status"]["conditions"]
        if condition["type"] == "Ready"
    )


def system_pods(tenant: Tenant, name: str) -> int:
    """Return how many Pods of a part there are."""
    selector = f"app.kubernetes.io/name={name}"
    return len(objects(tenant.cluster, "pods", "-n", SYSTEM_NAMESPACE, "-l", selector))


def test_ipam_svc_away(tenant: Tenant) -> None:
    """Without ipam-svc an ADD says so, and works as soon as it is back."""  # P5, P7
    tenant.network("net", vlan=320, cidr="10.77.0.0/24", container_prefix="eth0")
    scale = ("scale", "deployment", "danm-ipam", "-n", SYSTEM_NAMESPACE)
    tenant.cluster.kubectl(*scale, "--replicas=0")
    try:
        eventually(lambda: system_pods(tenant, "danm-ipam") == 0, "ipam-svc is away")
        tenant.pod("waiting", ONE)
        eventually(
            lambda: tenant.is_refused("waiting", "ipam-svc did not answer in time"),
            "`kubectl describe pod` names ipam-svc",
            REFUSED_S,
        )
        assert nodes_ready(tenant)
    finally:
        tenant.cluster.kubectl(*scale, "--replicas=2")
    eventually(lambda: tenant.phase("waiting") == "Running", "The Pod runs", 120.0)


def test_danmd_away(tenant: Tenant) -> None:
    """Without danmd nodes stay Ready, running Pods run, DEL succeeds and new Pods wait."""  # P5
    tenant.network("net", vlan=321, cidr="10.77.0.0/24", container_prefix="eth0")
    tenant.pod("running", ONE)
    eventually(lambda: tenant.phase("running") == "Running", "The first Pod runs", 90.0)

    def select(value: str | None) -> None:
        selector = {"spec": {"template": {"spec": {"nodeSelector": {"danm-test": value}}}}}
        tenant.cluster.kubectl(
            "patch", "daemonset", "danm-cni", "-n", SYSTEM_NAMESPACE, "--type=merge",
            "-p", json.dumps(selector),
        )  # fmt: skip

    select("nowhere")
    try:
        eventually(lambda: system_pods(tenant, "danm-cni") == 0, "danmd is away", 90.0)
        tenant.pod("waiting", ONE)
        eventually(
            lambda: tenant.is_refused("waiting", DANMD_AWAY),
            "`kubectl describe pod` names danmd",
            REFUSED_S,
        )
        tenant.delete_pod("running")
        assert nodes_ready(tenant)
    finally:
        select(None)
    eventually(lambda: tenant.phase("waiting") == "Running", "The Pod runs", 150.0)
    eventually(
        lambda: len(tenant.left_behind()) == len(["DanmEp", "address"]),
        "The deleted Pod's DanmEp and address are given back",
    )


def test_danmd_is_replaced_under_load(tenant: Tenant) -> None:
    """Pods come and go all the time, and none of them waits for kubelet to try again.

    Unless the machine stood still: then an ADD's time is over, whoever was replaced.
    """
    # docs/decisions/0021
    tenant.network("net", vlan=323, cidr="10.77.0.0/24", container_prefix="eth0")
    hello = {"name": "hello", "image": DEMO_IMAGE, "command": ["python3", "-c", "pass"]}
    template = {
        "metadata": {"annotations": {"danm.k8s.io/interfaces": ONE}},
        "spec": {"containers": [hello], "restartPolicy": "Never"},
    }
    tenant.apply(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "load"},
            "spec": {"parallelism": 2, "completions": 10_000, "template": template},
        }
    )

    def ended() -> int:
        (job,) = objects(tenant.cluster, "job", "load", "-n", tenant.namespace)
        return int(job["status"].get("succeeded", 0))

    def failed() -> list[SandboxFailure]:
        return sandbox_failures(tenant.cluster, tenant.namespace)

    eventually(lambda: ended() > 0, "Pods come and go", 120.0)
    stalls = Stalls(time.time)
    with stalls.watched():
        failed_before = by_words(failed())
        rollout = ("rollout", "{}", "daemonset/danm-cni", "-n", SYSTEM_NAMESPACE)
        tenant.cluster.kubectl(*(word.format("restart") for word in rollout))
        before = ended()
        tenant.cluster.kubectl(*(word.format("status") for word in rollout), timeout_s=_ROLLOUT_S)
        during = ended() - before
        eventually(lambda: ended() > before + during, "They still do", 120.0)
        failed_meanwhile = since(failed(), failed_before)
    tenant.cluster.kubectl(
        "delete", "job", "load", "-n", tenant.namespace, "--cascade=foreground", "--timeout=120s"
    )
    late = [each for each in failed_meanwhile if each.is_late(stalls)]
    print(f"{during} Pods came and went while danmd was replaced; {stalls}")
    print(f"{len(late)} failed sandboxes are set aside:", *late, sep="\n")
    assert during > 0
    assert [each for each in failed_meanwhile if each not in late] == []
