"""What danmd finishes later for fakeipam: after kills, lost journals and forgotten records."""

import asyncio
import time
from typing import Any

import msgspec
import pytest

from danm_api.errors import (
    AddressTakenError,
    ApiUnavailableError,
    PodNotFoundError,
)
from danm_api.ipam_api import ContainerOwnerMessage, PodOwnerMessage
from danm_api.kube.api import EVENTS, PODS
from danm_api.testing.builders import NAMESPACE
from danm_cni.allocation_journal import AllocationState
from danm_cni.testing.fake_addresses import Entry
from danm_cni.testing.ipam_caller import Caller
from danm_cni.testing.node import counted, messages_of, netns_of


def _stray(owner: PodOwnerMessage | ContainerOwnerMessage) -> Entry:
    return Entry(owner=owner, interface="net1", network="lan", address="198.18.0.9/24", attempt=3)


@pytest.mark.parametrize("answered", [False, True])
async def test_a_killed_danmd_leaks_nothing(caller: Caller, answered: bool) -> None:
    """After kill -9 between reserve and answer the address is released; after it, at the end."""
    # DESIGN, P2
    if answered:
        await caller.add()
        caller.remove_interface()
    else:
        caller.node.addresses.failures.hang("reserve-lost")
        adding = asyncio.create_task(caller.add())
        await caller.node.until(lambda: bool(caller.held()))
        (path,) = (caller.node.root / "state/allocations").iterdir()
        found = path.read_bytes()
        adding.cancel()
        await asyncio.wait([adding])
        # What the kill left: the entry, and the intent on the disk.
        path.write_bytes(found)
        caller.node.addresses.failures.heal()
        await caller.node.restart()
        await caller.node.daemon.upkeep.compare()
        assert caller.states() == {}
        assert caller.held() == []
        return
    await caller.node.restart()
    await caller.node.daemon.upkeep.compare()
    assert caller.held() == ["198.18.0.10/24"], "its namespace is there: it may be in use"
    caller.node.kernel.gone.add(netns_of("c1"))
    await caller.node.daemon.upkeep.compare()
    assert caller.node.leftovers() == {}


async def test_addresses_of_namespaces_that_are_gone_are_told(
    caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    """What comes back without a DEL is counted and logged each, and told once a DanmNet."""
    for name in ("a", "b"):
        caller.node.add_pod(name)
        await caller.add(f"c-{name}", pod=name, network="dual")
        caller.node.kernel.gone.add(netns_of(f"c-{name}"))
    before = counted("danmd_addresses_given_back_total")
    with caplog.at_level("INFO"):
        await caller.node.daemon.upkeep.compare()
    assert caller.held() == []
    # Issue 4: each with a metric, an Event and a log line.
    assert counted("danmd_addresses_given_back_total") == before + 4
    assert messages_of(caplog.records).count("Released address without DEL") == 4
    told = caller.node.events("GaveBackAddress")
    assert list(told) == ["DanmNet/dual"]
    for each in ("198.18.0.10", "2001:db8::a", "198.18.0.11", "2001:db8::b"):
        assert f"{each} of" in told["DanmNet/dual"]
    assert told["DanmNet/dual"].endswith("the network namespace is gone, and no DEL came")


async def test_a_record_that_was_spoilt_frees_no_living_address(caller: Caller) -> None:
    """Another record of the same namespace says nothing of it: the interface does."""
    await caller.add(interface="net1")
    await caller.add(interface="net2")
    (caller.node.root / "state/allocations/c1:net1.json").write_bytes(b"{")
    await caller.node.restart()
    # DESIGN, P3
    await caller.node.daemon.upkeep.compare()
    assert caller.held() == ["198.18.0.10/24", "198.18.0.11/24"]
    caller.node.kernel.gone.add(netns_of("c1"))
    await caller.node.daemon.upkeep.compare()
    assert caller.held() == []


async def test_a_del_is_no_news(caller: Caller) -> None:
    """What the runtime asks to give back is neither counted nor told, now or later."""
    await caller.add()
    before = counted("danmd_addresses_given_back_total")
    await caller.delete()
    caller.node.kernel.gone.add(netns_of("c1"))
    await caller.node.daemon.upkeep.compare()
    assert caller.held() == []
    assert counted("danmd_addresses_given_back_total") == before
    assert caller.node.events("GaveBackAddress") == {}


async def test_a_del_that_came_while_danmd_was_away(caller: Caller) -> None:
    """The executable's tombstone is finished, and a caller may use its id again."""
    # SPEC C4
    await caller.add()
    caller.remove_interface()
    tombstones = caller.allocations.tombstones
    await tombstones.put(caller.request("DEL").call)
    await caller.node.daemon.upkeep.compare()
    assert caller.node.leftovers() == {}
    assert list((caller.node.root / "state/fakeipam-tombstones").iterdir()) == []
    await tombstones.put(caller.request("DEL").call)
    await caller.add()
    await caller.node.daemon.upkeep.compare()
    assert caller.states() == {"c1": AllocationState.ADDED}


async def test_a_del_that_an_add_has_dealt_with(caller: Caller) -> None:
    """A comparison that saw its tombstone before does not take the new ADD's address."""
    # DESIGN, P3
    await caller.add()
    caller.remove_interface()
    tombstones = caller.allocations.tombstones
    await tombstones.put(caller.request("DEL").call)
    (seen,) = await tombstones.waiting()
    answer = await caller.allocations.add(caller.request("ADD"), deadline_s=time.monotonic() + 5)
    assert answer
    await caller.allocations.finish_tombstone(seen)
    assert caller.states() == {"c1": AllocationState.ADDED}
    assert len(caller.held()) == 1


async def test_a_del_during_an_add_is_kept(caller: Caller) -> None:
    """A DEL that has to wait for the ADD lies on the disk before it is answered."""
    # SPEC C4; DESIGN, P2
    caller.node.addresses.failures.hang("reserve-lost")
    adding = asyncio.create_task(caller.add())
    await caller.node.until(lambda: bool(caller.held()))
    await caller.delete(wait_s=0.3)
    kept = caller.node.root / "state/fakeipam-tombstones"
    assert [path.name for path in kept.iterdir()] == ["c1:net1"]
    adding.cancel()
    await asyncio.wait([adding])
    caller.node.addresses.failures.heal()
    await caller.node.daemon.upkeep.compare()
    assert caller.held() == []
    assert list(kept.iterdir()) == []


async def test_an_unfinished_sandbox_takes_nothing_from_the_next(caller: Caller) -> None:
    """What a killed danmd began for a Pod ends without the address that the Pod has by now."""
    # DESIGN, P3
    await caller.add("c2")
    journal = caller.node.daemon.allocations.journal
    (record,) = journal.records()
    await journal.put(
        msgspec.structs.replace(
            record,
            container_id="c1",
            netns=netns_of("c1"),
            state=AllocationState.ADDING,
            attempt=0,
            ip=None,
            result=b"",
        )
    )
    caller.remove_interface("c2")
    await caller.node.daemon.upkeep.compare()
    assert caller.states() == {"c2": AllocationState.ADDED}
    assert caller.held() == ["198.18.0.10/24"]
    assert len(caller.node.addresses.fresh) == 1, "it was not even released and claimed again"


@pytest.mark.parametrize(
    "owner",
    [
        PodOwnerMessage(namespace=NAMESPACE, name="gone", uid="uid-gone"),
        ContainerOwnerMessage(namespace=NAMESPACE, container_id="gone"),
    ],
)
async def test_an_entry_that_nobody_knows(
    caller: Caller, owner: PodOwnerMessage | ContainerOwnerMessage
) -> None:
    """It is released, unless a namespace that no journal explains has its address."""
    # DESIGN, P2, P3
    caller.node.addresses.entries.append(_stray(owner))
    lost = netns_of("lost")
    caller.node.kernel.namespaces[lost].interfaces["net1"] = ["198.18.0.9/24"]
    await caller.node.daemon.upkeep.compare()
    assert caller.held() == ["198.18.0.9/24"]
    caller.node.kernel.gone.add(lost)
    await caller.node.daemon.upkeep.compare()
    assert caller.held() == []


async def test_a_forgotten_address_is_claimed_again(
    caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    """After a restored backup a live interface keeps its addresses, of both families."""
    # DESIGN, "Nodes fence"
    await caller.add(network="dual")
    before = sorted(caller.held())
    caller.node.addresses.entries = caller.node.addresses.entries[:1]
    claimed = counted("danmd_addresses_claimed_total")
    await caller.node.daemon.upkeep.compare()
    assert sorted(caller.held()) == before
    # Issue 4: each with a metric, an Event and a log line.
    assert counted("danmd_addresses_claimed_total") == claimed + 1
    assert messages_of(caplog.records).count("Claimed forgotten address") == 1
    told = caller.node.events("ClaimedAddress")
    assert list(told) == ["DanmNet/dual"]
    assert "claimed again 2001:db8::a of" in told["DanmNet/dual"]
    assert "198.18" not in told["DanmNet/dual"]
    caller.remove_interface()
    await caller.delete(network="dual")
    assert caller.held() == []


async def test_a_forgotten_address_that_another_has(caller: Caller) -> None:
    """It is taken off the interface, and the Pod's owner is told."""
    # DESIGN, P1
    await caller.add()
    caller.node.addresses.entries.clear()
    caller.node.addresses.failures.fail("reserve", AddressTakenError("held by Pod x"))
    await caller.node.daemon.upkeep.compare()
    assert caller.node.kernel.namespaces[netns_of("c1")].interfaces == {"net1": []}
    assert caller.states() == {}
    (event,) = caller.node.kube.all_stored(EVENTS)
    assert "lost 198.18.0.10/24" in event["note"]


async def test_a_forgotten_address_of_a_container_that_another_has(caller: Caller) -> None:
    """A container has no object to tell it on, so the DanmNet's owner is told."""
    # DESIGN, P1
    await caller.add(pod=None)
    caller.node.addresses.entries.clear()
    caller.node.addresses.failures.fail("reserve", AddressTakenError("held by Pod x"))
    await caller.node.daemon.upkeep.compare()
    assert caller.node.kernel.namespaces[netns_of("c1")].interfaces == {"net1": []}
    assert "lost 198.18.0.10 of" in caller.node.events("AddressLost")["DanmNet/lan"]


async def test_the_address_of_a_pod_that_is_gone(caller: Caller) -> None:
    """A node that comes back takes off what was freed meanwhile: others may have it."""
    await caller.add(network="dual")
    caller.node.addresses.entries.clear()
    await caller.node.kube.delete(PODS, "pod-1", namespace=NAMESPACE)
    caller.node.addresses.failures.fail("reserve", PodNotFoundError("there is no such Pod"))
    lost = counted("danmd_addresses_lost_total")
    # DESIGN, P1, "Nodes fence"
    await caller.node.daemon.upkeep.compare()
    assert not await caller.node.kernel.addresses(netns_of("c1"))
    assert caller.states() == {}
    assert counted("danmd_addresses_lost_total") == lost + 2
    told = caller.node.events("AddressLost")
    assert list(told) == ["DanmNet/dual"]
    assert "lost 198.18.0.10 of" in told["DanmNet/dual"]


@pytest.mark.parametrize(
    ("uid", "error"),
    [
        pytest.param("", ApiUnavailableError("away", status=0), id="the API server is away"),
        pytest.param(
            "0d1f2a7f6c1b4a5d9e8f7a6b5c4d3e2f",
            PodNotFoundError("there is no such Pod"),
            id="a static Pod's mirror is not there yet",
        ),
    ],
)
async def test_the_address_of_a_pod_that_may_live(
    caller: Caller, uid: str, error: ApiUnavailableError | PodNotFoundError
) -> None:
    """It stays where it is until it can be claimed."""
    # DESIGN, P3
    await caller.add(uid=uid)
    caller.node.addresses.entries.clear()
    caller.node.addresses.failures.fail("reserve", error)
    await caller.node.daemon.upkeep.compare()
    assert caller.node.kernel.namespaces[netns_of("c1")].interfaces == {"net1": ["198.18.0.10/24"]}
    await caller.node.daemon.upkeep.compare()
    assert caller.held() == ["198.18.0.10/24"]


@pytest.mark.parametrize("key", ["cni.dev/valid-attachments", "cni.dev/attachments"])
async def test_gc_releases_what_is_not_listed(caller: Caller, key: str) -> None:
    """Of one configuration, and of it alone; what an interface still has waits for its end."""
    # SPEC C6
    for name in ("stale", "live", "listed"):
        caller.node.add_pod(name)
        await caller.add(name, pod=name)
    caller.node.add_pod("other")
    await caller.add("other", pod="other", name="another-config")
    for name in ("stale", "other"):
        caller.remove_interface(name)
    await caller.grow_old()
    valid = [{"containerID": "listed", "ifname": "net1"}]
    config: dict[str, Any] = {key: valid}
    await caller.allocations.collect(caller.request("GC", **config))
    assert caller.states() == {
        "live": AllocationState.REMOVING,
        "listed": AllocationState.ADDED,
        "other": AllocationState.ADDED,
    }
    assert len(caller.held()) == 3


async def test_gc_leaves_what_is_in_the_making(caller: Caller) -> None:
    """An address that a plugin has just got is on no interface yet, and in no list either."""
    # DESIGN, P3
    nothing: dict[str, Any] = {"cni.dev/attachments": []}
    await caller.add("new")
    caller.remove_interface("new")
    await caller.allocations.collect(caller.request("GC", **nothing))
    assert caller.states() == {"new": AllocationState.ADDED}
    await caller.grow_old()
    await caller.allocations.collect(caller.request("GC", **nothing))
    assert caller.held() == []


async def test_gc_without_a_list_releases_nothing(caller: Caller) -> None:
    """A runtime that does not say what it has, has said nothing against anything."""
    await caller.add("c1")
    caller.remove_interface("c1")
    await caller.grow_old()
    await caller.allocations.collect(caller.request("GC"))
    assert caller.states() == {"c1": AllocationState.ADDED}


async def test_only_a_journal_that_is_known_to_be_whole_spares_a_look(caller: Caller) -> None:
    """Ipam-svc looks for earlier entries until the node's have been compared with the journal."""
    await caller.add("c1", pod="a")
    await caller.node.daemon.upkeep.compare()
    await caller.add("c2", pod="b")
    await caller.add("c3", pod="b")
    assert caller.node.addresses.fresh == [False, True, False]


async def test_ipam_svc_that_answers_nothing_is_waited_for_once(caller: Caller) -> None:
    """After a restored etcd a node claims for all at once, and not for one after the other."""
    # DESIGN, "Nodes fence"
    for name in ("a", "b"):
        caller.node.add_pod(name)
        await caller.add(f"c-{name}", pod=name)
    held = caller.held()
    caller.node.addresses.entries.clear()
    caller.node.addresses.failures.hang("reserve")
    comparison = asyncio.create_task(caller.node.daemon.upkeep.compare())
    await caller.node.until(lambda: caller.node.addresses.failures.hanging["reserve"] == 2)
    comparison.cancel()
    await asyncio.wait([comparison])
    caller.node.addresses.failures.heal()
    await caller.node.daemon.upkeep.compare()
    assert sorted(held) == sorted(caller.held())
