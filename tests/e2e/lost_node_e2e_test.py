"""A node that nobody reaches: its Pods' addresses stay theirs until it is declared lost."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from danm_api.codec.ip_block import decode_ip_block
from danm_api.model.ip_block import Held, PodOwner
from tests.e2e.conftest import Tenant, eventually
from tests.e2e.sandbox_failures import sandbox_failures
from tests.lab.cluster import objects
from tests.lab.installation import SYSTEM_NAMESPACE, WORKLOADS
from tests.lab.lab import Lab
from tests.lab.topology import AGENT_PORT, NODES, Node

ONE: Final = json.dumps([{"network": "net", "ip": "dynamic"}])
_ADDRESS: Final = "10.77.0.5"
_REACHED, _LOST = NODES
_OUT_OF_SERVICE: Final = "node.kubernetes.io/out-of-service"
# Kubernetes waits 50 s before it calls a node NotReady.
_NOT_READY_S: Final = 180.0
# A replica that may have been on the lost node is waited for, and its Lease.
_GIVEN_BACK_S: Final = 240.0
_REFUSALS: Final = 3
# All but the lab's own way in: neither API server nor Pods of other nodes nor replicas of
# ipam-svc are reached, or reach the node.
_CUT: Final = f"""
set -e
iptables -N LOST
iptables -A LOST -p tcp --dport {AGENT_PORT} -j RETURN
iptables -A LOST -p tcp --sport {AGENT_PORT} -j RETURN
iptables -A LOST -j DROP
iptables -I INPUT -i eth0 -j LOST
iptables -I OUTPUT -o eth0 -j LOST
iptables -I FORWARD -i eth0 -j LOST
iptables -I FORWARD -o eth0 -j LOST
"""
_MEND: Final = """
iptables -D INPUT -i eth0 -j LOST
iptables -D OUTPUT -o eth0 -j LOST
iptables -D FORWARD -i eth0 -j LOST
iptables -D FORWARD -o eth0 -j LOST
iptables -F LOST
iptables -X LOST
"""
_ADDRESSES: Final = "for each in /run/netns/*; do nsenter --net=$each ip -4 -o address; done"


@contextmanager
def cut_off(lab: Lab, node: Node) -> Iterator[None]:
    """Cut a node off; at the end it is reached again and nothing is said against it."""
    done = lab.node_exec(node, ["sh", "-c", _CUT])
    assert done.status == 0, done.stderr
    try:
        yield
    finally:
        lab.node_exec(node, ["sh", "-c", _MEND])
        lab.kubectl("taint", "node", node.name, f"{_OUT_OF_SERVICE}-")
        eventually(lambda: is_ready(lab, node), f"{node.name} is back", _NOT_READY_S)
        for workload in WORKLOADS:
            words = ("rollout", "status", workload, "-n", SYSTEM_NAMESPACE, "--timeout=240s")
            lab.kubectl(*words, timeout_s=270.0)


def is_ready(lab: Lab, node: Node) -> bool:
    """Say whether Kubernetes reaches a node's kubelet."""
    (raw,) = objects(lab, "node", node.name)
    return any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in raw["status"]["conditions"]
    )


def has_address(lab: Lab, node: Node) -> bool:
    """Say whether a container of a node has the address."""
    return f" {_ADDRESS}/" in lab.node_exec(node, ["sh", "-c", _ADDRESSES]).text


def owners(tenant: Tenant) -> list[str]:
    """Return the Pods for which the address is recorded."""
    return [
        entry.owner.name
        for raw in objects(tenant.cluster, "danmipblocks", "-n", tenant.namespace)
        for entry in decode_ip_block(raw).entries
        if isinstance(entry, Held) and isinstance(entry.owner, PodOwner)
    ]


def refusals(tenant: Tenant, pod: str) -> int:
    """Return how often kubelet has told that a Pod's network is full."""
    told = sandbox_failures(tenant.cluster, tenant.namespace, pod)
    return sum(each.count for each in told if "no free IPv4" in each.message)


def test_a_pod_deleted_by_force_keeps_its_address_until_its_node_is_lost(
    lab: Lab, tenant: Tenant
) -> None:
    """The container still runs and answers on the address, whatever the API server forgot."""
    # DESIGN P1, P3; SPEC G
    pool = {"start": _ADDRESS, "end": _ADDRESS}
    tenant.network(
        "net", vlan=340, cidr="10.77.0.0/24", allocation_pool=pool, container_prefix="eth0"
    )
    tenant.pod("stranded", ONE, node=_LOST.name)
    eventually(lambda: tenant.phase("stranded") == "Running", "The Pod runs", 120.0)
    with cut_off(lab, _LOST):
        eventually(lambda: not is_ready(lab, _LOST), "Kubernetes misses the node", _NOT_READY_S)
        force = ("--force", "--grace-period=0", "--wait=true", "--timeout=60s")
        lab.kubectl("delete", "pod", "stranded", "-n", tenant.namespace, *force)
        assert tenant.phase("stranded") == ""
        tenant.pod("next", ONE, node=_REACHED.name)
        eventually(
            lambda: refusals(tenant, "next") >= _REFUSALS,
            "The address is not handed out",
            _GIVEN_BACK_S,
        )
        assert owners(tenant) == ["stranded"]
        assert has_address(lab, _LOST)

        lab.kubectl("taint", "node", _LOST.name, f"{_OUT_OF_SERVICE}=nodeshutdown:NoExecute")
        eventually(lambda: tenant.phase("next") == "Running", "It is handed out", _GIVEN_BACK_S)
        assert owners(tenant) == ["next"]
    eventually(lambda: not has_address(lab, _LOST), "The node took it down", _GIVEN_BACK_S)
    assert owners(tenant) == ["next"]
    assert has_address(lab, _REACHED)
