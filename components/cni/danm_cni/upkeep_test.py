"""What danmd finishes later: after failures, kills, lost journals and forgotten records."""

import msgspec
import pytest
from prometheus_client import REGISTRY

from danm_api.errors import (
    AddressTakenError,
    IpamUnavailableError,
    LinkSetupError,
)
from danm_api.ipam_api import PodOwnerMessage
from danm_api.kube.api import DANMEPS, EVENTS, PODS, RawObject
from danm_api.names import ContainerId
from danm_api.testing.builders import NAMESPACE
from danm_cni.cni_errors import CniRequestError
from danm_cni.journal import SandboxState
from danm_cni.testing.demo import EXTERNAL, INTERNAL, MANAGEMENT
from danm_cni.testing.fakes import Entry
from danm_cni.testing.node import FakeNode, netns_of


def _count(name: str) -> float:
    return REGISTRY.get_sample_value(name) or 0.0


async def test_kept_addresses_come_back_when_the_pod_ends(node: FakeNode) -> None:
    """Addresses kept for a next sandbox are released once the Pod is terminating."""
    node.add_pod(interfaces=[INTERNAL])
    await node.add()
    await node.delete()
    (record,) = node.daemon.journal.records()
    assert record.state == SandboxState.HELD
    await node.end_pod()
    await node.daemon.upkeep.compare()
    assert {} == node.leftovers()


async def test_an_undo_that_fails_is_finished_later(node: FakeNode) -> None:
    """When even the undo fails, the record stays, and the comparison finishes it."""
    node.add_pod(interfaces=[INTERNAL])
    node.kernel.failures.fail("create-half", LinkSetupError("boom"))
    node.addresses.failures.fail("release", IpamUnavailableError("away"), times=2)
    with pytest.raises(LinkSetupError):
        await node.add()
    (record,) = node.daemon.journal.records()
    assert record.state == SandboxState.REMOVING
    node.addresses.failures.heal()
    await node.end_pod()
    await node.daemon.upkeep.compare()
    assert {} == node.leftovers()


@pytest.mark.parametrize("state", ["adding", "added"])
async def test_a_killed_danmd_finishes_what_it_finds(node: FakeNode, state: str) -> None:
    """After kill -9 and a reboot, what was half-made or lost its netns is removed."""
    node.add_pod(interfaces=[MANAGEMENT, EXTERNAL])
    await node.add()
    (record,) = node.daemon.journal.records()
    if state == "adding":
        half = msgspec.structs.replace(record, state=SandboxState.ADDING, result=b"")
        await node.daemon.journal.put(half)
    else:
        node.kernel.gone.add(netns_of("c1"))
        node.kernel.namespaces.clear()
    await node.kube.delete(PODS, "pod-1", namespace=NAMESPACE)
    await node.restart()
    # DESIGN, P2
    await node.daemon.upkeep.compare()
    assert {} == node.leftovers()


async def test_a_lost_journal_frees_no_living_address(node: FakeNode) -> None:
    """Without its journal danmd adopts what the DanmEps tell, and a later DEL removes it."""
    node.add_pod(interfaces=[INTERNAL])
    await node.add()
    for path in (node.root / "state/journal").iterdir():
        path.unlink()
    await node.restart()
    # DESIGN, P3
    await node.daemon.upkeep.compare()
    assert len(node.addresses.entries) == 1
    await node.end_pod()
    await node.delete()
    assert {} == node.leftovers()


async def test_an_entry_that_nobody_knows_is_released(node: FakeNode) -> None:
    """An entry of this node without journal record and DanmEp is given back."""
    node.add_pod(interfaces=[INTERNAL])
    node.addresses.failures.fail("reserve-lost", IpamUnavailableError("lost"))
    with pytest.raises(IpamUnavailableError):
        await node.add()
    stray = Entry(
        owner=PodOwnerMessage(namespace=NAMESPACE, name="gone", uid="uid-gone"),
        interface="eth0",
        network="internal",
        address="198.18.0.9/24",
        attempt=3,
    )
    node.addresses.entries.append(stray)
    before = _count("danmd_addresses_given_back_total")
    await node.daemon.upkeep.compare()
    assert [] == node.addresses.entries
    # Issue 4: each with a metric, an Event and a log line.
    assert _count("danmd_addresses_given_back_total") == before + 1
    (event,) = (
        each for each in node.kube.all_stored(EVENTS) if each["reason"] == "GaveBackAddress"
    )
    assert (event["regarding"]["kind"], event["regarding"]["name"]) == ("DanmNet", "internal")
    assert "gave back 198.18.0.9 of" in event["note"]
    assert "gone (interface eth0)" in event["note"]


async def test_a_forgotten_address_is_claimed_again(node: FakeNode) -> None:
    """After ipam-svc's record was restored from a backup, live interfaces keep their addresses."""
    node.add_pod(interfaces=[INTERNAL, EXTERNAL])
    await node.add()
    before = {(each.interface, each.address) for each in node.addresses.entries}
    node.addresses.entries = node.addresses.entries[:1]
    claimed = _count("danmd_addresses_claimed_total")
    # DESIGN, "Nodes fence"
    await node.daemon.upkeep.compare()
    assert _count("danmd_addresses_claimed_total") == claimed + 1
    assert before == {(each.interface, each.address) for each in node.addresses.entries}
    await node.end_pod()
    await node.delete()
    assert {} == node.leftovers()


async def test_a_forgotten_address_that_another_has_takes_the_interface_down(
    node: FakeNode,
) -> None:
    """Where somebody else has the address, the interface goes and the Pod's owner is told."""
    node.add_pod(interfaces=[INTERNAL, EXTERNAL])
    await node.add()
    node.addresses.entries = [each for each in node.addresses.entries if each.interface == "eth0"]
    node.addresses.failures.fail("reserve", AddressTakenError("held by Pod x"))
    lost = _count("danmd_addresses_lost_total")
    await node.daemon.upkeep.compare()
    assert _count("danmd_addresses_lost_total") == lost + 1
    # DESIGN, P1
    assert ["eth0"] == list(node.interfaces())
    assert ["eth0"] == [each["spec"]["Interface"]["Name"] for each in node.endpoints()]
    (event,) = node.kube.all_stored(EVENTS)
    assert "ext was taken down" in event["note"]
    await node.end_pod()
    await node.delete()
    assert {} == node.leftovers()


@pytest.mark.parametrize("interfaces", [[INTERNAL, EXTERNAL], [MANAGEMENT]])
async def test_a_forgotten_danmep_is_created_again(
    node: FakeNode, interfaces: list[dict[str, object]]
) -> None:
    """Just as it was: Services find the Pod by it."""
    node.add_pod(interfaces=interfaces, labels={"app": "x"})
    await node.add()
    before = node.endpoints()
    restored = _count("danmd_endpoints_restored_total")
    await _forget_endpoints(node)
    # DESIGN, "Nodes fence"
    await node.daemon.upkeep.compare()
    assert _wanted(node.endpoints()) == _wanted(before)
    assert _count("danmd_endpoints_restored_total") == restored + len(interfaces)
    await node.daemon.upkeep.compare()
    assert _count("danmd_endpoints_restored_total") == restored + len(interfaces)
    await node.end_pod()
    await node.delete()
    assert {} == node.leftovers()


def _wanted(endpoints: list[RawObject]) -> dict[str, tuple[object, object]]:
    return {
        each["metadata"]["name"]: (each["spec"], each["metadata"]["labels"]) for each in endpoints
    }


async def test_the_danmep_of_a_pod_that_ends_is_left_alone(node: FakeNode) -> None:
    """It would only be in the way of whoever cleans up."""
    node.add_pod(interfaces=[INTERNAL])
    await node.add()
    (before,) = node.endpoints()
    await node.kube.delete(DANMEPS, before["metadata"]["name"], namespace=NAMESPACE)
    await _until_unseen(node)
    await node.end_pod()
    await node.daemon.upkeep.compare()
    assert [] == list(node.endpoints())


async def test_the_danmep_of_a_pod_that_was_replaced_is_left_alone(node: FakeNode) -> None:
    """A Pod of the same name has another UID."""
    node.add_pod(interfaces=[INTERNAL])
    await node.add()
    await _forget_endpoints(node)
    await node.kube.delete(PODS, "pod-1", namespace=NAMESPACE)
    node.add_pod(interfaces=[INTERNAL], uid="another")
    await node.until(lambda: _seen_uid(node) == "another")
    await node.daemon.upkeep.compare()
    assert [] == list(node.endpoints())


async def test_a_danmep_is_not_created_before_its_address_is_claimed(node: FakeNode) -> None:
    """It may be somebody else's by now, and Services send to what DanmEps say."""
    node.add_pod(interfaces=[INTERNAL])
    await node.add()
    await _forget_endpoints(node)
    kept = list(node.addresses.entries)
    node.addresses.entries = []
    node.addresses.failures.fail("reserve", IpamUnavailableError("away"))
    # DESIGN, P1
    await node.daemon.upkeep.compare()
    assert [] == list(node.endpoints())
    node.addresses.failures.heal()
    await node.daemon.upkeep.compare()
    assert len(node.endpoints()) == len(node.addresses.entries) == len(kept)


async def test_an_adopted_sandbox_is_no_source_of_danmeps(node: FakeNode) -> None:
    """What danmd knows of it is what DanmEps have told, and that is not all."""
    node.add_pod(interfaces=[INTERNAL])
    await node.add()
    for path in (node.root / "state/journal").iterdir():
        path.unlink()
    await node.restart()
    await node.daemon.upkeep.compare()
    (record,) = node.daemon.journal.records()
    assert record.adopted
    await _forget_endpoints(node)
    await node.daemon.upkeep.compare()
    assert [] == list(node.endpoints())


async def test_a_danmep_that_is_there_is_not_counted_as_restored(node: FakeNode) -> None:
    """The watch was only late."""
    node.add_pod(interfaces=[INTERNAL])
    await node.add()
    (before,) = node.endpoints()
    restored = _count("danmd_endpoints_restored_total")
    name = before["metadata"]["name"]
    await node.daemon.sandboxes.reassert(ContainerId("c1"), endpoints=[name])
    assert [before] == node.endpoints()
    assert _count("danmd_endpoints_restored_total") == restored


async def _forget_endpoints(node: FakeNode) -> None:
    for each in node.endpoints():
        await node.kube.delete(DANMEPS, each["metadata"]["name"], namespace=NAMESPACE)
    await _until_unseen(node)


async def _until_unseen(node: FakeNode) -> None:
    _, _, seen = node.daemon.informers
    await node.until(lambda: not seen.items())


def _seen_uid(node: FakeNode) -> str:
    pods, _, _ = node.daemon.informers
    return "".join(pod.runtime_uid for pod in pods.items())


async def test_a_tombstone_beats_an_add_and_is_finished(node: FakeNode) -> None:
    """A DEL that the executable left as a tombstone refuses later ADDs and is done once."""
    node.add_pod(interfaces=[INTERNAL])
    await node.add()
    await node.end_pod()
    await node.daemon.sandboxes.tombstones.put(node.request("DEL", "c1"))
    with pytest.raises(CniRequestError, match="deleted already"):
        await node.add()
    await node.daemon.upkeep.compare()
    assert {} == node.leftovers()
    assert [] == list((node.root / "state/tombstones").iterdir())


async def test_labels_of_danmeps_follow_the_pods(node: FakeNode) -> None:
    """When a Pod's labels change, its DanmEps' labels do, less those that a tenant could forge."""
    node.add_pod(interfaces=[INTERNAL], labels={"app": "old", "tier": "x"})
    await node.add()
    patch = {"metadata": {"labels": {"app": "new", "tier": None, "danm.k8s.io/network": "forged"}}}
    await node.kube.patch(PODS, "pod-1", patch, namespace=NAMESPACE)
    # SPEC A2
    await node.until(lambda: node.endpoints()[0]["metadata"]["labels"].get("app") == "new")
    labels = node.endpoints()[0]["metadata"]["labels"]
    assert "tier" not in labels
    assert labels["danm.k8s.io/network"] == "internal"
