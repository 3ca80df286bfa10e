"""What danmd finishes later: after failures, kills and lost journals."""

import asyncio
import json

import msgspec
import pytest

from danm_api.errors import (
    IpamUnavailableError,
    LinkSetupError,
)
from danm_api.ipam_api import PodOwnerMessage
from danm_api.kube.api import DANMEPS, EVENTS, PODS
from danm_api.names import INTERFACES_ANNOTATION
from danm_api.testing.builders import NAMESPACE
from danm_cni.cni_errors import CniRequestError
from danm_cni.journal import SandboxState
from danm_cni.testing.demo import EXTERNAL, INTERNAL, MANAGEMENT
from danm_cni.testing.fake_addresses import Entry, identity
from danm_cni.testing.node import FakeNode, counted, messages_of, netns_of


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


async def test_kept_addresses_come_back_although_the_watch_has_died(node: FakeNode) -> None:
    """It goes on to show a Pod that was deleted long ago, and others wait for its address."""
    node.add_pod(interfaces=[INTERNAL])
    await node.add()
    await node.delete()
    late = node.kube.hold_next("list", PODS)
    node.kube.end_watches()
    await late.reached.wait()
    await node.daemon.upkeep.compare()
    assert len(node.addresses.entries) == 1
    await node.kube.delete(PODS, "pod-1", namespace=NAMESPACE)
    pods, _, _ = node.daemon.informers
    # DESIGN, "When an address is released"
    await node.daemon.upkeep.compare()
    assert {} == node.leftovers()
    assert len(pods.items()) == 1
    late.open()


async def test_a_node_that_boots_reads_few_pods_anew(node: FakeNode) -> None:
    """All its Pods are between two sandboxes then, and so are those of all other nodes."""
    for number in range(15):
        node.add_pod(f"p-{number}", interfaces=[INTERNAL])
        await node.add(f"c-{number}", pod=f"p-{number}")
        await node.delete(f"c-{number}", pod=f"p-{number}")
    before = node.kube.calls["get", "pods"]
    await node.daemon.upkeep.compare()
    assert 0 < node.kube.calls["get", "pods"] - before <= 10
    assert len(node.daemon.journal.records()) == 15


async def test_pods_between_two_sandboxes_are_read_anew_in_their_turn(node: FakeNode) -> None:
    """Those that stay so for long keep the end of no other from being found."""
    for number in range(12):
        node.add_pod(f"p-{number}", interfaces=[INTERNAL])
        await node.add(f"c-{number}", pod=f"p-{number}")
        await node.delete(f"c-{number}", pod=f"p-{number}")
    await node.restart()
    late = node.kube.hold_next("list", PODS)
    node.kube.end_watches()
    await late.reached.wait()
    *_, last_but_one, last = node.daemon.journal.records()
    for each in (last_but_one, last):
        await node.kube.delete(PODS, each.pod, namespace=NAMESPACE)
    for _ in range(2):
        await node.daemon.upkeep.compare()
    # DESIGN, "When an address is released"
    assert len(node.daemon.journal.records()) == len(node.addresses.entries) == 10
    late.open()


async def test_what_the_next_sandbox_does_not_want_comes_back(node: FakeNode) -> None:
    """A Pod's annotation may ask for less by then, and ipam-svc be away as its ADD ends."""
    # DESIGN, P2
    node.add_pod(interfaces=[INTERNAL, EXTERNAL])
    await node.add()
    asked = json.dumps([INTERNAL])
    patch = {"metadata": {"annotations": {INTERFACES_ANNOTATION: asked}}}
    await node.kube.patch(PODS, "pod-1", patch, namespace=NAMESPACE)
    pods, _, _ = node.daemon.informers
    await node.until(
        lambda: [each.annotations[INTERFACES_ANNOTATION] for each in pods.items()] == [asked]
    )
    node.addresses.failures.fail("release", IpamUnavailableError("away"))
    await node.add("c2")
    await node.daemon.sandboxes.background.end()
    assert {"internal", "external"} == {each.network for each in node.addresses.entries}
    await node.daemon.upkeep.compare()
    assert ["internal"] == [each.network for each in node.addresses.entries]
    assert ["c2"] == [each.container_id for each in node.daemon.journal.records()]


async def test_an_undo_that_fails_is_finished_later(node: FakeNode) -> None:
    """When even the undo fails, the record stays, and the comparison finishes it."""
    node.add_pod(interfaces=[INTERNAL])
    node.kernel.failures.fail("create-half", LinkSetupError("boom"))
    node.addresses.failures.fail("release", IpamUnavailableError("away"), times=9)
    with pytest.raises(LinkSetupError):
        await node.add()
    (record,) = node.daemon.journal.records()
    assert record.state == SandboxState.REMOVING
    await node.end_pod()
    await node.daemon.upkeep.compare()
    assert counted("danmd_unfinished_removals") == 1
    node.addresses.failures.heal()
    await node.daemon.upkeep.compare()
    assert {} == node.leftovers()
    assert counted("danmd_unfinished_removals") == 0


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


async def test_a_watch_that_is_late_brings_no_sandbox_back(node: FakeNode) -> None:
    """A DanmEp that was deleted with its sandbox is no lost journal, whatever the watch shows."""
    # DESIGN, "Nodes fence"
    node.add_pod(interfaces=[INTERNAL])
    await node.add()
    _, _, endpoints = node.daemon.informers
    await node.until(lambda: len(endpoints.items()) == 1)
    late = node.kube.hold_next("list", DANMEPS)
    node.kube.end_watches()
    await late.reached.wait()
    await node.end_pod()
    await node.delete()
    assert {} == node.leftovers()
    # Its namespace goes only after the DEL.
    assert len(endpoints.items()) == 1
    before = counted("danmd_addresses_claimed_total")
    await node.daemon.upkeep.compare()
    assert {} == node.leftovers()
    assert counted("danmd_addresses_claimed_total") == before
    late.open()


async def test_an_entry_that_nobody_knows_is_released(
    node: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
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
    before = counted("danmd_addresses_given_back_total")
    with caplog.at_level("INFO"):
        await node.daemon.upkeep.compare()
    assert [] == node.addresses.entries
    # Issue 4: each with a metric, an Event and a log line.
    assert counted("danmd_addresses_given_back_total") == before + 1
    assert messages_of(caplog.records).count("Released unknown address") == 1
    told = node.events("GaveBackAddress")
    assert ["DanmNet/internal"] == list(told)
    assert "gave back 198.18.0.9 of" in told["DanmNet/internal"]
    assert "gone (interface eth0): no such interface" in told["DanmNet/internal"]


async def test_addresses_of_namespaces_that_are_gone_are_told(
    node: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    """A node that boots after its Pods are gone tells of each address, in an Event a DanmNet."""
    for name in ("a", "b", "c"):
        node.add_pod(name, interfaces=[INTERNAL, EXTERNAL])
        await node.add(f"c-{name}", pod=name)
        node.kernel.gone.add(netns_of(f"c-{name}"))
        await node.kube.delete(PODS, name, namespace=NAMESPACE)
    node.kernel.namespaces.clear()
    # What one try does not finish is told when another one does.
    node.addresses.failures.fail("release", IpamUnavailableError("away"))
    before = counted("danmd_addresses_given_back_total")
    with caplog.at_level("INFO"):
        await node.daemon.upkeep.compare()
        assert counted("danmd_addresses_given_back_total") == before + 4
        await node.restart()
        await node.daemon.upkeep.compare()
    assert {} == node.leftovers()
    # Issue 4: each with a metric, an Event and a log line.
    assert counted("danmd_addresses_given_back_total") == before + 6
    assert messages_of(caplog.records).count("Released address without DEL") == 6
    notes = [each["note"] for each in node.kube.all_stored(EVENTS)]
    assert len(notes) == 4, "two DanmNets, two comparisons"
    assert all("the network namespace is gone, and no DEL came" in each for each in notes)
    for address in range(10, 16):
        assert any(f"198.18.0.{address} of" in each for each in notes)


async def test_what_a_boot_does_not_give_back_is_not_told(node: FakeNode) -> None:
    """A Pod's next sandbox takes its addresses over; and what a lost node had is free already."""
    for name in ("next", "lost"):
        node.add_pod(name, interfaces=[INTERNAL])
        await node.add(f"c-{name}", pod=name)
        node.kernel.gone.add(netns_of(f"c-{name}"))
    node.kernel.namespaces.clear()
    await node.kube.delete(PODS, "lost", namespace=NAMESPACE)
    node.addresses.entries = node.addresses.entries[:1]
    before = counted("danmd_addresses_given_back_total")
    await node.daemon.upkeep.compare()
    await node.add("c-next-2", pod="next")
    await node.until(lambda: len(node.daemon.journal.records()) == 1)
    await node.daemon.upkeep.compare()
    assert ["198.18.0.10/24"] == [each.address for each in node.addresses.entries]
    assert counted("danmd_addresses_given_back_total") == before
    assert {} == node.events("GaveBackAddress")


async def test_a_del_is_no_news(node: FakeNode) -> None:
    """What the runtime asks to give back is neither counted nor told."""
    node.add_pod(interfaces=[INTERNAL])
    await node.add()
    before = counted("danmd_addresses_given_back_total")
    await node.end_pod()
    await node.delete()
    await node.daemon.upkeep.compare()
    assert {} == node.leftovers()
    assert counted("danmd_addresses_given_back_total") == before
    assert {} == node.events("GaveBackAddress")


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


async def test_a_plugin_that_hangs_keeps_nothing_else(node: FakeNode) -> None:
    """What is dead beside it is found in the same round, and in those that follow."""
    # DESIGN, P2
    for name in ("stuck", "left", "next"):
        node.add_pod(name, interfaces=[MANAGEMENT if name != "next" else INTERNAL])
        await node.add(f"c-{name}", pod=name)
        await node.kube.delete(PODS, name, namespace=NAMESPACE)
    node.plugins.failures.hang("bridge-del")
    await node.daemon.sandboxes.tombstones.put(node.request("DEL", "c-left", pod="left"))
    node.kernel.gone.add(netns_of("c-stuck"))
    node.addresses.entries.append(
        Entry(
            owner=PodOwnerMessage(namespace=NAMESPACE, name="gone", uid="uid-gone"),
            interface="eth0",
            network="internal",
            address="198.18.0.9/24",
            attempt=3,
        )
    )
    await node.daemon.upkeep.compare(patience_s=0.1)
    assert ["uid-next"] == [identity(each.owner) for each in node.addresses.entries]
    node.kernel.gone.add(netns_of("c-next"))
    del node.kernel.namespaces[netns_of("c-next")]
    for _ in range(3):
        await node.daemon.upkeep.compare(patience_s=0.1)
    assert [] == node.addresses.entries
    assert node.plugins.failures.hanging["bridge-del"] == 2
    assert ["c-left", "c-stuck"] == sorted(
        each.container_id for each in node.daemon.journal.records()
    )


async def test_ipam_svc_that_answers_nothing_is_waited_for_once(node: FakeNode) -> None:
    """After a restored etcd a node claims for all its Pods, and not for one after the other."""
    # DESIGN, "Nodes fence"
    for name in ("a", "b", "c"):
        node.add_pod(name, interfaces=[INTERNAL])
        await node.add(f"c-{name}", pod=name)
    node.addresses.entries.clear()
    node.addresses.failures.hang("reserve")
    comparison = asyncio.create_task(node.daemon.upkeep.compare())
    await node.until(lambda: node.addresses.failures.hanging["reserve"] == 3)
    comparison.cancel()
    await asyncio.wait([comparison])
    node.addresses.failures.heal()
    await node.daemon.upkeep.compare()
    assert {"uid-a", "uid-b", "uid-c"} == {identity(each.owner) for each in node.addresses.entries}


async def test_a_spoilt_directory_of_tombstones_stops_nothing_else(node: FakeNode) -> None:
    """A broken disk, or a hand, has spoilt it: the rest is compared all the same."""
    node.add_pod(interfaces=[INTERNAL])
    await node.add()
    node.kernel.gone.add(netns_of("c1"))
    node.kernel.namespaces.clear()
    await node.kube.delete(PODS, "pod-1", namespace=NAMESPACE)
    for name in ("tombstones", "fakeipam-tombstones"):
        (node.root / "state" / name).rmdir()
        (node.root / "state" / name).write_text("no directory")
    # DESIGN, P2
    await node.daemon.upkeep.compare()
    assert {} == node.leftovers()


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


async def test_labels_that_were_written_late_are_put_right(node: FakeNode) -> None:
    """A DanmEp that is written with labels that its Pod has lost since gets the present ones."""
    node.add_pod(interfaces=[INTERNAL], labels={"app": "new"})
    await node.add()
    (endpoint,) = node.endpoints()
    await node.until(lambda: len(node.daemon.informers[2].items()) == 1)
    late = {"metadata": {"labels": {"app": "old", "tier": "x"}}}
    await node.kube.patch(DANMEPS, endpoint["metadata"]["name"], late, namespace=NAMESPACE)
    # SPEC A2
    await node.until(lambda: node.endpoints()[0]["metadata"]["labels"].get("app") == "new")
    assert "tier" not in node.endpoints()[0]["metadata"]["labels"]
