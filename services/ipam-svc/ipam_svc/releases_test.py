"""Releases: exactly one attempt, exactly one node."""

import asyncio
from collections.abc import Sequence

import pytest

from danm_api.errors import (
    ApiError,
    ApiUnavailableError,
    DanmError,
    DeadlineExceededError,
    InvalidObjectError,
)
from danm_api.ipam_api import ExternalOwnerMessage
from danm_api.kube.api import DANMIPBLOCKS
from danm_api.testing.hangs import HANGS_S
from ipam_svc.block_ref import NetworkRef
from ipam_svc.replica import Replica
from ipam_svc.testing.cluster import NAMESPACE, Cluster, attachment, eventually, pod


async def test_release_acts_on_exactly_its_attempt() -> None:
    """A late release of an older attempt does not free what a later one holds."""
    # DESIGN, "Attempts fence"
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running(2) as (one, two):
        await cluster.reserve(one, pod("p"), attachment(), attempt=5)
        await cluster.reserve(two, pod("p"), attachment(), attempt=6)
        late = await cluster.release(one, pod("p"), attempt=5)
        assert late.released == []
        assert [6] == [kept.attempt for kept in late.kept]
        assert ["10.0.0.1"] == cluster.addresses()
        done = await cluster.release(one, pod("p"), attempt=6)
        assert ["10.0.0.1"] == [gone.address for gone in done.released]
        assert cluster.addresses() == []
        again = await cluster.release(two, pod("p"), attempt=6)
        assert (again.released, again.kept) == ([], [])


async def _reserve_on(cluster: Cluster, replica: Replica, names: Sequence[str]) -> None:
    for name in names:
        cluster.add_network(name, cidr="10.0.0.0/24")
    asked = [attachment(name, interface=f"eth{i}") for i, name in enumerate(names)]
    await cluster.reserve(replica, pod("p"), *asked, attempt=1)


async def test_all_networks_are_written_at_once() -> None:
    """A DEL takes the time of its slowest network; the answer has them in the order of names."""
    # PEERS, complaint 1
    cluster = Cluster()
    names = ("b", "c", "a")
    async with cluster.running() as (replica,):
        await _reserve_on(cluster, replica, names)
        gates = [cluster.kube.hold_next("replace", DANMIPBLOCKS) for _ in names]
        releasing = asyncio.create_task(
            cluster.release(replica, pod("p"), attempt=1, networks=names)
        )
        for gate in gates:
            await asyncio.wait_for(gate.reached.wait(), timeout=HANGS_S)
        for gate in reversed(gates):
            gate.open()
        answer = await releasing
        assert [each.network for each in answer.released] == sorted(names)
        assert cluster.addresses() == []


async def test_a_networks_addresses_are_given_back_by_one_write() -> None:
    """Several interfaces of a Pod on one network cost no more than one."""
    # SPEC B5
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        both = attachment(), attachment(interface="eth1")
        await cluster.reserve(replica, pod("p"), *both, attempt=1)
        cluster.kube.calls.clear()
        answer = await cluster.release(replica, pod("p"), attempt=1)
        assert [each.address for each in answer.released] == ["10.0.0.1", "10.0.0.2"]
        assert cluster.kube.calls["replace", DANMIPBLOCKS.plural] == 1


async def test_what_cannot_be_released_keeps_nothing_else() -> None:
    """The answer is the error, since something has to be asked again; all else is free."""
    # DESIGN P2
    cluster = Cluster()
    async with cluster.running() as (replica,):
        await _reserve_on(cluster, replica, ("a", "b", "c"))
        refusal = ApiError("a webhook refuses it", status=403)
        cluster.kube.fail_next("replace", DANMIPBLOCKS, refusal)
        with pytest.raises(ApiError, match="webhook"):
            await cluster.release(replica, pod("p"), attempt=1, networks=("a", "b", "c"))
        assert len(cluster.held()) == 1
        await cluster.release(replica, pod("p"), attempt=1, networks=("a", "b", "c"))
        assert cluster.held() == []


async def test_release_of_another_node_is_refused() -> None:
    """Only the node that has an interface may free its address."""
    # DESIGN, "Nodes fence"
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("p"), attachment(), attempt=5, node="n1")
        answer = await cluster.release(replica, pod("p"), attempt=5, node="n2")
        assert (len(answer.released), len(answer.kept)) == (0, 1)
        assert ["10.0.0.1"] == cluster.addresses()


async def test_release_by_a_replica_that_is_behind_spares_a_later_attempt() -> None:
    """A replica that did not hear of the takeover frees nothing by the older attempt."""
    # DESIGN, "Attempts fence"
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (other,):
        await cluster.reserve(other, pod("p"), attachment(), attempt=5)
        async with cluster.frozen_watch() as behind:
            await cluster.reserve(other, pod("p"), attachment(), attempt=6)
            answer = await cluster.release(behind, pod("p"), attempt=5)
            assert (answer.released, [each.attempt for each in answer.kept]) == ([], [6])
            assert cluster.addresses() == ["10.0.0.1"]


async def test_release_after_an_unknown_outcome_lets_the_late_write_lose() -> None:
    """An external owner that gave up and released holds nothing when the late write arrives."""
    # DESIGN, "Who may": "a release after an unknown outcome writes, so that the late PUT loses"
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    owner = ExternalOwnerMessage(namespace=NAMESPACE, name="tool")
    async with cluster.running(2) as (frozen, other):
        await cluster.reserve(other, pod("first"), attachment())
        gate = cluster.kube.hold_next("replace", DANMIPBLOCKS)
        late = asyncio.create_task(
            cluster.reserve(frozen, owner, attachment(interface=""), attempt=7, node="")
        )
        await gate.reached.wait()
        # The owner's time is over: it gives up and makes sure.
        cluster.clock.seconds += 10
        answer = await cluster.release(other, owner, attempt=7, node="")
        assert answer.released == []
        gate.open()
        with pytest.raises(DeadlineExceededError):
            await late
        assert cluster.addresses() == ["10.0.0.1"]
        # A release that finds what it frees needs no further write.
        await cluster.reserve(other, owner, attachment(interface=""), attempt=8, node="")
        before = cluster.kube.calls["replace", DANMIPBLOCKS.plural]
        await cluster.release(other, owner, attempt=8, node="")
        assert cluster.kube.calls["replace", DANMIPBLOCKS.plural] == before + 1


async def test_release_tells_of_what_an_earlier_attempt_holds() -> None:
    """Who releases an attempt that took no effect learns what it still holds, and by which."""
    # DESIGN P7
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("p"), attachment(), attempt=5)
        answer = await cluster.release(replica, pod("p"), attempt=6)
        assert answer.released == []
        assert [(each.address, each.attempt) for each in answer.kept] == [("10.0.0.1", 5)]


async def test_late_del_of_a_crashed_node_spares_the_next_owner() -> None:
    """A node that was declared lost, and comes back with its DELs, frees nobody else's address."""
    # Peers' complaint 5; DESIGN, "Attempts fence", "Nodes fence"
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/32")
    async with cluster.running(2) as (one, two):
        await cluster.reserve(one, pod("sts-0", uid="old"), attachment(), attempt=5, node="lost")
        (entry,) = cluster.held()
        net = NetworkRef.of(cluster.network())
        await one.taker.give_back(net, entry, cooldown_s=0, deadline=cluster.clock.seconds + 5)
        await cluster.reserve(two, pod("sts-0", uid="new"), attachment(), attempt=5, node="n2")
        for attempt in (5, 6):
            for replica in (one, two):
                answer = await cluster.release(
                    replica, pod("sts-0", uid="old"), attempt=attempt, node="lost"
                )
                assert answer.released == []
        assert [(held.node, held.attempt) for held in cluster.held()] == [("n2", 5)]


async def test_release_of_a_lost_attempt_counts_although_a_later_one_holds() -> None:
    """Of two sends, one lost and one answered, both released: the lost one's late write loses."""
    # DESIGN, "Who may"
    cluster = Cluster()
    # Two blocks.
    cluster.add_network(
        cidr="10.0.0.0/24", allocation_pool={"start": "10.0.0.63", "end": "10.0.0.64"}
    )
    owner = ExternalOwnerMessage(namespace=NAMESPACE, name="tool")
    async with cluster.running(2) as (frozen, other):
        for last in (63, 64):
            held = attachment(ip=f"10.0.0.{last}/24")
            await cluster.reserve(frozen, pod(f"p{last}"), held, attempt=1)
        await cluster.release(other, pod("p63"), attempt=1)
        gate = cluster.kube.hold_next("replace", DANMIPBLOCKS)
        lost = asyncio.create_task(
            cluster.reserve(frozen, owner, attachment(interface=""), attempt=7, node="")
        )
        await gate.reached.wait()
        await cluster.release(other, pod("p64"), attempt=1)
        static = attachment(interface="", ip="10.0.0.64/24")
        await cluster.reserve(other, owner, static, attempt=8, node="")
        # The first send's time is over.
        cluster.clock.seconds += 10
        answer = await cluster.release(other, owner, attempt=7, node="")
        assert [each.attempt for each in answer.kept] == [8]
        await cluster.release(other, owner, attempt=8, node="")
        gate.open()
        with pytest.raises(DanmError):
            await lost
        assert cluster.addresses() == []


async def test_external_owner_releases_both_families_through_a_replica_that_is_behind() -> None:
    """What the watch has not brought yet of one family is released with the other."""
    cluster = Cluster()
    pool6 = {"start": "2001:db8::10", "end": "2001:db8::1f"}
    cluster.add_network(cidr="10.0.0.0/24", net6="2001:db8::/64", allocation_pool6=pool6)
    owner = ExternalOwnerMessage(namespace=NAMESPACE, name="tool")
    async with cluster.running() as (other,):
        four = attachment(interface="")
        await cluster.reserve(other, owner, four, attempt=1, node="")
        async with cluster.frozen_watch() as behind:
            both = attachment(interface="", ip6="dynamic")
            await cluster.reserve(other, owner, both, attempt=1, node="")
            answer = await cluster.release(behind, owner, attempt=1, node="")
            assert len(answer.released) == 2
            assert cluster.addresses() == []


_TOOL = ExternalOwnerMessage(namespace=NAMESPACE, name="tool")


async def _use_three_blocks(cluster: Cluster, replica: Replica) -> None:
    """Open blocks of either family, with room in them."""
    pool6 = {"start": "2001:db8::10", "end": "2001:db8::ff"}
    cluster.add_network(cidr="10.0.0.0/24", net6="2001:db8::/64", allocation_pool6=pool6)
    for n in (70, 130, 200):
        held = attachment(ip=f"10.0.0.{n}/24", ip6=f"2001:db8::{n:x}/64")
        await cluster.reserve(replica, pod(f"p{n}"), held)


async def test_what_is_found_is_released_before_anything_else() -> None:
    """An address comes free although the rest, which is asked for again, cannot be made sure of."""
    # DESIGN P2
    cluster = Cluster()
    async with cluster.running() as (replica,):
        await _use_three_blocks(cluster, replica)
        static = attachment(interface="", ip="10.0.0.9/24")
        await cluster.reserve(replica, _TOOL, static, attempt=9, node="")
        lost = ApiUnavailableError("lost", status=0)
        cluster.kube.fail_next("list", DANMIPBLOCKS, lost)
        with pytest.raises(ApiUnavailableError):
            await cluster.release(replica, _TOOL, attempt=9, node="")
        assert "10.0.0.9" not in cluster.addresses()


@pytest.mark.parametrize(
    ("families", "writes"),
    [
        pytest.param((4,), 1, id="found"),
        pytest.param((4, 6), 1 + 3, id="not found"),
        pytest.param((), 1 + 3, id="an older client"),
    ],
)
async def test_only_what_was_asked_for_can_be_late(families: Sequence[int], writes: int) -> None:
    """Blocks of a family are fenced when the reserve asked for it and nothing of it is found."""
    # DESIGN P6, "Who may"
    cluster = Cluster()
    async with cluster.running() as (replica,):
        await _use_three_blocks(cluster, replica)
        static = attachment(interface="", ip="10.0.0.9/24")
        await cluster.reserve(replica, _TOOL, static, attempt=9, node="")
        cluster.kube.calls.clear()
        answer = await cluster.release(replica, _TOOL, attempt=9, node="", families=families)
        assert [each.address for each in answer.released] == ["10.0.0.9"]
        assert cluster.kube.calls["replace", DANMIPBLOCKS.plural] == writes


async def test_blocks_are_fenced_at_once() -> None:
    """Who makes sure on a large network does not wait for one write after the other."""
    # DESIGN P6
    cluster = Cluster()
    async with cluster.running() as (replica,):
        await _use_three_blocks(cluster, replica)
        gates = [cluster.kube.hold_next("replace", DANMIPBLOCKS) for _ in range(3)]
        releasing = asyncio.create_task(
            cluster.release(replica, _TOOL, attempt=9, node="", families=(4,))
        )
        for gate in gates:
            await asyncio.wait_for(gate.reached.wait(), timeout=HANGS_S)
        for gate in gates:
            gate.open()
        assert (await releasing).released == []


async def test_what_cannot_be_read_may_hold_what_is_not_found() -> None:
    """Nobody compares what an external owner holds: it hears that it has to ask again."""
    # DESIGN P2, P7
    cluster = Cluster()
    async with cluster.running() as (replica,):
        await _use_three_blocks(cluster, replica)
        await cluster.reserve(replica, pod("q"), attachment(), attempt=5)
        raw = cluster.kube.all_stored(DANMIPBLOCKS)[-1]
        raw["spec"]["entries"] = ["{}"]
        await cluster.kube.replace(DANMIPBLOCKS, raw, namespace=NAMESPACE)
        await eventually(lambda: len(replica.ledger.unreadable) == 1)
        with pytest.raises(InvalidObjectError, match=raw["metadata"]["name"]):
            await cluster.release(replica, _TOOL, attempt=9, node="", families=(6,))
        # What can be is made sure.
        await cluster.release(replica, _TOOL, attempt=9, node="", families=(4,))
        # Of Pods' addresses their nodes hear when the block is repaired.
        assert (await cluster.release(replica, pod("gone"), attempt=5)).released == []
        assert len((await cluster.release(replica, pod("q"), attempt=5)).released) == 1
