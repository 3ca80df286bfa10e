"""Addresses for fakeipam: ADD, DEL and CHECK on a node whose edges are fakes."""

import time
from typing import Any

import msgspec
import pytest

from danm_api.codec.danmnet import decode_danmnet, encode_status
from danm_api.errors import (
    AccessDeniedError,
    ConflictError,
    DanmError,
    DeadlineExceededError,
    IpamUnavailableError,
    NetworkNotFoundError,
    NetworkNotReadyError,
    PoolExhaustedError,
    ReservationNotFoundError,
)
from danm_api.ipam_api import ContainerOwnerMessage, PodOwnerMessage
from danm_api.kube.api import DANMNETS, PODS
from danm_api.testing.builders import NAMESPACE, a_raw_danmnet, accepted
from danm_cni.allocation_journal import AllocationState
from danm_cni.cni_errors import CniRequestError
from danm_cni.ipam_request import decode_ipam_request
from danm_cni.testing.ipam_caller import Caller
from danm_cni.testing.node import netns_of


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


async def test_routes_are_not_those_of_a_network_of_before(caller: Caller) -> None:
    """One that was made anew, which danmd's watch has not shown, is read; the next ADD has it."""
    node = caller.node
    await node.deafen()
    await node.kube.delete(DANMNETS, "lan", namespace=NAMESPACE)
    routes = {"10.0.0.0/8": "198.18.0.1"}
    raw = a_raw_danmnet("lan", uid="uid-2", cidr="198.18.0.0/24", fakeipam=True, routes=routes)
    status = encode_status(accepted(decode_danmnet(raw)).status)
    node.kube.add(DANMNETS, {**raw, "status": status})
    node.addresses.network_uids["lan"] = "uid-2"
    with pytest.raises(ConflictError, match=f"{NAMESPACE}/lan: it was made anew"):
        await caller.add()
    assert caller.held() == []
    request = caller.request("ADD", "c2")
    answer = await caller.allocations.add(request, deadline_s=time.monotonic() + 5)
    assert ["10.0.0.0/8"] == [each["dst"] for each in msgspec.json.decode(answer)["routes"]]


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
    # Less than the 2 s that an undo may take, and enough for a machine that starves to reserve.
    adding = caller.allocations.add(caller.request("ADD"), deadline_s=time.monotonic() + 1.5)
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


async def test_check_fails_once_an_address_is_to_be_released(caller: Caller) -> None:
    """After DEL the address is nobody's, although an interface still has it."""
    await caller.add()
    await caller.delete()
    with pytest.raises(CniRequestError, match="no address"):
        await caller.allocations.check(caller.request("CHECK"))


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
