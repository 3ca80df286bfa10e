"""Taking addresses: next-fit, exact fit, fences, and replicas that are behind."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv4Network

import pytest

from danm_api.codec.ip_block import block_name
from danm_api.errors import (
    AddressTakenError,
    ApiUnavailableError,
    InvalidObjectError,
    NetworkNotFoundError,
    PoolExhaustedError,
    StaleAttemptError,
)
from danm_api.ipam_api import ExternalOwnerMessage
from danm_api.kube.api import DANMIPBLOCKS, DANMNETS
from danm_api.model.ip_block import ContainerOwner, IPBlock
from danm_api.names import InterfaceName, Namespace, NetworkUid
from danm_api.record.entries import CLOCK_SKEW, held_entries
from danm_api.testing.fake_kube import FakeKube
from ipam_svc.block_ref import NetworkRef
from ipam_svc.kube_store import KubeStore
from ipam_svc.ledger import Ledger
from ipam_svc.store import BlockList, KnownBlock, nothing_known
from ipam_svc.taking import Taker
from ipam_svc.testing.cluster import NAMESPACE, Cluster, attachment, eventually, pod

_POOL = {"start": "10.0.0.10", "end": "10.0.0.13"}
_LOST = ApiUnavailableError("lost", status=0)


async def test_full_pool_is_an_error() -> None:
    """A full pool answers so, after a consistent read, and gives nothing."""
    # SPEC G2: the old program returned an empty address without an error when full.
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24", allocation_pool=_POOL)
    async with cluster.running() as (replica,):
        for i in range(4):
            await cluster.reserve(replica, pod(f"p{i}"), attachment())
        told = "ns/net has no free IPv4 address among 4; widen its allocation pool or"
        with pytest.raises(PoolExhaustedError, match=told):
            await cluster.reserve(replica, pod("late"), attachment(), fresh=True)
        assert len(cluster.held()) == 4


async def test_older_attempt_is_refused_with_the_current_number() -> None:
    """A reserve that comes late is told which attempt holds the address."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("p"), attachment(), attempt=6)
        with pytest.raises(StaleAttemptError) as caught:
            await cluster.reserve(replica, pod("p"), attachment(), attempt=5)
        assert caught.value.current_attempt == 6


async def test_cooldown_delays_the_next_owner() -> None:
    """A freed address is not handed out dynamically before its cooldown is over."""
    # SPEC A7
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/32", cooldown=30)
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("a"), attachment(), attempt=1)
        await cluster.release(replica, pod("a"), attempt=1)
        with pytest.raises(PoolExhaustedError):
            await cluster.reserve(replica, pod("b"), attachment())
        cluster.clock.seconds += 30
        await cluster.reserve(replica, pod("b"), attachment())
        assert ["10.0.0.0"] == cluster.addresses()


async def test_next_fit_does_not_reuse_at_once() -> None:
    """An address that was given back is the last to be handed out again."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24", allocation_pool=_POOL)
    async with cluster.running() as (replica,):
        seen = []
        for i in range(1, 6):
            (answer,) = await cluster.reserve(replica, pod(f"p{i}"), attachment(), attempt=i)
            await cluster.release(replica, pod(f"p{i}"), attempt=i)
            seen.append(answer.ip)
        assert [f"10.0.0.{i}/24" for i in (10, 11, 12, 13, 10)] == seen


@pytest.mark.parametrize("replicas", [1, 3])
async def test_exact_fit(replicas: int) -> None:
    """As many Pods as a pool has addresses fit it, all at once, again and again."""
    # DESIGN P4
    cluster = Cluster()
    cluster.add_network(
        cidr="10.0.0.0/22", allocation_pool={"start": "10.0.0.60", "end": "10.0.1.203"}
    )
    async with cluster.running(replicas) as running:
        for round_ in range(2):
            jobs = [
                cluster.reserve(
                    running[i % replicas],
                    pod(f"p{round_}-{i}"),
                    attachment(),
                    attempt=round_ + 1,
                    fresh=True,
                )
                for i in range(400)
            ]
            answers = await asyncio.gather(*jobs)
            assert len({answer.ip for (answer,) in answers}) == 400
            with pytest.raises(PoolExhaustedError):
                await cluster.reserve(running[0], pod("late"), attachment())
            await asyncio.gather(
                *(
                    cluster.release(
                        running[(i + 1) % replicas], pod(f"p{round_}-{i}"), attempt=round_ + 1
                    )
                    for i in range(400)
                )
            )
            assert cluster.addresses() == []


async def test_requests_that_queue_share_a_write() -> None:
    """While a write is in flight the next requests queue, and one write carries them all."""
    # DESIGN, "Group commit"
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("first"), attachment())
        before = cluster.kube.calls["replace", "danmipblocks"]
        await asyncio.gather(
            *(cluster.reserve(replica, pod(f"p{i}"), attachment(), fresh=True) for i in range(50))
        )
        assert len(cluster.held()) == 51
        assert cluster.kube.calls["replace", "danmipblocks"] - before <= 2


@pytest.mark.parametrize("took_effect", [True, False])
@pytest.mark.parametrize("method", ["create", "replace"])
async def test_lost_answers_lose_and_double_nothing(method: str, *, took_effect: bool) -> None:
    """Whether a write whose answer was lost took effect or not, the owner gets one address."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        assert method in {"create", "replace"}
        cluster.kube.fail_next(
            "create" if method == "create" else "replace",
            DANMIPBLOCKS,
            _LOST,
            took_effect=took_effect,
        )
        (answer,) = await cluster.reserve(replica, pod("p"), attachment())
        assert answer.ip == "10.0.0.1/24"
        assert ["10.0.0.1"] == cluster.addresses()


async def test_late_write_of_a_frozen_replica_is_harmless() -> None:
    """A replica that wakes up in its write neither frees nor takes what a later attempt holds."""
    # DESIGN, "Attempts fence"; P1
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running(2) as (frozen, other):
        await cluster.reserve(frozen, pod("first"), attachment())
        # Until then the other one leaves the new block to the first.
        await cluster.clock.sleep(5)
        gate = cluster.kube.hold_next("replace", DANMIPBLOCKS)
        late = asyncio.create_task(
            cluster.reserve(frozen, pod("p"), attachment(), attempt=10, fresh=True)
        )
        await gate.reached.wait()
        (answer,) = await cluster.reserve(other, pod("p"), attachment(), attempt=11)
        gate.open()
        with pytest.raises(StaleAttemptError):
            await late
        assert {(answer.ip or "").split("/")[0]: 11}.items() <= {
            str(entry.address): entry.attempt for entry in cluster.held()
        }.items()
        assert len(cluster.held()) == 2


async def test_block_of_a_network_that_is_gone_takes_nothing() -> None:
    """A replica that creates a block late sees that the DanmNet is gone, and answers so."""
    # DESIGN, "Life and death of a DanmNet"
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        gate = cluster.kube.hold_next("create", DANMIPBLOCKS)
        late = asyncio.create_task(cluster.reserve(replica, pod("p"), attachment()))
        await gate.reached.wait()
        await replica.store.release_network(cluster.raw_network())
        await cluster.kube.delete(DANMNETS, "net", namespace=NAMESPACE)
        gate.open()
        with pytest.raises(NetworkNotFoundError):
            await late
        assert cluster.addresses() == []


async def test_replica_that_is_behind_judges_by_the_record() -> None:
    """A replica that did not hear of a release does not refuse the address that it freed."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (other,):
        await cluster.reserve(other, pod("old"), attachment(ip="10.0.0.7/24"), attempt=1)
        async with cluster.frozen_watch() as behind:
            await cluster.release(other, pod("old"), attempt=1)
            (answer,) = await cluster.reserve(
                behind, pod("new"), attachment(ip="10.0.0.7/24"), fresh=True
            )
            assert answer.ip == "10.0.0.7/24"


async def test_replica_that_is_behind_refuses_what_is_taken() -> None:
    """A replica that did not hear of a reservation does not hand the address out again."""
    # DESIGN P1
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (other,):
        await cluster.reserve(other, pod("first"), attachment())
        async with cluster.frozen_watch() as behind:
            await cluster.reserve(other, pod("old"), attachment(ip="10.0.0.7/24"))
            with pytest.raises(AddressTakenError):
                await cluster.reserve(behind, pod("new"), attachment(ip="10.0.0.7/24"), fresh=True)
            (answer,) = await cluster.reserve(behind, pod("new"), attachment(), fresh=True)
            assert answer.ip not in {"10.0.0.1/24", "10.0.0.7/24"}


async def test_repeated_request_is_found_by_a_replica_that_is_behind() -> None:
    """A replica that did not hear of the first send looks for it, and keeps its address."""
    # DESIGN, "A retry first looks, by a consistent read"; SPEC G7
    cluster = Cluster()
    pool = {"start": "10.0.0.63", "end": "10.0.0.70"}
    cluster.add_network(cidr="10.0.0.0/24", allocation_pool=pool)
    async with cluster.running() as (other,), cluster.frozen_watch() as behind:
        await cluster.reserve(other, pod("first"), attachment(), attempt=1)
        first = await cluster.reserve(other, pod("p"), attachment(), attempt=2)
        # Now there is a free address in an earlier block than that of the Pod.
        await cluster.release(other, pod("first"), attempt=1)
        assert await cluster.reserve(behind, pod("p"), attachment(), attempt=3) == first
        assert cluster.addresses() == ["10.0.0.64"]


async def test_each_replica_reads_the_network_after_the_block_exists() -> None:
    """A block left by a replica that died in its creation is no proof that its DanmNet lives."""
    # DESIGN, "Life and death of a DanmNet"
    cluster = Cluster()
    await KubeStore(cluster.kube).protect_network(cluster.add_network(cidr="10.0.0.0/24"))
    net = cluster.network()
    cidr = IPv4Network("10.0.0.0/26")
    left = IPBlock(
        namespace=net.namespace,
        name=block_name(net.uid, cidr),
        network=net.name,
        network_uid=net.uid,
        cidr=cidr,
    )
    await KubeStore(cluster.kube).create_block(left)
    async with cluster.frozen_watch() as behind:
        await behind.store.release_network(cluster.raw_network())
        await cluster.kube.delete(DANMNETS, "net", namespace=NAMESPACE)
        with pytest.raises(NetworkNotFoundError):
            await cluster.reserve(behind, pod("p"), attachment())
        assert cluster.addresses() == []


async def test_full_is_said_only_of_what_a_read_shows_full() -> None:
    """An address that comes free while another is lost to somebody else is found."""
    # DESIGN, "Full means full"
    cluster = Cluster()
    pool = {"start": "10.0.0.63", "end": "10.0.0.64"}
    cluster.add_network(cidr="10.0.0.0/24", allocation_pool=pool)
    async with cluster.running() as (other,):
        await cluster.reserve(other, pod("a"), attachment(ip="10.0.0.63/24"), attempt=1)
        await cluster.reserve(other, pod("b"), attachment(ip="10.0.0.64/24"), attempt=1)
        async with cluster.frozen_watch() as behind:
            await cluster.release(other, pod("a"), attempt=1)
            # It reads that .63 is free, and loses it; at no time were both taken.
            gate = cluster.kube.hold_next("get", DANMNETS)
            late = asyncio.create_task(cluster.reserve(behind, pod("p"), attachment(), fresh=True))
            await gate.reached.wait()
            await cluster.release(other, pod("b"), attempt=1)
            await cluster.reserve(other, pod("c"), attachment(ip="10.0.0.63/24"))
            gate.open()
            (answer,) = await late
            assert answer.ip == "10.0.0.64/24"


async def test_replica_that_knows_what_is_gone_looks_for_what_came_after() -> None:
    """An entry that a replica remembers and that is gone is no reason to take another one."""
    # SPEC G7; DESIGN, "A retry first looks, by a consistent read"
    cluster = Cluster()
    # Two blocks, with one address each.
    pool = {"start": "10.0.0.63", "end": "10.0.0.64"}
    cluster.add_network(cidr="10.0.0.0/24", allocation_pool=pool)
    async with cluster.running() as (other,):
        await cluster.reserve(other, pod("p"), attachment(), attempt=1)
        async with cluster.frozen_watch() as behind:
            await cluster.release(other, pod("p"), attempt=1)
            await cluster.reserve(other, pod("q"), attachment(), attempt=1)
            second = await cluster.reserve(other, pod("p"), attachment(), attempt=2)
            # Now what the replica remembers is free once more.
            await cluster.release(other, pod("q"), attempt=1)
            assert second == await cluster.reserve(behind, pod("p"), attachment(), attempt=3)
            assert cluster.addresses() == ["10.0.0.64"]


async def test_replica_that_heard_of_one_family_looks_for_the_other() -> None:
    """A repeated request for both families keeps both, though the watch has brought one only."""
    # SPEC G7
    cluster = Cluster()
    # Two blocks, with one address each.
    pool6 = {"start": "2001:db8::3f", "end": "2001:db8::40"}
    cluster.add_network(cidr="10.0.0.0/24", net6="2001:db8::/64", allocation_pool6=pool6)
    async with cluster.running() as (other,):
        await cluster.reserve(other, pod("p"), attachment(), attempt=1)
        async with cluster.frozen_watch() as behind:
            await cluster.reserve(other, pod("q"), attachment(ip="none", ip6="dynamic"), attempt=1)
            first = await cluster.reserve(other, pod("p"), attachment(ip6="dynamic"), attempt=2)
            # Now there is a free address in an earlier block than that of the Pod.
            await cluster.release(other, pod("q"), attempt=1)
            assert first == await cluster.reserve(
                behind, pod("p"), attachment(ip6="dynamic"), attempt=3
            )
            assert cluster.addresses() == ["10.0.0.1", "2001:db8::40"]


async def test_address_left_for_another_one_cools_too() -> None:
    """What an owner held until it took another address is not handed out at once."""
    # SPEC A7; peers' complaint 13
    cluster = Cluster()
    pool = {"start": "10.0.0.1", "end": "10.0.0.2"}
    cluster.add_network(cidr="10.0.0.0/24", allocation_pool=pool, cooldown=30)
    owner = ExternalOwnerMessage(namespace=NAMESPACE, name="tool")
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, owner, attachment(interface=""), node="")
        await cluster.reserve(replica, owner, attachment(interface="", ip="10.0.0.2/24"), node="")
        assert cluster.addresses() == ["10.0.0.2"]
        with pytest.raises(PoolExhaustedError):
            await cluster.reserve(replica, pod("p"), attachment())
        cluster.clock.seconds += 30
        await cluster.reserve(replica, pod("p"), attachment())
        assert cluster.addresses() == ["10.0.0.1", "10.0.0.2"]


async def test_address_of_an_expired_owner_cools_too() -> None:
    """What an owner agreed to lose is handed out when its cooldown is over, whoever frees it."""
    # SPEC A7; decision 0015; peers' complaint 13
    cluster = Cluster()
    pool = {"start": "10.0.0.1", "end": "10.0.0.2"}
    cluster.add_network(cidr="10.0.0.0/24", allocation_pool=pool, cooldown=30)
    expires = cluster.clock.now() + timedelta(seconds=60)
    async with cluster.running() as (replica,):
        for name in ("one", "two"):
            owner = ExternalOwnerMessage(namespace=NAMESPACE, name=name, expires=expires)
            await cluster.reserve(replica, owner, attachment(interface=""), node="")
        cluster.clock.seconds += 60 + CLOCK_SKEW.total_seconds()
        with pytest.raises(PoolExhaustedError):
            await cluster.reserve(replica, pod("p"), attachment())
        # This one frees both.
        await cluster.reserve(replica, pod("q"), attachment(ip="10.0.0.2/24"))
        cluster.clock.seconds += 29
        with pytest.raises(PoolExhaustedError):
            await cluster.reserve(replica, pod("p"), attachment())
        cluster.clock.seconds += 1
        await cluster.reserve(replica, pod("p"), attachment())
        assert [each.node for each in cluster.held()] == ["n1", "n1"]


async def test_cooling_is_no_matter_for_a_static_request() -> None:
    """Whoever asks for just the address of an expired owner gets it as one that was given back."""
    # SPEC A7
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24", cooldown=30)
    expires = cluster.clock.now() + timedelta(seconds=60)
    tool = ExternalOwnerMessage(namespace=NAMESPACE, name="tool", expires=expires)
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, tool, attachment(interface=""), node="")
        await cluster.reserve(replica, pod("a"), attachment(ip="10.0.0.2/24"), attempt=1)
        await cluster.release(replica, pod("a"), attempt=1)
        cluster.clock.seconds += 60
        with pytest.raises(AddressTakenError, match="the external owner ns/tool"):
            await cluster.reserve(replica, pod("p"), attachment(ip="10.0.0.1/24"))
        cluster.clock.seconds += CLOCK_SKEW.total_seconds()
        for last in (1, 2):
            await cluster.reserve(replica, pod(f"p{last}"), attachment(ip=f"10.0.0.{last}/24"))
        assert [each.node for each in cluster.held()] == ["n1", "n1"]


async def test_an_expired_owner_that_comes_again_keeps_its_address() -> None:
    """While nobody needed the address its owner has it, and a later expiry makes it safe."""
    # SPEC G7, I3
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/32", cooldown=30)
    async with cluster.running() as (replica,):
        for _ in range(2):
            expires = cluster.clock.now() + timedelta(seconds=60)
            owner = ExternalOwnerMessage(namespace=NAMESPACE, name="tool", expires=expires)
            (answer,) = await cluster.reserve(replica, owner, attachment(interface=""), node="")
            assert answer.ip == "10.0.0.0/32"
            cluster.clock.seconds += 69
            with pytest.raises(PoolExhaustedError):
                await cluster.reserve(replica, pod("p"), attachment())
            cluster.clock.seconds += 600


async def test_unreadable_block_is_named_at_once() -> None:
    """A block that cannot be understood is an error that names it, not a storm of requests."""
    # DESIGN P7
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/26")
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("first"), attachment())
        (raw,) = cluster.kube.all_stored(DANMIPBLOCKS)
        (entry,) = raw["spec"]["entries"]
        raw["spec"]["entries"] = [entry.replace("{", '{"kind":"OfALaterRelease",')]
        await cluster.kube.replace(DANMIPBLOCKS, raw, namespace=NAMESPACE)
        before = cluster.kube.calls["create", DANMIPBLOCKS.plural]
        with pytest.raises(InvalidObjectError, match=raw["metadata"]["name"]):
            await cluster.reserve(replica, pod("p"), attachment(ip="10.0.0.9/26"), fresh=True)
        with pytest.raises(PoolExhaustedError, match=raw["metadata"]["name"]):
            await cluster.reserve(replica, pod("p"), attachment(), fresh=True)
        assert cluster.kube.calls["create", DANMIPBLOCKS.plural] <= before + 1


async def test_a_restored_etcd_is_believed() -> None:
    """After a restore from a backup replicas know what the record has now, however old it is."""
    # DESIGN, "Nodes fence"
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("a"), attachment())
        backup = cluster.kube.backup()
        await cluster.reserve(replica, pod("b"), attachment())
        await cluster.reserve(replica, pod("c"), attachment(ip="10.0.0.70/24"))
        uid = cluster.network().uid
        await eventually(lambda: len(replica.ledger.blocks_of(uid)) == 2)
        cluster.kube.restore(backup)
        await eventually(
            lambda: [
                str(held.address)
                for block in replica.ledger.blocks_of(uid)
                for held in held_entries(block)
            ]
            == ["10.0.0.1"]
        )
        await cluster.reserve(replica, pod("b"), attachment(ip="10.0.0.2/24"))
        assert cluster.addresses() == ["10.0.0.1", "10.0.0.2"]


class _NewsOfARestore(KubeStore):
    """The watch tells that etcd was restored when a list has just been read."""

    def __init__(self, kube: FakeKube, *, ledger: Ledger) -> None:
        super().__init__(kube)
        self._ledger = ledger

    async def list_blocks(
        self,
        namespace: Namespace,
        network_uid: NetworkUid,
        *,
        known: KnownBlock = nothing_known,
    ) -> BlockList:
        found = await super().list_blocks(namespace, network_uid, known=known)
        if self._ledger.doubt_count == 0:
            self._ledger.doubt_everything()
        return found


async def test_a_reading_of_another_history_is_no_reading() -> None:
    """A block that is known in the version that a restored etcd gave anew is read all the same."""
    # DESIGN P1, "Nodes fence"
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.frozen_watch() as behind:
        await cluster.reserve(behind, pod("a"), attachment())
        (before,) = cluster.blocks()
        backup = cluster.kube.backup()
        await cluster.reserve(behind, pod("lost"), attachment(), fresh=True)
        (known,) = cluster.blocks()
        cluster.kube.restore(backup)
        owner = ContainerOwner(
            namespace=Namespace(NAMESPACE), container_id="c", interface=InterfaceName("eth0")
        )
        other = replace(held_entries(known)[1], owner=owner)
        entries = (*before.entries, other)
        written = await KubeStore(cluster.kube).write_block(replace(before, entries=entries))
        assert written.resource_version == known.resource_version
        taker = Taker(
            store=_NewsOfARestore(cluster.kube, ledger=behind.ledger),
            ledger=behind.ledger,
            committer=behind.committer,
            announcer=behind.announcer,
            clock=cluster.clock.monotonic,
        )
        await taker.refresh(NetworkRef.of(before))
        assert behind.ledger.blocks_of(before.network_uid) == [written]
