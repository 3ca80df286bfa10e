"""Installing DANM changes nothing for Pods that do not ask for it."""

import json

import pytest

from tests.e2e.conftest import Tenant, eventually
from tests.lab.cluster import objects, pod_exec

pytestmark = pytest.mark.usefixtures("_clean_nodes")


def test_a_pod_that_asks_for_nothing(tenant: Tenant) -> None:
    """It gets an eth0 of the cluster's previous network and no DanmEp."""  # SPEC B2
    tenant.pod("plain", None)
    eventually(lambda: tenant.phase("plain") == "Running", "The Pod runs", 90.0)
    found = objects(tenant.cluster, "pod", "plain", "-n", tenant.namespace)
    address = found[0]["status"]["podIP"]
    assert address.startswith("198.18.6")
    shown = json.loads(
        pod_exec(tenant.cluster, tenant.namespace, "plain", ["python3", "/demo/interfaces.py"])
    )
    eth0 = next(interface for interface in shown if interface["name"] == "eth0")
    assert eth0["kind"] == "veth"
    assert any(text.partition("/")[0] == address for text in eth0["addresses"])
    assert tenant.left_behind() == []


def test_a_namespace_with_a_default_network(tenant: Tenant) -> None:
    """The namespace's DanmNet `default` goes before the previous network."""  # SPEC B2
    tenant.network("default", vlan=330, cidr="10.77.0.0/24", container_prefix="eth0")
    tenant.pod("plain", None)
    eventually(lambda: tenant.phase("plain") == "Running", "The Pod runs", 90.0)
    found = objects(tenant.cluster, "pod", "plain", "-n", tenant.namespace)
    assert found[0]["status"]["podIP"].startswith("10.77.0.")
