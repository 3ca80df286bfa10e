"""deploy/ipam-only: addresses for another CNI plugin, on nodes without the rest of DANM.

By its name the last of the end-to-end tests: DANM is removed before.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import DEMO_IMAGE, Tenant, eventually
from tests.lab.cluster import objects, pod_exec
from tests.lab.demo_cli import install_on_lab
from tests.lab.installation import IPAM_WORKLOADS, Installation
from tests.lab.lab import Lab
from tests.lab.topology import NODES

_CONFIG = "/etc/cni/net.d/00-lan.conflist"
_NAMESPACE = "addresses-alone"


def on_all_nodes(lab: Lab, script: str) -> list[str]:
    """Run a script on every node and return what it prints."""
    return [lab.node_exec(node, ["sh", "-c", script]).stdout.decode().strip() for node in NODES]


@pytest.fixture()
def alone(lab: Lab) -> Iterator[Installation]:
    """Install ipam-svc, the validator and danmd --ipam-only; the nodes' Pods go to a bridge."""
    plugin = {
        "type": "bridge",
        "bridge": "br-lan",
        "ipam": {"type": "fakeipam", "network": "lan"},
    }
    config = {"cniVersion": "1.1.0", "name": "lan", "plugins": [plugin]}
    installation = install_on_lab(lab, part="ipam-only", workloads=IPAM_WORKLOADS)
    on_all_nodes(lab, f"echo '{json.dumps(config)}' > {_CONFIG}")
    try:
        yield installation
    finally:
        on_all_nodes(lab, f"rm -f {_CONFIG}")


def a_pod(name: str, node: str) -> dict[str, Any]:
    """Return a Pod that sleeps on a node."""
    sleeper = {
        "name": "sleeper",
        "image": DEMO_IMAGE,
        "command": ["python3", "-c", "import signal; signal.pause()"],
    }
    spec = {"nodeName": node, "containers": [sleeper], "terminationGracePeriodSeconds": 1}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def test_a_plugin_has_cluster_wide_addresses(lab: Lab, alone: Installation) -> None:
    """Pods of both nodes get addresses of one pool and give them back, and one command ends it."""
    # SPEC F2
    files = "cd /; ls opt/cni/bin/danm opt/cni/bin/fakeipam etc/cni/net.d/*danm* 2> /dev/null"
    assert on_all_nodes(lab, files) == ["opt/cni/bin/fakeipam"] * len(NODES)
    lab.kubectl("create", "namespace", _NAMESPACE)
    tenant = Tenant(cluster=lab, namespace=_NAMESPACE)
    options = {"cidr": "10.9.0.0/29", "net6": "2001:db8:9::/64", "fakeipam": True}
    tenant.apply(
        {
            "apiVersion": "danm.k8s.io/v1",
            "kind": "DanmNet",
            "metadata": {"name": "lan"},
            "spec": {"NetworkID": "lan", "Options": options},
        }
    )
    # The pool has six: all of them, by Pods of both nodes.
    names = [f"p{number}" for number in range(6)]
    tenant.apply(*(a_pod(name, NODES[i % len(NODES)].name) for i, name in enumerate(names)))
    eventually(
        lambda: all(tenant.phase(name) == "Running" for name in names), "All Pods run", 180.0
    )
    pods = objects(lab, "pods", "-n", _NAMESPACE)
    assert sorted(pod["status"]["podIP"] for pod in pods) == [f"10.9.0.{i}" for i in range(1, 7)]
    shown = json.loads(pod_exec(lab, _NAMESPACE, "p0", ["python3", "/demo/interfaces.py"]))
    eth0 = next(each["addresses"] for each in shown if each["name"] == "eth0")
    assert set(tenant.left_behind()) >= {
        text.partition("/")[0] for text in eth0 if "fe80" not in text
    }
    lab.kubectl("delete", "pods", "--all", "-n", _NAMESPACE, "--timeout=90s")
    eventually(lambda: not tenant.left_behind(), "Nothing is held")
    on_all_nodes(lab, f"rm -f {_CONFIG}")
    alone.uninstall()
    left = "cd /; ls -d opt/cni/bin/danm opt/cni/bin/fakeipam var/lib/danm/* 2> /dev/null"
    assert on_all_nodes(lab, left) == [""] * len(NODES)
    lab.kubectl("delete", "namespace", _NAMESPACE, "--timeout=90s")
