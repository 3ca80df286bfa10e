"""Addresses for fakeipam: ADD, DEL, CHECK and GC on a node whose edges are fakes."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from danm_api.errors import (
    AccessDeniedError,
    AddressTakenError,
    DanmError,
    DeadlineExceededError,
    IpamUnavailableError,
    NetworkNotFoundError,
    NetworkNotReadyError,
    PoolExhaustedError,
    ReservationNotFoundError,
)
from danm_api.ipam_api import ContainerOwnerMessage, PodOwnerMessage
from danm_api.kube.api import DANMNETS, EVENTS, PODS
from danm_api.testing.builders import NAMESPACE, a_raw_danmnet
from danm_cni.allocation_journal import AllocationState
from danm_cni.allocations import Allocations
from danm_cni.cni_errors import CniRequestError
from danm_cni.ipam_request import IpamRequest, decode_ipam_request
from danm_cni.testing.fakes import Entry
from danm_cni.testing.node import FakeNode, a_node, netns_of


@dataclass(kw_only=True)
class Caller:
    """A plugin of some runtime that calls fakeipam."""

    node: FakeNode

    @property
    def allocations(self) -> Allocations:
        """Return what answers."""
        return self.node.daemon.allocations.allocations

    def request(
        self,
        verb: str,
        container_id: str = "c1",
        *,
        pod: str | None = "pod-1",
        interface: str = "net1",
        network: str = "lan",
        version: str = "1.0.0",
        **config: Any,  # noqa: ANN401  (JSON values)
    ) -> IpamRequest:
        """Return a request."""
        base = self.node.request(verb, container_id, pod=pod or "x").environment
        environment = {**base, "CNI_IFNAME": interface}
        if pod is None:
            environment["CNI_ARGS"] = ""
        ipam = {"type": "fakeipam", "network": network}
        if pod is None:
            ipam["namespace"] = NAMESPACE
        body = {"cniVersion": version, "name": "cfg", "type": "macvlan", "ipam": ipam, **config}
        return decode_ipam_request(environment, msgspec.json.encode(body))

    async def add(
        self, container_id: str = "c1", **changes: Any  # noqa: ANN401  (of ``request``)
    ) -> str:
        """Send an ADD, let the plugin make the interface, and return the first address."""
        request = self.request("ADD", container_id, **changes)
        answer = await self.allocations.add(request, deadline_s=time.monotonic() + 5)
        address = str(msgspec.json.decode(answer)["ips"][0]["address"])
        interfaces = self.node.kernel.namespaces[netns_of(container_id)].interfaces
        interfaces[request.call.interface] = [address]
        return address

    def remove_interface(self, container_id: str = "c1") -> None:
        """Do the plugin's part of a DEL."""
        self.node.kernel.namespaces[netns_of(container_id)].interfaces.clear()

    async def delete(
        self, container_id: str = "c1", *, wait_s: float = 5, **changes: Any  # noqa: ANN401
    ) -> None:
        """Send a DEL."""
        request = self.request("DEL", container_id, **changes)
        await self.allocations.delete(request, deadline_s=time.monotonic() + wait_s)

    async def grow_old(self) -> None:
        """Let some time have passed since all ADDs."""
        journal = self.node.daemon.allocations.journal
        for record in journal.records():
            await journal.put(msgspec.structs.replace(record, since=0.0))

    def held(self) -> list[str]:
        """Return what ipam-svc has recorded."""
        return [each.address for each in self.node.addresses.entries]

    def states(self) -> dict[str, AllocationState]:
        """Return the states of the journal's records, by container."""
        records = self.node.daemon.allocations.journal.records()
        return {each.container_id: each.state for each in records}


@pytest.fixture()
async def caller(tmp_path: Path) -> AsyncIterator[Caller]:
    """Give a node with a DanmNet that admits fakeipam, and a Pod."""
    async with a_node(tmp_path) as node:
        node.add_network("lan", cidr="198.18.0.0/24", fakeipam=True)
        node.add_network("dual", cidr="198.18.0.0/24", net6="2001:db8::/64", fakeipam=True)
        node.add_pod(interfaces=[{"network": "lan", "ip": "dynamic"}])
        await node.until(lambda: len(node.daemon.informers[1].items()) == 2)
        yield Caller(node=node)


async def test_add_and_del(caller: Caller) -> None:
    """An address comes for the Pod's interface and goes back at DEL."""
    # SPEC F2
    assert await caller.add() == "198.18.0.10/24"
    (entry,) = caller.node.addresses.entries
    assert (entry.owner, entry.interface) == (
        PodOwnerMessage(namespace=NAMESPACE, name="pod-1", uid="uid-pod-1"),
        "net1",
    )
    assert caller.node.addresses.via_fakeipam == [True]
    caller.remove_interface()
    await caller.delete()
    assert caller.node.leftovers() == {}
    await caller.delete()


async def test_a_container_without_pod_is_an_owner(caller: Caller) -> None:
    """Without K8S_POD_* the container is the owner."""
    # SPEC F2
    await caller.add(pod=None)
    (entry,) = caller.node.addresses.entries
    assert entry.owner == ContainerOwnerMessage(namespace=NAMESPACE, container_id="c1")
    caller.remove_interface()
    await caller.delete(pod=None)
    assert caller.held() == []


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])
async def test_the_answer_has_the_version_asked_for(caller: Caller, version: str) -> None:
    """Both families, in the form of each version of CNI."""
    # SPEC F1, C2
    request = caller.request("ADD", network="dual", version=version)
    answer = await caller.allocations.add(request, deadline_s=time.monotonic() + 5)
    found = msgspec.json.decode(answer)
    assert found["cniVersion"] == version
    if version < "0.3":
        addresses = [found["ip4"]["ip"], found["ip6"]["ip"]]
    else:
        addresses = [each["address"] for each in found["ips"]]
    assert addresses == ["198.18.0.10/24", "2001:db8::a/64"]


async def test_asking_again_gives_the_same(caller: Caller) -> None:
    """A repeated ADD of an interface, and a next sandbox of the Pod, have the same address."""
    # SPEC C5, G7
    first = await caller.add()
    assert await caller.add() == first
    assert await caller.add("c2") == first
    caller.remove_interface()
    await caller.delete()
    assert caller.held() == [first], "the second sandbox goes on with it"
    caller.remove_interface("c2")
    await caller.delete("c2")
    assert caller.held() == []


async def test_an_address_that_an_interface_still_has_is_not_released(caller: Caller) -> None:
    """Plugins that give the address back before they remove the interface harm nobody."""
    # DESIGN, P3
    await caller.add()
    await caller.delete()
    assert (caller.held(), caller.states()) == (
        ["198.18.0.10/24"],
        {"c1": AllocationState.REMOVING},
    )
    caller.remove_interface()
    await caller.node.until(lambda: not caller.node.leftovers())


async def test_an_address_that_stays_live_is_kept_until_its_namespace_goes(caller: Caller) -> None:
    """However often danmd compares, it does not release what is live."""
    # DESIGN, P3
    await caller.add()
    await caller.delete()
    await caller.node.daemon.upkeep.compare()
    assert caller.held() == ["198.18.0.10/24"]
    caller.node.kernel.gone.add(netns_of("c1"))
    await caller.node.daemon.upkeep.compare()
    assert caller.held() == []


async def test_del_while_ipam_is_away_is_finished_later(caller: Caller) -> None:
    """DEL succeeds in its time, and the comparison gives the address back."""
    # DESIGN, P5; SPEC C4
    await caller.add()
    caller.remove_interface()
    caller.node.addresses.failures.hang("release")
    began = time.monotonic()
    await caller.delete(wait_s=0.5)
    assert time.monotonic() - began < 2
    await caller.node.restart()
    caller.node.addresses.failures.heal()
    await caller.node.daemon.upkeep.compare()
    assert caller.node.leftovers() == {}


@pytest.mark.parametrize(
    ("error", "step"),
    [
        pytest.param(PoolExhaustedError("full"), "reserve", id="refused"),
        pytest.param(IpamUnavailableError("away"), "reserve-lost", id="answer lost"),
    ],
)
async def test_a_failed_add_leaves_nothing(caller: Caller, error: DanmError, step: str) -> None:
    """What may have been reserved is given back, and the error passes."""
    # SPEC C3
    caller.node.addresses.failures.fail(step, error)
    with pytest.raises(type(error)):
        await caller.add()
    assert caller.node.leftovers() == {}
    assert caller.states() == {}


async def test_out_of_time(caller: Caller) -> None:
    """When ipam-svc hangs, the ADD ends at its deadline with a sentence, and leaves nothing."""
    # SPEC C3; DESIGN P7
    caller.node.addresses.failures.hang("reserve-lost")
    with pytest.raises(DeadlineExceededError, match="interface net1"):
        await caller.allocations.add(caller.request("ADD"), deadline_s=time.monotonic() + 0.3)
    assert caller.held() == []


async def test_an_outage_is_told_although_the_undo_takes_longer(caller: Caller) -> None:
    """What ipam-svc's client has to say is not lost to the deadline."""
    # DESIGN, P7
    caller.node.addresses.failures.fail("reserve", IpamUnavailableError("no replica"))
    caller.node.addresses.failures.hang("release")
    adding = caller.allocations.add(caller.request("ADD"), deadline_s=time.monotonic() + 0.3)
    with pytest.raises(IpamUnavailableError, match="no replica"):
        await adding
    assert caller.states() == {"c1": AllocationState.REMOVING}


async def test_tries_during_an_outage_do_not_pile_up(caller: Caller) -> None:
    """A Pod that is tried again and again has one record to clean up."""
    # DESIGN, P6
    failures = caller.node.addresses.failures
    failures.fail("reserve", IpamUnavailableError("away"), times=20)
    failures.fail("release", IpamUnavailableError("away"), times=20)
    for number in range(20):
        with pytest.raises(IpamUnavailableError):
            await caller.add(f"c{number}")
    assert len(caller.states()) == 1


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


async def test_check(caller: Caller) -> None:
    """CHECK passes with the record, and fails where record, result or ipam-svc disagree."""
    # SPEC C6
    with pytest.raises(CniRequestError, match="no address") as caught:
        await caller.allocations.check(caller.request("CHECK"))
    assert caught.value.code == 3
    await caller.add()
    good: dict[str, Any] = {
        "prevResult": {"cniVersion": "1.0.0", "ips": [{"address": "198.18.0.10/24"}]}
    }
    await caller.allocations.check(caller.request("CHECK", **good))
    bad: dict[str, Any] = {
        "prevResult": {"cniVersion": "1.0.0", "ips": [{"address": "198.18.0.11/24"}]}
    }
    with pytest.raises(CniRequestError, match=r"lacks 198\.18\.0\.10"):
        await caller.allocations.check(caller.request("CHECK", **bad))
    with pytest.raises(CniRequestError, match="DanmNet .*/dual"):
        await caller.allocations.check(caller.request("CHECK", network="dual"))
    caller.node.addresses.entries.clear()
    with pytest.raises(ReservationNotFoundError, match="not recorded"):
        await caller.allocations.check(caller.request("CHECK", **good))


async def test_gc_releases_what_is_not_listed(caller: Caller) -> None:
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
    config: dict[str, Any] = {"cni.dev/valid-attachments": valid}
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
    await caller.add("new")
    caller.remove_interface("new")
    await caller.allocations.collect(caller.request("GC"))
    assert caller.states() == {"new": AllocationState.ADDED}
    await caller.grow_old()
    await caller.allocations.collect(caller.request("GC"))
    assert caller.held() == []


async def test_another_network_on_the_same_interface(caller: Caller) -> None:
    """A changed configuration gives the old network's address back before it takes a new one."""
    await caller.add()
    with pytest.raises(DanmError, match="still has"):
        await caller.add(network="dual")
    caller.remove_interface()
    await caller.add(network="dual")
    assert {each.network for each in caller.node.addresses.entries} == {"dual"}


async def test_networks_that_give_nothing(caller: Caller) -> None:
    """Missing and unjudged DanmNets are told by name; one just made is read anew."""
    # SPEC G1; DESIGN P7
    with pytest.raises(NetworkNotFoundError, match="/nope"):
        await caller.add(network="nope")
    caller.node.kube.add(DANMNETS, a_raw_danmnet("raw", cidr="198.18.0.0/24"))
    with pytest.raises(NetworkNotReadyError, match="/raw"):
        await caller.add(network="raw")
    caller.node.addresses.failures.fail("reserve", AccessDeniedError("fakeipam: true is missing"))
    with pytest.raises(AccessDeniedError):
        await caller.add()


async def test_an_uid_that_the_runtime_does_not_tell_is_looked_up(caller: Caller) -> None:
    """Old runtimes name the Pod alone."""
    # SPEC C1
    request = caller.request("ADD")
    environment = dict(request.call.environment)
    environment["CNI_ARGS"] = environment["CNI_ARGS"].replace(";K8S_POD_UID=uid-pod-1", "")
    old = decode_ipam_request(environment, request.call.config)
    await caller.allocations.add(old, deadline_s=time.monotonic() + 5)
    (entry,) = caller.node.addresses.entries
    assert isinstance(entry.owner, PodOwnerMessage)
    assert entry.owner.uid == "uid-pod-1"


async def test_only_a_journal_that_is_known_to_be_whole_spares_a_look(caller: Caller) -> None:
    """Ipam-svc looks for earlier entries until the node's have been compared with the journal."""
    await caller.add("c1", pod="a")
    await caller.node.daemon.upkeep.compare()
    await caller.add("c2", pod="b")
    await caller.add("c3", pod="b")
    assert caller.node.addresses.fresh == [False, True, False]


def _stray(owner: PodOwnerMessage | ContainerOwnerMessage) -> Entry:
    return Entry(owner=owner, interface="net1", network="lan", address="198.18.0.9/24", attempt=3)


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


async def test_a_forgotten_address_is_claimed_again(caller: Caller) -> None:
    """After a restored backup a live interface keeps its addresses, of both families."""
    # DESIGN, "Nodes fence"
    await caller.add(network="dual")
    before = sorted(caller.held())
    caller.node.addresses.entries = caller.node.addresses.entries[:1]
    await caller.node.daemon.upkeep.compare()
    assert sorted(caller.held()) == before
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


async def test_an_answer_that_nobody_took(caller: Caller) -> None:
    """The address goes back: the plugin was told a failure."""
    request = caller.request("ADD")
    await caller.allocations.add(request, deadline_s=time.monotonic() + 5)
    await caller.allocations.abandon(request)
    await caller.node.until(lambda: not caller.held())


async def test_a_pod_that_is_gone_still_gives_back(caller: Caller) -> None:
    """DEL needs neither Pod nor DanmNet."""
    # SPEC C4
    await caller.add()
    caller.remove_interface()
    await caller.node.kube.delete(PODS, "pod-1", namespace=NAMESPACE)
    await caller.node.kube.delete(DANMNETS, "lan", namespace=NAMESPACE)
    await caller.delete()
    assert caller.held() == []
