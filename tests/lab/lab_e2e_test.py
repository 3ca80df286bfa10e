"""The lab keeps what it promises to those who test on it."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.lab.cluster import pod_exec
from tests.lab.errors import LabError
from tests.lab.images import PYTHON_BASE
from tests.lab.lab import Lab
from tests.lab.process import wait_until
from tests.lab.topology import NODES

_SERVER = """
apiVersion: v1
kind: Pod
metadata: {name: server, labels: {app: server}}
spec:
  nodeName: node2
  terminationGracePeriodSeconds: 0
  containers:
    - name: server
      image: "%(image)s"
      command: [python3, -m, http.server, "8000"]
      readinessProbe: {httpGet: {path: /, port: 8000}, periodSeconds: 1, timeoutSeconds: 5}
---
apiVersion: v1
kind: Pod
metadata: {name: client}
spec:
  nodeName: node1
  terminationGracePeriodSeconds: 0
  containers:
    - {name: client, image: "%(image)s", command: [sleep, infinity]}
---
apiVersion: v1
kind: Service
metadata: {name: server}
spec:
  selector: {app: server}
  ports: [{port: 80, targetPort: 8000}]
"""
# Each node's kube-proxy hears of a ready Pod in its own time: tried again for half a minute.
_REQUEST = """
import time, urllib.request
end = time.monotonic() + 30
while True:
    try:
        print(urllib.request.urlopen('http://server', timeout=20).status)
        break
    except OSError:
        if time.monotonic() > end:
            raise
        time.sleep(0.5)
"""
# A node that stands still answers no ping meanwhile.
_CROSSES_S: Final = 60.0

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def lab() -> Lab:
    """The lab of the end-to-end tests."""
    lab = Lab.named(os.environ.get("DANM_E2E_LAB", "e2e"))
    lab.up()
    return lab


@pytest.fixture()
def namespace(lab: Lab) -> Iterator[str]:
    """A namespace of the test's own."""
    name = "lab-check"
    lab.kubectl("create", "namespace", name)
    yield name
    lab.kubectl("delete", "namespace", name, "--timeout=90s")


def test_pods_of_two_nodes_meet_by_name(lab: Lab, namespace: str) -> None:
    """DNS, kube-proxy, routes between the nodes, exec and logs work together."""
    lab.kubectl("apply", "-n", namespace, "-f", "-", stdin=_SERVER % {"image": PYTHON_BASE})
    ready = ("wait", "-n", namespace, "--for=condition=Ready", "pod/server", "pod/client")
    lab.kubectl(*ready, "--timeout=90s")

    answer = pod_exec(lab, namespace, "client", ["python3", "-c", _REQUEST])

    assert answer == "200\n"
    assert "GET / " in lab.kubectl("logs", "-n", namespace, "server")


@pytest.mark.parametrize(
    ("parent", "link", "largest"),
    [
        pytest.param("ens4", ["type", "vlan", "id", "4000"], 1500, id="vlan"),
        pytest.param(
            "ens3",
            ["type", "vxlan", "id", "16000000", "group", "239.1.2.3", "dstport", "4789"],
            1450,
            id="vxlan",
        ),
    ],
)
def test_wires_carry_full_frames(lab: Lab, parent: str, link: list[str], largest: int) -> None:
    """VLAN and VXLAN frames of full size cross between the nodes, multicast included."""
    try:
        for node in NODES:
            kind = [*link, "dev", parent] if "vxlan" in link else link
            add = ["ip", "link", "add", "link", parent, "name", "labcheck", *kind]
            address = f"192.0.2.{node.index}/24"
            for command in (
                add,
                ["ip", "address", "add", address, "dev", "labcheck"],
                ["ip", "link", "set", "labcheck", "up"],
            ):
                done = lab.node_exec(node, command)
                assert done.status == 0, done.stderr

        # 28 bytes are the headers of IPv4 and ICMP.
        ping = ["ping", "-c", "3", "-W", "5", "-M", "do", "-s", str(largest - 28), "192.0.2.2"]
        wait_until(
            lambda: lab.node_exec(NODES[0], ping).status == 0,
            what=f"Frames of {largest} bytes cross",
            timeout_s=_CROSSES_S,
        )
    finally:
        for node in NODES:
            lab.node_exec(node, ["ip", "link", "delete", "labcheck"])


def test_a_node_tells_exit_status_and_output_apart(lab: Lab) -> None:
    """What a command in a node prints and returns arrives unchanged."""
    done = lab.node_exec(NODES[1], ["sh", "-c", "cat; echo oops >&2; exit 7"], stdin=b"in\0put")

    assert (done.status, done.stdout, done.stderr) == (7, b"in\0put", b"oops\n")


def test_a_node_never_writes_to_this_machine(lab: Lab) -> None:
    """A node writes everywhere, and PID 1's mount namespace is no way around its overlay."""
    marker = Path("/etc/danm-lab-was-here")
    for argv in (["touch", str(marker)], ["nsenter", "-t", "1", "-m", "touch", str(marker)]):
        assert lab.node_exec(NODES[0], argv).status == 0

    assert not marker.exists()


def test_up_on_a_lab_that_is_up_changes_nothing(lab: Lab) -> None:
    """The second `up` finds the first one's nodes."""
    before = _boot_ids(lab)

    lab.up()

    assert _boot_ids(lab) == before


def test_down_leaves_nothing(lab: Lab) -> None:
    """A second lab lives beside the first; its end leaves no namespace, process or file."""
    other = Lab.named("e2e-other")
    other.up()
    processes = other.namespace.process_ids()
    assert processes

    other.down()

    assert not other.namespace.exists()
    assert not other.state.exists()
    assert not [each for each in processes if Path(f"/proc/{each}/root").exists()]
    mounts = Path("/proc/mounts").read_text()
    assert "danm-lab-e2e-other" not in mounts
    with pytest.raises(LabError, match="lab up --name e2e-other"):
        other.kubectl("get", "nodes")
    assert lab.is_up()


def test_up_repairs_a_lab_that_is_half_there() -> None:
    """What a killed command left does not disturb the next one."""
    other = Lab.named("e2e-half")
    try:
        other.namespace.create()
        other.state.mkdir(parents=True)
        other.namespace.start("stray", ["sleep", "600"], log=other.state / "stray.log")

        other.up()

        nodes = json.loads(other.kubectl("get", "nodes", "-o", "json"))
        assert len(nodes["items"]) == len(NODES)
    finally:
        other.down()


def _boot_ids(lab: Lab) -> list[str]:
    path = "/proc/sys/kernel/random/boot_id"
    return [lab.node_exec(node, ["cat", path]).text for node in NODES]


def test_lab_guest_has_the_kernel_features_of_a_node(lab: Lab) -> None:
    """`lab guest` runs a command under a kernel with IPVLAN and tells its exit status."""
    del lab
    script = "ip link add dum0 type dummy && ip link add ipv0 link dum0 type ipvlan && exit 3"
    command = [str(_repository() / "lab"), "guest", "--", "sh", "-c", script]

    done = subprocess.run(command, capture_output=True, check=False)

    assert (done.returncode, done.stderr) == (3, b"")


def _repository() -> Path:
    return Path(__file__).parents[2]
