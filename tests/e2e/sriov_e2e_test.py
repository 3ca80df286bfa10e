"""SR-IOV with devices of a device plugin, on real kubelets.

No machine of the lab has such hardware: the device plugin's devices are names, and the plugin
`sriov` records what danmd asks of it and makes a macvlan interface in place of a function.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.e2e import device_plugin
from tests.e2e.conftest import Tenant, eventually
from tests.lab.cluster import objects, pod_exec
from tests.lab.installation import SYSTEM_NAMESPACE
from tests.lab.lab import Lab
from tests.lab.topology import NODES, Node

_RESOURCE: Final = "example.com/sriov_a"
_DEVICES: Final = ("0000:18:02.1", "0000:18:02.2", "0000:18:02.5")
_READY_S: Final = 180.0
_PLUGIN: Final = "/opt/cni/bin/sriov"
_RECORDS: Final = "/run/danm-test-sriov"
# A file per call, since interfaces are made at once.
_RECORDER: Final = rf"""#!/bin/sh
config=$(cat)
printf '%s' "$config" > {_RECORDS}/$CNI_COMMAND-$CNI_IFNAME
printf '%s' "$config" | sed 's/"type":"sriov"/"type":"macvlan","master":"ens4","mode":"bridge"/' |
  /opt/cni/bin/macvlan
"""
_TWO: Final = json.dumps([{"network": "front", "ip": "dynamic"}, {"network": "back", "ip": "none"}])


class Recorder:
    """The plugin `sriov` of all nodes."""

    def __init__(self, lab: Lab) -> None:
        """Remember the lab."""
        self._lab = lab

    def install(self) -> None:
        """Put it beside the other plugins."""
        for node in NODES:
            script = f"cat > {_PLUGIN} && chmod 755 {_PLUGIN} && mkdir -p {_RECORDS}"
            done = self._lab.node_exec(node, ["sh", "-c", script], stdin=_RECORDER.encode())
            assert done.status == 0, done.stderr

    def remove(self) -> None:
        """Take it and its record away."""
        for node in NODES:
            self._lab.node_exec(node, ["rm", "-rf", _PLUGIN, _RECORDS])

    def call(self, node: Node, verb: str, interface: str) -> dict[str, Any]:
        """Return the configuration of the last call for an interface; empty where there is none."""
        done = self._lab.node_exec(node, ["cat", f"{_RECORDS}/{verb}-{interface}"])
        return dict(json.loads(done.stdout or b"{}"))


@pytest.fixture()
def recorder(lab: Lab) -> Iterator[Recorder]:
    """Install the recording plugin."""
    recorder = Recorder(lab)
    recorder.install()
    try:
        yield recorder
    finally:
        recorder.remove()


@pytest.fixture()
def _pool(lab: Lab, tenant: Tenant) -> Iterator[None]:
    """Run the device plugin on all nodes, as a DaemonSet in an image that has grpcio."""
    daemons = objects(lab, "daemonset", "danm-cni", "-n", SYSTEM_NAMESPACE)
    image = daemons[0]["spec"]["template"]["spec"]["containers"][0]["image"]
    source = Path(device_plugin.__file__)
    directory = str(device_plugin.DIRECTORY)
    container = {
        "name": "device-plugin",
        "image": image,
        "command": ["/app/bin/python", "-s", f"/plugin/{source.name}", _RESOURCE, *_DEVICES],
        "volumeMounts": [
            {"name": "sockets", "mountPath": directory},
            {"name": "source", "mountPath": "/plugin"},
        ],
    }
    labels = {"app": "device-plugin"}
    template = {
        "metadata": {"labels": labels},
        "spec": {
            "hostNetwork": True,
            "terminationGracePeriodSeconds": 1,
            "containers": [container],
            "volumes": [
                {"name": "sockets", "hostPath": {"path": directory}},
                {"name": "source", "configMap": {"name": "device-plugin"}},
            ],
        },
    }
    tenant.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "device-plugin"},
            "data": {source.name: source.read_text()},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "device-plugin"},
            "spec": {"selector": {"matchLabels": labels}, "template": template},
        },
    )
    eventually(lambda: set(offered(lab)) == {len(_DEVICES)}, "Nodes offer the devices", _READY_S)
    yield
    lab.kubectl("delete", "daemonset", "device-plugin", "-n", tenant.namespace, "--timeout=90s")


def offered(lab: Lab) -> list[int]:
    """Return how many devices each node offers."""
    nodes = objects(lab, "nodes")
    return [int(raw["status"]["allocatable"].get(_RESOURCE, 0)) for raw in nodes]


def networks(tenant: Tenant) -> None:
    """Create a network with addresses and one without, whose interfaces are functions."""
    shared = {"network_type": "sriov", "device_pool": _RESOURCE}
    tenant.network("front", vlan=350, cidr="10.77.0.0/24", container_prefix="eth0", **shared)
    tenant.network("back", dpdk=True, container_prefix="vf", **shared)


def network_status(lab: Lab, tenant: Tenant, pod: str) -> list[dict[str, Any]]:
    """Return what the Pod's annotation says of its interfaces."""
    (raw,) = objects(lab, "pod", pod, "-n", tenant.namespace)
    text = raw["metadata"].get("annotations", {}).get("k8s.v1.cni.cncf.io/network-status", "[]")
    return list(json.loads(text))


@pytest.mark.usefixtures("_pool")
def test_a_pods_interfaces_are_the_devices_that_kubelet_gave_it(
    lab: Lab, tenant: Tenant, recorder: Recorder
) -> None:
    """Each attachment has a device of its own, and DEL has the configuration and result of ADD."""
    # SPEC E1, E3
    networks(tenant)
    node = NODES[0]
    tenant.pod("vnf", _TWO, node=node.name, limits={_RESOURCE: "2"})
    eventually(lambda: tenant.phase("vnf") == "Running", "The Pod runs", _READY_S)
    front, back = (recorder.call(node, "ADD", name) for name in ("eth0", "vf"))
    assert {front["deviceID"], back["deviceID"]} < set(_DEVICES)
    assert front["deviceID"] != back["deviceID"]
    assert (front["l2enable"], front["vlan"]) == (False, 350)
    assert back["l2enable"] is True
    assert "dpdk" in back
    assert " 10.77.0." in pod_exec(lab, tenant.namespace, "vnf", ["cat", "/proc/net/fib_trie"])
    eventually(
        lambda: [
            each.get("device-info", {}).get("pci", {}).get("pci-address")
            for each in network_status(lab, tenant, "vnf")
        ]
        == [front["deviceID"], back["deviceID"]],
        "The Pod's annotation has the devices",
    )
    tenant.delete_pod("vnf")

    def is_deleted(interface: str, added: dict[str, Any]) -> bool:
        deleted = recorder.call(node, "DEL", interface)
        return "interfaces" in deleted.pop("prevResult", {}) and deleted == added

    eventually(lambda: is_deleted("eth0", front), "eth0's DEL has the configuration of its ADD")
    eventually(lambda: is_deleted("vf", back), "vf's DEL has the configuration of its ADD")
    eventually(lambda: tenant.left_behind() == [], "Nothing is left behind")


@pytest.mark.usefixtures("_pool")
def test_a_pod_that_requests_too_few_devices_is_told(tenant: Tenant, recorder: Recorder) -> None:
    """Nothing is reserved or made, and `kubectl describe pod` says what to request."""
    # SPEC E1, B3
    networks(tenant)
    tenant.pod("greedy", _TWO, node=NODES[0].name, limits={_RESOURCE: "1"})
    eventually(
        lambda: f"request 2 in a container's resources.limits['{_RESOURCE}']"
        in tenant.described("pod", "greedy"),
        "`kubectl describe pod` says what to request",
        _READY_S,
    )
    assert tenant.left_behind() == []
    assert recorder.call(NODES[0], "ADD", "eth0") == {}
