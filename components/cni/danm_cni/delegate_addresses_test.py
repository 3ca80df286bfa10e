"""What danmd's delegates ask of fakeipam: reserved before they ask, released with the sandbox."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from danm_api.errors import (
    DeadlineExceededError,
    DelegateError,
    IpamUnavailableError,
)
from danm_api.kube.api import DANMEPS
from danm_api.testing.builders import NAMESPACE
from danm_cni.allocation_journal import AllocationKey, AllocationState
from danm_cni.concurrency import ChainTurns
from danm_cni.failpoints import Effect, observed_by
from danm_cni.ipam_request import decode_ipam_request
from danm_cni.journal import InterfaceKind, InterfaceRecord, SandboxRecord, SandboxState
from danm_cni.request import Verb
from danm_cni.testing.demo import INTERNAL
from danm_cni.testing.node import FakeNode, netns_of

CALLING: dict[str, Any] = {
    "cniVersion": "1.0.0",
    "name": "calling",
    "type": "bridge",
    "ipam": {"type": "fakeipam", "network": "lan"},
}


@pytest.fixture()
async def calling(node: FakeNode) -> FakeNode:
    """Give a node with a Pod whose only interface is a plugin's, which calls fakeipam."""
    node.add_network("lan", cidr="198.18.0.0/24", fakeipam=True)
    node.add_network("calling", network_type="calling")
    node.write_cni_config("calling.conf", CALLING)
    node.add_pod(interfaces=[{"network": "calling"}])
    await node.knows_networks(7)
    return node


def _held(node: FakeNode) -> list[str]:
    return [each.address for each in node.addresses.entries]


def _states(node: FakeNode) -> list[AllocationState]:
    return [each.state for each in node.daemon.allocations.journal.records()]


def _is_clean(node: FakeNode) -> bool:
    return not node.leftovers() and not _states(node)


@asynccontextmanager
async def _waiting_plugins(node: FakeNode) -> AsyncIterator[None]:
    """Have no plugin start until the block ends."""
    node.plugins.turns = ChainTurns(limit=1)
    async with node.plugins.turn(Verb.ADD):
        yield


async def _a_plugin_that_asks_nothing(*_: object) -> bytes:
    return b""


async def test_the_address_is_reserved_before_the_plugin_asks(calling: FakeNode) -> None:
    """While it waits for its turn: when it asks, it is told what is there, and all ask once."""
    async with _waiting_plugins(calling):
        add = asyncio.create_task(calling.add())
        await calling.until(lambda: _states(calling) == [AllocationState.ADDED])
        assert not calling.plugins.alive
    (address,) = (await add).ips
    # SPEC F2
    assert [str(address.address)] == _held(calling) == ["198.18.0.10/24"]
    assert [True] == calling.addresses.via_fakeipam
    await calling.end_pod()
    await calling.delete()
    assert _is_clean(calling)


async def test_the_plugin_waits_for_what_is_under_way(calling: FakeNode) -> None:
    """It asks before the address is there, and its ADD has the deadline of all."""
    calling.addresses.failures.hang("reserve")
    async with _waiting_plugins(calling):
        add = asyncio.create_task(calling.add(timeout_s=1.0))
        await calling.until(lambda: calling.addresses.failures.hanging["reserve"] == 1)
        assert not calling.plugins.alive
    await calling.until(lambda: bool(calling.plugins.alive))
    assert len(calling.addresses.via_fakeipam) == 1
    with pytest.raises(DeadlineExceededError):
        await add
    await calling.until(lambda: _is_clean(calling))


async def test_what_the_plugin_does_not_ask_for_is_given_back(calling: FakeNode) -> None:
    """One that has an address of its own, whatever its configuration says."""
    calling.plugins.fakeipam = _a_plugin_that_asks_nothing
    async with _waiting_plugins(calling):
        add = asyncio.create_task(calling.add())
        await calling.until(lambda: _states(calling) == [AllocationState.ADDED])
    await add
    await calling.until(lambda: not _held(calling) and not _states(calling))
    assert calling.endpoints()


@pytest.mark.parametrize("started", [True, False])
async def test_a_plugin_that_does_not_come_to_ask_leaves_nothing(
    calling: FakeNode, *, started: bool
) -> None:
    """One that fails first, and one that is not even started."""
    # SPEC C3
    if started:
        calling.plugins.failures.fail("bridge", DelegateError("no bridge", code=100))
    else:
        calling.plugins.missing.add("bridge")
    async with _waiting_plugins(calling):
        add = asyncio.create_task(calling.add())
        await calling.until(lambda: _states(calling) == [AllocationState.ADDED])
    with pytest.raises(DelegateError, match="no bridge" if started else "is not in CNI_PATH"):
        await add
    await calling.until(lambda: _is_clean(calling))


async def test_a_plugin_that_cleans_up_first_has_an_address_of_its_own(calling: FakeNode) -> None:
    """It is told none that its own DEL has given back."""
    # DESIGN, P1
    asked = calling.plugins.fakeipam
    assert asked is not None

    async def clean_up_first(environment: Mapping[str, str], stdin: bytes) -> bytes:
        if environment["CNI_COMMAND"] == "ADD":
            await calling.daemon.allocations.allocations.delete(
                decode_ipam_request({**environment, "CNI_COMMAND": "DEL"}, stdin),
                deadline_s=time.monotonic() + 5,
            )
        return await asked(environment, stdin)

    calling.plugins.fakeipam = clean_up_first
    (address,) = (await calling.add()).ips
    assert _held(calling) == [str(address.address)] == ["198.18.0.11/24"]
    assert _states(calling) == [AllocationState.ADDED]


async def test_what_has_failed_is_asked_for_again(calling: FakeNode) -> None:
    """ipam-svc was away until the plugin was there."""
    calling.addresses.failures.fail("reserve", IpamUnavailableError("away"))
    async with _waiting_plugins(calling):
        add = asyncio.create_task(calling.add())
        await calling.until(lambda: len(calling.addresses.via_fakeipam) == 1)
        await calling.until(lambda: not _states(calling))
    assert len((await add).ips) == 1
    await calling.daemon.allocations.allocations.end()
    assert (len(_held(calling)), _states(calling)) == (1, [AllocationState.ADDED])


async def test_what_the_plugin_asks_for_is_what_it_gets(calling: FakeNode) -> None:
    """One that hands on another configuration than its own is not told what was asked before."""
    asked = calling.plugins.fakeipam
    assert asked is not None
    told: list[bytes] = []

    async def with_route(environment: Mapping[str, str], stdin: bytes) -> bytes:
        keys = msgspec.json.decode(stdin)
        keys["ipam"]["routes"] = [{"dst": "192.0.2.0/24"}]
        told.append(await asked(environment, msgspec.json.encode(keys)))
        return told[-1]

    calling.plugins.fakeipam = with_route
    await calling.add()
    await calling.daemon.allocations.allocations.end()
    assert [{"dst": "192.0.2.0/24"}] == msgspec.json.decode(told[0])["routes"]
    assert (_states(calling), len(_held(calling))) == ([AllocationState.ADDED], 1)


async def test_an_address_is_released_once_its_danmep_is_gone(calling: FakeNode) -> None:
    """A DanmEp that outlived the address would send a Service's traffic to its next owner."""
    # DESIGN, P3
    await calling.add()
    await calling.end_pod()
    gate = calling.kube.hold_next("delete", DANMEPS)
    delete = asyncio.create_task(calling.delete())
    await gate.reached.wait()
    # What compares all of them meanwhile leaves it to the DEL, whatever the runtime has done since.
    calling.kernel.gone.add(netns_of("c1"))
    await calling.daemon.upkeep.compare()
    assert len(_held(calling)) == 1
    gate.open()
    await delete
    assert _is_clean(calling)


async def test_a_plugin_that_keeps_its_address_does_not_keep_it(calling: FakeNode) -> None:
    """One whose DEL does not call fakeipam."""
    await calling.add()
    await calling.end_pod()
    calling.plugins.fakeipam = _a_plugin_that_asks_nothing
    await calling.delete()
    assert _is_clean(calling)


async def test_an_interface_that_is_left_keeps_its_address(calling: FakeNode) -> None:
    """Its plugin could not remove it, and may never have come to call fakeipam."""
    # DESIGN, P3
    await calling.add()
    await calling.end_pod()
    calling.plugins.failures.fail("bridge-del", DelegateError("boom", code=100))
    await calling.delete()
    assert (_states(calling), len(_held(calling))) == ([AllocationState.ADDED], 1)
    await calling.daemon.upkeep.compare()
    assert _is_clean(calling)


async def test_ipam_svc_away_does_not_hold_up_a_del(calling: FakeNode) -> None:
    """The sandbox is gone; its address goes when ipam-svc is back."""
    # DESIGN, P5
    await calling.add()
    await calling.end_pod()
    calling.addresses.failures.fail("release", IpamUnavailableError("away"))
    await calling.delete()
    assert (_states(calling), len(_held(calling))) == ([AllocationState.REMOVING], 1)
    await calling.daemon.upkeep.compare()
    assert _is_clean(calling)


async def test_a_del_that_is_answered_before_the_release_is_done(calling: FakeNode) -> None:
    """Nothing of the sandbox is left, so no DEL is left for later; the address is marked."""
    await calling.add()
    await calling.end_pod()
    calling.addresses.failures.hang("release")
    await calling.delete(timeout_s=0.5)
    assert _states(calling) == [AllocationState.REMOVING]
    assert not calling.daemon.journal.records()
    assert not list(calling.config.paths.tombstones.iterdir())


async def test_an_address_is_marked_before_its_sandbox_is_forgotten(calling: FakeNode) -> None:
    """A danmd that is killed in between leaves nothing that only memory knows."""
    await calling.add()
    await calling.end_pod()
    states: dict[str, list[AllocationState]] = {}
    with observed_by(lambda failpoint: states.update({failpoint: _states(calling)})):
        await calling.delete()
    assert states[f"before {Effect.FORGET}"] == [AllocationState.REMOVING]
    assert _is_clean(calling)


async def test_a_killed_danmd_leaves_no_address_behind(calling: FakeNode) -> None:
    """It dies with an address that no plugin has asked for yet; the next one gives it back."""
    # DESIGN, "An ADD", step 5
    request = calling.request("ADD", "c1")
    asked = decode_ipam_request(request.environment, msgspec.json.encode(CALLING))
    await calling.daemon.allocations.allocations.add(asked, deadline_s=time.monotonic() + 5)
    interface = InterfaceRecord(
        interface=request.interface, kind=InterfaceKind.DELEGATE, network="calling"
    )
    intent = SandboxRecord(
        container_id="c1",
        namespace=NAMESPACE,
        pod="pod-1",
        pod_uid="uid-pod-1",
        netns=netns_of("c1"),
        state=SandboxState.ADDING,
        interfaces=(interface,),
    )
    await calling.daemon.journal.put(intent)
    await calling.restart()
    assert (_states(calling), len(_held(calling))) == ([AllocationState.ADDED], 1)
    await calling.daemon.upkeep.compare()
    assert _is_clean(calling)


async def test_a_sandbox_whose_namespace_is_gone_keeps_the_order(calling: FakeNode) -> None:
    """No DEL comes for it, as after a reboot."""
    # DESIGN, P3
    await calling.add()
    await calling.end_pod()
    calling.kernel.gone.add(netns_of("c1"))
    gate = calling.kube.hold_next("delete", DANMEPS)
    comparing = asyncio.create_task(calling.daemon.upkeep.compare())
    await gate.reached.wait()
    assert len(_held(calling)) == 1
    gate.open()
    await comparing
    assert (_held(calling), _states(calling), calling.endpoints()) == ([], [], [])


async def test_a_stray_plugins_del_releases_nothing_before_its_time(calling: FakeNode) -> None:
    """One that an earlier danmd has started: the journal says that the sandbox goes."""
    await calling.add()
    await calling.end_pod()
    calling.plugins.failures.hang("bridge-del")
    await calling.delete(timeout_s=0.5)
    await calling.restart()
    ask = calling.plugins.fakeipam
    assert ask is not None
    environment = {**calling.request("DEL", "c1").environment, "CNI_COMMAND": "DEL"}
    await ask(environment, msgspec.json.encode(CALLING))
    assert len(_held(calling)) == 1
    calling.plugins.failures.heal()
    await calling.daemon.upkeep.compare()
    assert _is_clean(calling)


async def test_an_address_that_is_worked_on_holds_up_no_other(calling: FakeNode) -> None:
    """Its interface stays in the sandbox's record, and nothing else does."""
    calling.add_pod("both", interfaces=[{"network": "calling"}, INTERNAL])
    await calling.add("c2", pod="both")
    await calling.end_pod("both")
    assert {"calling", "internal"} == {each["spec"]["NetworkID"] for each in calling.endpoints()}
    async with calling.daemon.allocations.allocations.locks.hold(AllocationKey("c2", "eth0")):
        await calling.delete("c2", pod="both", timeout_s=10)
    (record,) = calling.daemon.journal.records()
    assert ["calling"] == [each.network for each in record.interfaces]
    assert ["lan"] == [each.network for each in calling.addresses.entries]
    await calling.daemon.upkeep.compare()
    assert _is_clean(calling)


async def test_the_fallbacks_plugin_is_served_likewise(calling: FakeNode) -> None:
    """One whose addresses are a DanmNet's."""
    calling.write_cni_config("10-first.conf", CALLING)
    calling.add_pod("plain")
    calling.plugins.failures.hang("bridge")
    add = asyncio.create_task(calling.add("c2", pod="plain", timeout_s=1.0))
    await calling.until(lambda: _states(calling) == [AllocationState.ADDED])
    assert not calling.plugins.alive
    with pytest.raises(DeadlineExceededError):
        await add
    await calling.until(lambda: _is_clean(calling))
