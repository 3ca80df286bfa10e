"""Addresses of an ADD: waited for, asked for once, and told when there are none."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from danm_api.codec.danmnet import decode_danmnet, encode_status
from danm_api.errors import (
    AddressTakenError,
    ConflictError,
    IpamUnavailableError,
    PoolExhaustedError,
)
from danm_api.kube.api import DANMNETS, PODS
from danm_api.names import INTERFACES_ANNOTATION
from danm_api.testing.builders import NAMESPACE, NODE, a_raw_danmnet, accepted
from danm_cni.testing.demo import EXTERNAL, INTERNAL, MANAGEMENT
from danm_cni.testing.node import FakeNode, netns_of


async def test_a_full_pool_is_the_adds_error(node: FakeNode) -> None:
    """Regression: the old program answered success with an empty address when the pool was full."""
    node.add_pod(interfaces=[INTERNAL])
    node.addresses.failures.fail("reserve", PoolExhaustedError("pool is full"))
    with pytest.raises(PoolExhaustedError):
        await node.add()
    assert {} == node.leftovers()


async def test_a_static_address_of_a_pod_that_goes_is_waited_for(node: FakeNode) -> None:
    """An ADD whose static address is still held gets it once the holder has let go."""
    node.add_pod(interfaces=[{"network": "internal", "ip": "10.240.1.7/24"}])
    node.addresses.failures.fail("reserve", AddressTakenError("held by Pod x"), times=2)
    # DESIGN, "When an address is released"
    assert ["10.240.1.7/24"] == [str(ip.address) for ip in (await node.add()).ips]


async def test_a_static_address_that_stays_taken_is_told(node: FakeNode) -> None:
    """When the holder does not let go in time, the error is who holds it, not that time is over."""
    node.add_pod(interfaces=[{"network": "internal", "ip": "10.240.1.7/24"}])
    node.addresses.failures.fail("reserve", AddressTakenError("held by Pod x"), times=100)
    with pytest.raises(AddressTakenError, match="held by Pod x"):
        await node.add(timeout_s=2.0)
    assert {} == node.leftovers()


async def test_only_the_first_reserve_for_a_pod_is_fresh(node: FakeNode) -> None:
    """ipam-svc is told that there is nothing to look for once, and never after a restart."""
    node.add_pod(interfaces=[INTERNAL])
    node.addresses.failures.fail("reserve", IpamUnavailableError("away"))
    with pytest.raises(IpamUnavailableError):
        await node.add("c1")
    await node.add("c2")
    node.add_pod("pod-2", interfaces=[INTERNAL])
    await node.restart()
    await node.add("c3", pod="pod-2")
    # DESIGN, "Attempts fence"
    assert [True, False, False] == node.addresses.fresh


async def test_hundreds_of_tries_without_ipam_leave_one_record(node: FakeNode) -> None:
    """While ipam-svc is away, a Pod that is tried again and again does not fill the journal."""
    node.add_pod(interfaces=[INTERNAL])
    for name in ("reserve", "release"):
        node.addresses.failures.fail(name, IpamUnavailableError("away"), times=1000)
    for number in range(20):
        with pytest.raises(IpamUnavailableError):
            await node.add(f"c{number}")
    # DESIGN, P6
    assert len(node.daemon.journal.records()) <= 1


async def test_a_static_pod_whose_mirror_was_deleted_is_not_fresh(node: FakeNode) -> None:
    """Kubelet makes the mirror again, and the Pod still has what its earlier sandbox got."""
    # DESIGN, "Attempts fence"; SPEC G7
    hashed = "0d1f2a7f6c1b4a5d9e8f7a6b5c4d3e2f"
    pods, _, _ = node.daemon.informers
    for uid, container_id in (("mirror-1", "c1"), ("mirror-2", "c2")):
        mirror = {
            "metadata": {
                "namespace": NAMESPACE,
                "name": "pod-1",
                "uid": uid,
                "annotations": {
                    "kubernetes.io/config.mirror": hashed,
                    INTERFACES_ANNOTATION: msgspec.json.encode([INTERNAL]).decode(),
                },
            },
            "spec": {"nodeName": NODE},
        }
        node.kube.add(PODS, mirror)
        await node.until(lambda: len(pods.items()) == 1)
        await node.add(container_id, uid=hashed)
        await node.kube.delete(PODS, "pod-1", namespace=NAMESPACE)
        await node.until(lambda: len(pods.items()) == 0)
    assert [True, False] == node.addresses.fresh


async def _now_asks_for(node: FakeNode, *attachments: Mapping[str, Any]) -> None:
    """Edit the Pod's annotation, and wait until danmd has seen it."""
    text = msgspec.json.encode(attachments).decode()
    patch = {"metadata": {"annotations": {INTERFACES_ANNOTATION: text}}}
    await node.kube.patch(PODS, "pod-1", patch, namespace=NAMESPACE)
    pods, _, _ = node.daemon.informers
    await node.until(
        lambda: [each.annotations[INTERFACES_ANNOTATION] for each in pods.items()] == [text]
    )


async def test_a_static_address_follows_an_interface_to_another_name(node: FakeNode) -> None:
    """What the Pod itself holds under the name of before is in nobody's way."""
    fixed = {"network": "internal", "ip": "10.240.1.7/24"}
    node.add_pod(interfaces=[fixed, EXTERNAL])
    await node.add("c1")
    await node.delete("c1")
    await _now_asks_for(node, MANAGEMENT, fixed, EXTERNAL)
    result = await node.add("c2")
    assert "10.240.1.7/24" in [str(ip.address) for ip in result.ips]
    held = {(each.network, each.interface) for each in node.addresses.entries}
    assert held == {("internal", "eth1"), ("external", "ext")}
    await node.daemon.sandboxes.background.end()
    assert ["c2"] == [each.container_id for each in node.daemon.journal.records()]


async def test_an_older_address_that_cannot_be_given_back_is_told_as_its_holder(
    node: FakeNode,
) -> None:
    """The ADD says who holds it, and the next one tries again."""
    fixed = {"network": "internal", "ip": "10.240.1.7/24"}
    node.add_pod(interfaces=[fixed])
    await node.add("c1")
    await node.delete("c1")
    await _now_asks_for(node, MANAGEMENT, fixed)
    node.addresses.failures.fail("release", IpamUnavailableError("away"))
    with pytest.raises(AddressTakenError, match=r"held by uid-pod-1 \(eth0\)"):
        await node.add("c2", timeout_s=1.0)
    assert ["eth0"] == [each.interface for each in node.addresses.entries]
    await node.add("c3")
    assert ["eth1"] == [each.interface for each in node.addresses.entries]


async def test_what_others_hold_costs_a_pod_nothing_of_its_own(node: FakeNode) -> None:
    """An address that stays taken takes none of those from the Pod that it goes on asking for."""
    fixed = {"network": "internal", "ip": "10.240.1.7/24"}
    node.add_pod("other", interfaces=[fixed])
    await node.add("c0", pod="other")
    await node.kube.delete(PODS, "other", namespace=NAMESPACE)
    node.add_pod(interfaces=[INTERNAL, EXTERNAL])
    await node.add("c1")
    await node.delete("c1")
    held = {each.network: each.address for each in node.addresses.entries}
    await _now_asks_for(node, MANAGEMENT, fixed, EXTERNAL)
    with pytest.raises(AddressTakenError, match="held by uid-other"):
        await node.add("c2", timeout_s=1.0)
    assert {each.network: each.address for each in node.addresses.entries} == {
        "internal": "10.240.1.7/24",
        "external": held["external"],
    }


@pytest.mark.parametrize("uid", ["uid-2", f"uid-{NAMESPACE}-internal"], ids=["anew", "edited"])
async def test_a_network_of_before_puts_no_pod_on_its_wire(node: FakeNode, uid: str) -> None:
    """While danmd's watch is silent: the first ADD is tried again, and the next one knows."""
    # DESIGN, P1
    node.add_pod(interfaces=[INTERNAL])
    await node.deafen()
    await node.kube.delete(DANMNETS, "internal", namespace=NAMESPACE)
    raw = a_raw_danmnet("internal", uid=uid, host_device="ens4", cidr="10.240.1.0/24")
    status = encode_status(accepted(decode_danmnet(raw)).status)
    node.kube.add(DANMNETS, {**raw, "status": status})
    node.addresses.network_uids["internal"] = uid
    node.addresses.wires["internal"] = "ens4"
    with pytest.raises(ConflictError, match=f"{NAMESPACE}/internal was changed or made anew"):
        await node.add("c1")
    assert {} == node.leftovers()
    await node.add("c2")
    assert {"eth0": "ens4"} == node.kernel.namespaces[netns_of("c2")].parents
    (record,) = node.daemon.journal.records()
    assert [uid] == [each.network_uid for each in record.interfaces]


@pytest.mark.parametrize(
    ("uid", "network_type", "parent"),
    [
        pytest.param(None, "macvlan", "ens4", id="another wire"),
        pytest.param("uid-2", "macvlan", "ens3", id="made anew"),
        pytest.param(None, "ipvlan", "ens3", id="another type"),
    ],
)
async def test_what_asks_for_no_address_is_confirmed_by_danmd(
    node: FakeNode, uid: str | None, network_type: str, parent: str
) -> None:
    """ipam-svc has not judged its DanmNet, so it is read once more."""
    await node.have_network(
        "plain", network_type="macvlan", host_device="ens3", container_prefix="l2"
    )
    node.add_pod(interfaces=[INTERNAL, {"network": "plain"}])
    await node.deafen()
    await node.kube.delete(DANMNETS, "plain", namespace=NAMESPACE)
    raw = a_raw_danmnet(
        "plain", network_type=network_type, uid=uid, host_device=parent, container_prefix="l2"
    )
    status = encode_status(accepted(decode_danmnet(raw)).status)
    node.kube.add(DANMNETS, {**raw, "status": status})
    with pytest.raises(ConflictError, match=f"{NAMESPACE}/plain was changed or made anew"):
        await node.add("c1")
    assert {} == node.leftovers()
    await node.add("c2")
    (record,) = node.daemon.journal.records()
    assert ["ipvlan", network_type] == [each.network_type for each in record.interfaces]
    assert parent == node.kernel.namespaces[netns_of("c2")].parents["l2"]
