"""The annotation that tells of a Pod's interfaces."""

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from danm_api.codec.pod import decode_pod
from danm_api.errors import AddressTakenError, ApiUnavailableError
from danm_api.kube.api import PODS
from danm_api.kube.informer import Informer
from danm_api.names import ContainerId
from danm_api.testing.builders import NAMESPACE
from danm_api.testing.fake_kube import FakeKube
from danm_cni.journal import Journal, SandboxRecord, SandboxState
from danm_cni.network_status import ANNOTATION, StatusAnnotations
from danm_cni.testing.demo import EXTERNAL, INTERNAL, MANAGEMENT
from danm_cni.testing.fake_kernel import PARENT_MAC
from danm_cni.testing.node import FakeNode


def _told(node: FakeNode, pod: str = "pod-1") -> str | None:
    for raw in node.kube.all_stored(PODS):
        if raw["metadata"]["name"] == pod:
            annotations: dict[str, str] = raw["metadata"].get("annotations", {})
            return annotations.get(ANNOTATION)
    return None


async def _status(node: FakeNode, pod: str = "pod-1") -> Any:  # noqa: ANN401  (JSON)
    await node.until(lambda: _told(node, pod) is not None)
    return msgspec.json.decode(_told(node, pod) or "")


async def test_a_pod_is_told_of_all_its_interfaces(node: FakeNode) -> None:
    """Each has its network, name, addresses and MAC; eth0 is the default, with its name servers."""
    node.plugins.results["bridge"] = msgspec.json.encode(
        {
            "cniVersion": "0.3.1",
            "ips": [{"version": "4", "address": "203.0.113.5/24"}],
            "dns": {"nameservers": ["203.0.113.1"]},
        }
    )
    node.add_network(
        "dual", host_device="ens4", cidr="198.18.0.0/24", net6="2001:db8::/64", container_prefix="d"
    )
    node.add_pod(interfaces=[MANAGEMENT, {"network": "dual", "ip": "dynamic", "ip6": "dynamic"}])
    await node.add()
    assert await _status(node) == [
        {
            "name": f"{NAMESPACE}/management",
            "interface": "eth0",
            "ips": ["203.0.113.5"],
            "default": True,
            "dns": {"nameservers": ["203.0.113.1"]},
        },
        {
            "name": f"{NAMESPACE}/dual",
            "interface": "d",
            "ips": ["198.18.0.10", "2001:db8::a"],
            "mac": PARENT_MAC,
            "mtu": 1500,
        },
    ]


async def test_the_fallbacks_interface_has_its_configurations_name(node: FakeNode) -> None:
    """A Pod that asks for nothing is told of what it has, too."""
    node.write_cni_config("10-old.conf", {"cniVersion": "1.1.0", "name": "old", "type": "ptp"})
    node.add_pod()
    await node.add()
    (entry,) = await _status(node)
    assert (entry["name"], entry["interface"], entry["ips"]) == ("old", "eth0", ["203.0.113.5"])


async def test_a_pod_without_an_interface_of_danms_is_not_told_that_it_has_none(
    node: FakeNode,
) -> None:
    """Behind other plugins, whose interfaces it has, nothing is said of them."""
    previous = {"cniVersion": "1.1.0", "interfaces": [{"name": "eth0", "sandbox": "/x"}]}
    node.add_pod("behind")
    request = node.request("ADD", "c1", pod="behind", prevResult=previous)
    await node.daemon.sandboxes.add(request, deadline_s=time.monotonic() + 5)
    node.add_pod("later", interfaces=[MANAGEMENT])
    await node.add("c2", pod="later")
    await _status(node, "later")
    assert _told(node, "behind") is None


async def test_an_address_without_its_interface_is_the_requests(node: FakeNode) -> None:
    """What a fallback's plugin tells of an interface that it does not list is told of eth0."""
    node.write_cni_config("10-old.conf", {"cniVersion": "1.1.0", "name": "old", "type": "ptp"})
    node.plugins.results["ptp"] = msgspec.json.encode(
        {"cniVersion": "1.1.0", "ips": [{"address": "203.0.113.7/24", "interface": 3}]}
    )
    node.add_pod()
    await node.add()
    (entry,) = await _status(node)
    assert (entry["interface"], entry["ips"]) == ("eth0", ["203.0.113.7"])


async def test_another_sandbox_is_told_anew(node: FakeNode) -> None:
    """What a Pod's next sandbox has replaces what its last one had."""
    node.add_pod(interfaces=[MANAGEMENT])
    await node.add("c1")
    before = await _status(node)
    await node.delete("c1")
    result = {"cniVersion": "0.3.1", "ips": [{"version": "4", "address": "203.0.113.6/24"}]}
    node.plugins.results["bridge"] = msgspec.json.encode(result)
    await node.add("c2")
    await node.until(lambda: "203.0.113.6" in (_told(node) or ""))
    assert before[0]["ips"] == ["203.0.113.5"]


async def test_an_interface_that_was_taken_down_is_not_told_any_more(node: FakeNode) -> None:
    """When somebody else has an address by now, the Pod is told of what it has left."""
    # DESIGN, P7
    node.add_pod(interfaces=[INTERNAL, EXTERNAL])
    await node.add()
    assert ["eth0", "ext"] == [each["interface"] for each in await _status(node)]
    node.addresses.entries = [each for each in node.addresses.entries if each.interface == "eth0"]
    node.addresses.failures.fail("reserve", AddressTakenError("held by Pod x"))
    await node.daemon.upkeep.compare()
    await node.until(lambda: "ext" not in (_told(node) or "ext"))
    (entry,) = await _status(node)
    assert (entry["ips"], entry["mac"]) == (["198.18.0.10"], PARENT_MAC)


async def test_an_api_outage_delays_it_only(node: FakeNode) -> None:
    """The ADD does not wait for the annotation, and it comes when the API server does."""
    node.add_pod(interfaces=[MANAGEMENT])
    node.kube.fail_next("patch", PODS, ApiUnavailableError("away", status=0), times=2)
    await node.add()
    assert await _status(node)


async def test_pods_that_are_never_seen_are_not_remembered_for_ever(tmp_path: Path) -> None:
    """Whom the watch does not show is due for as long as there is its sandbox."""
    # DESIGN, P6
    kube = FakeKube()
    journal = Journal(tmp_path)
    journal.load()
    statuses = StatusAnnotations(kube, Informer(kube, PODS, decode_pod), journal)
    for number in range(9):
        record = SandboxRecord(
            container_id=f"c{number}",
            namespace=NAMESPACE,
            pod=f"pod-{number}",
            pod_uid=f"uid-{number}",
            netns="",
            state=SandboxState.ADDED,
        )
        await journal.put(record)
        statuses.changed(record)
        if number:
            await journal.forget(ContainerId(record.container_id))
    assert len(statuses) == 2


async def test_what_died_with_danmd_is_told_by_the_next(node: FakeNode) -> None:
    """A danmd that is killed between the ADD and the annotation leaves it to its successor."""
    node.add_pod(interfaces=[MANAGEMENT])
    await node.add()
    await _status(node)
    gone = {"metadata": {"annotations": {ANNOTATION: None}}}
    await node.kube.patch(PODS, "pod-1", gone, namespace=NAMESPACE)
    await node.restart()
    assert await _status(node)


@pytest.mark.parametrize("restart", [False, True])
async def test_what_somebody_else_wrote_stays(node: FakeNode, restart: bool) -> None:
    """A meta-plugin that calls danm writes its own after danm's, and nobody fights over it."""
    node.add_pod(interfaces=[MANAGEMENT])
    await node.add()
    await _status(node)
    theirs = {"metadata": {"annotations": {ANNOTATION: "theirs"}}}
    await node.kube.patch(PODS, "pod-1", theirs, namespace=NAMESPACE)
    if restart:
        await node.restart()
    node.add_pod("pod-2", interfaces=[MANAGEMENT])
    await node.add("c2", pod="pod-2")
    await _status(node, "pod-2")
    assert _told(node) == "theirs"
