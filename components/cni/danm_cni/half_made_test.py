"""Taking down what an earlier danmd has left half-made."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from danm_api.errors import DanmError, LinkSetupError
from danm_api.kube.api import PODS
from danm_api.kube.informer import ObjectKey
from danm_api.names import INTERFACES_ANNOTATION
from danm_api.testing.builders import NAMESPACE
from danm_cni.failpoints import Effect, observed_by
from danm_cni.testing.demo import EXTERNAL, INTERNAL, MANAGEMENT
from danm_cni.testing.node import FakeNode


async def _killed_beside_its_plugin(node: FakeNode) -> None:
    """Have a danmd that was killed in an ADD, whose plugin goes on."""
    left: dict[str, bytes] = {}
    journal = node.config.paths.state / "journal"

    def keep(point: str) -> None:
        if point == f"before {Effect.RUN_ADD}":
            left.update({path.name: path.read_bytes() for path in journal.iterdir()})

    node.add_pod(interfaces=[MANAGEMENT, INTERNAL | {"network": "external"}])
    with observed_by(keep):
        await node.add("c1")
    await node.stop()
    for name, data in left.items():
        (journal / name).write_bytes(data)
    node.plugins.strays.add("c1")
    await node.restart()


@pytest.mark.parametrize("first", ["the comparison", "DEL", "another sandbox"])
async def test_a_plugin_that_outlived_danmd_is_ended(node: FakeNode, first: str) -> None:
    """Whoever removes the half-made sandbox first ends its plugin, which could go on afterwards."""
    # DESIGN, "An ADD", steps 7 and 8
    await _killed_beside_its_plugin(node)
    match first:
        case "the comparison":
            await node.daemon.upkeep.compare()
        case "DEL":
            await node.delete("c1")
        case "another sandbox":
            await node.add("c2")
    assert set() == node.plugins.strays


async def test_an_undo_does_not_look_for_plugins(node: FakeNode) -> None:
    """Plugins of an ADD that this danmd has failed have ended: nothing is searched for them."""
    node.plugins.strays.add("c1")
    node.plugins.failures.hang("bridge")
    node.add_pod(interfaces=[MANAGEMENT])
    with pytest.raises(Exception, match="the time for the ADD was over"):
        await node.add("c1", timeout_s=0.1)
    assert {"c1"} == node.plugins.strays


async def _restarted_with_an_older_sandbox(node: FakeNode) -> None:
    """Have a Pod with a sandbox, and an older one that a danmd left which died in its ADD."""
    left: dict[str, bytes] = {}
    journal = node.config.paths.state / "journal"

    def keep(point: str) -> None:
        if point == f"after {Effect.WRITE_INTENT}" and not left:
            left.update({path.name: path.read_bytes() for path in journal.iterdir()})

    node.add_pod(interfaces=[INTERNAL])
    with observed_by(keep):
        await node.add("c1")
    await node.delete("c1")
    await node.add("c2")
    await node.stop()
    for name, data in left.items():
        (journal / name).write_bytes(data)
    await node.restart()


async def test_an_older_sandbox_leaves_the_addresses_to_the_next(node: FakeNode) -> None:
    """A half-made sandbox of a Pod that has another one by now is forgotten, and frees nothing."""
    # DESIGN P3: the interface of the next one is still there when the Pod ends.
    await _restarted_with_an_older_sandbox(node)
    held = list(node.addresses.entries)
    await node.daemon.upkeep.compare()
    assert [each.container_id for each in node.daemon.journal.records()] == ["c2"]
    await node.end_pod()
    await node.daemon.upkeep.compare()
    assert held == node.addresses.entries
    await node.delete("c2")
    assert node.leftovers() == {}


async def test_a_pod_s_end_frees_nothing_of_a_sandbox_that_is_there(node: FakeNode) -> None:
    """An older sandbox that is found when its Pod ends does not free what the next one has."""
    # DESIGN P3
    await _restarted_with_an_older_sandbox(node)
    held = list(node.addresses.entries)
    await node.end_pod()
    await node.daemon.upkeep.compare()
    assert held == node.addresses.entries
    assert [each.container_id for each in node.daemon.journal.records()] == ["c2"]


@pytest.mark.parametrize("how", ["hangs", "fails"])
async def test_a_new_sandbox_that_comes_to_nothing_keeps_the_pods_address(
    node: FakeNode, how: str
) -> None:
    """What an older sandbox had stays the Pod's when the ADD of the next one is undone."""
    # SPEC G7; DESIGN, "When an address is released"
    node.add_pod(interfaces=[INTERNAL])
    before = await node.add("c1")
    await node.delete("c1")
    if how == "hangs":
        node.kernel.failures.hang("create-half")
    else:
        node.kernel.failures.fail("create-half", LinkSetupError("the kernel says no"))
    with pytest.raises(DanmError, match="the time for the ADD was over|the kernel says no"):
        await node.add("c2", timeout_s=1.0)
    node.kernel.failures.heal()
    assert {} == node.interfaces("c2")
    await node.daemon.upkeep.compare()
    assert [str(ip.address) for ip in before.ips] == [
        each.address for each in node.addresses.entries
    ]
    after = await node.add("c3")
    assert [ip.address for ip in before.ips] == [ip.address for ip in after.ips]


async def _now_asks_for(node: FakeNode, attachment: Mapping[str, Any]) -> None:
    """Edit the Pod's annotation, and wait until danmd has seen it."""
    text = msgspec.json.encode([attachment]).decode()
    patch = {"metadata": {"annotations": {INTERFACES_ANNOTATION: text}}}
    await node.kube.patch(PODS, "pod-1", patch, namespace=NAMESPACE)
    pods, _, _ = node.daemon.informers
    key = ObjectKey(namespace=NAMESPACE, name="pod-1")
    await node.until(
        lambda: (pod := pods.get(key)) is not None
        and pod.annotations[INTERFACES_ANNOTATION] == text
    )


async def test_an_undone_sandbox_knows_the_attempt_that_it_has_taken_over_with(
    node: FakeNode,
) -> None:
    """An older one that holds more of the Pod's addresses has the number of before."""
    node.add_pod(interfaces=[INTERNAL, EXTERNAL])
    await node.add("c1")
    await node.delete("c1")
    await _now_asks_for(node, INTERNAL)
    node.kernel.failures.fail("create-half", LinkSetupError("the kernel says no"))
    with pytest.raises(LinkSetupError):
        await node.add("c2")
    # DESIGN, "Attempts fence"
    held = {
        (each.network, each.attempt)
        for record in node.daemon.journal.records()
        for each in record.interfaces
    }
    assert {(each.network, each.attempt) for each in node.addresses.entries} <= held


async def test_what_the_next_sandbox_does_not_ask_for_is_given_back(node: FakeNode) -> None:
    """A Pod whose annotation was edited has, after its next ADD, the addresses of that alone."""
    # DESIGN, P2
    node.add_pod(interfaces=[INTERNAL, EXTERNAL])
    await node.add("c1")
    await node.delete("c1")
    assert {"internal", "external"} == {each.network for each in node.addresses.entries}
    await _now_asks_for(node, INTERNAL)
    await node.add("c2")
    # What is released is forgotten after that.
    journal = node.daemon.journal
    await node.until(lambda: [each.container_id for each in journal.records()] == ["c2"])
    assert {"internal"} == {each.network for each in node.addresses.entries}
