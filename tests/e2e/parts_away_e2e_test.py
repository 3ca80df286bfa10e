"""A part that is away: what runs goes on, new Pods wait with a reason and come up afterwards."""

import json

from tests.e2e.conftest import Tenant, eventually
from tests.lab.cluster import objects
from tests.lab.installation import SYSTEM_NAMESPACE

ONE = json.dumps([{"network": "net", "ip": "dynamic"}])


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
            lambda: "ipam-svc" in tenant.described("pod", "waiting"),
            "`kubectl describe pod` names ipam-svc",
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
        # It may be one that is being replaced, so an ADD waits half a minute for it.
        eventually(
            lambda: "danmd" in tenant.described("pod", "waiting"),
            "`kubectl describe pod` names danmd",
            120.0,
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
