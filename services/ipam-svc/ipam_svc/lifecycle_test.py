"""The life and death of DanmNets, and what the Lease holder frees."""

import asyncio

import msgspec
import pytest

from danm_api.codec.danmep import encode_danmep
from danm_api.errors import ConflictError, NetworkNotReadyError
from danm_api.kube.api import DANMEPS, DANMIPBLOCKS, DANMNETS
from danm_api.labels import DANMNET_FINALIZER
from danm_api.model.danmep import DanmEp, EndpointInterface
from danm_api.model.danmnet import CONDITION_IN_USE, CONDITION_VALID
from danm_api.names import (
    ContainerId,
    InterfaceName,
    Namespace,
    NetworkName,
    NodeName,
    PodName,
    PodUid,
)
from ipam_svc.lifecycle import NetworkKeeper
from ipam_svc.replica import Replica
from ipam_svc.testing.cluster import NAMESPACE, Cluster, attachment, eventually, pod

_NS = Namespace(NAMESPACE)
_NET = NetworkName("net")


def _keeper(cluster: Cluster, replica: Replica) -> NetworkKeeper:
    return NetworkKeeper(
        cluster.kube,
        store=replica.store,
        ledger=replica.ledger,
        committer=replica.committer,
        now=cluster.clock.now,
        clock=cluster.clock.monotonic,
    )


def _endpoint(pod_name: str = "l2") -> DanmEp:
    return DanmEp(
        namespace=_NS,
        name=f"{pod_name}-eth0",
        network=_NET,
        network_type="ipvlan",
        endpoint_id="11111111-1111-1111-1111-111111111111",
        interface=EndpointInterface(name=InterfaceName("eth0")),
        node=NodeName("n1"),
        pod=PodName(pod_name),
        pod_uid=PodUid(f"uid-{pod_name}"),
        container_id=ContainerId("c" * 64),
        netns="/run/netns/x",
    )


async def _delete(cluster: Cluster) -> None:
    await cluster.kube.delete(DANMNETS, _NET, namespace=NAMESPACE)


def _exists(cluster: Cluster) -> bool:
    return cluster.kube.stored(DANMNETS, _NET, namespace=NAMESPACE) is not None


async def test_valid_network_is_protected_before_anybody_uses_it() -> None:
    """A valid DanmNet gets the finalizer, so that one without addresses stays while in use too."""
    # SPEC A5
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    cluster.add_network("odd", valid=False)
    async with cluster.running() as (replica,):
        keeper = _keeper(cluster, replica)
        assert not await keeper.reconcile(_NS, _NET)
        assert not await keeper.reconcile(_NS, NetworkName("odd"))
        assert not await keeper.reconcile(_NS, NetworkName("none"))
    assert cluster.network().finalizers == (DANMNET_FINALIZER,)
    assert cluster.network("odd").finalizers == ()


async def test_network_in_use_stays_and_says_by_whom() -> None:
    """A deleted DanmNet waits for its last address; the condition names who has it."""
    # SPEC A5
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        keeper = _keeper(cluster, replica)
        await cluster.reserve(replica, pod("p"), attachment(), attempt=1)
        await _delete(cluster)
        assert await keeper.reconcile(_NS, _NET)
        condition = cluster.network().status.condition(CONDITION_IN_USE)
        assert condition is not None
        assert "10.0.0.1 of Pod ns/p (interface eth0)" in condition.message
        # The validator's verdict is still there.
        assert cluster.network().status.condition(CONDITION_VALID) is not None
        version = cluster.network().resource_version
        assert await keeper.reconcile(_NS, _NET)
        assert cluster.network().resource_version == version
        with pytest.raises(NetworkNotReadyError):
            await cluster.reserve(replica, pod("q"), attachment())
        await cluster.release(replica, pod("p"), attempt=1)
        assert not await keeper.reconcile(_NS, _NET)
    assert not _exists(cluster)
    assert cluster.kube.all_stored(DANMIPBLOCKS) == []


async def test_the_end_of_a_network_spares_the_next_one_of_its_name() -> None:
    """A Lease holder that was slow removes the DanmNet that it judged, and no other one."""
    # SPEC A5; docs/decisions/0024: the API server removes in a second step
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        keeper = _keeper(cluster, replica)
        await keeper.reconcile(_NS, _NET)
        await _delete(cluster)
        gate = cluster.kube.hold_next("end", DANMNETS)
        late = asyncio.create_task(keeper.reconcile(_NS, _NET))
        await gate.reached.wait()
        await keeper.reconcile(_NS, _NET)
        assert not _exists(cluster)
        following = cluster.add_network(cidr="10.0.0.0/24")
        await keeper.reconcile(_NS, _NET)
        await cluster.reserve(replica, pod("p"), attachment(), attempt=1)
        gate.open()
        with pytest.raises(ConflictError):
            await late
    assert cluster.network().uid == following.uid
    assert cluster.network().finalizers == (DANMNET_FINALIZER,)
    assert cluster.addresses() == ["10.0.0.1"]


@pytest.mark.parametrize("anew", [False, True], ids=["gone", "created anew"])
async def test_what_was_judged_is_what_ends(*, anew: bool) -> None:
    """Also when another Lease holder was quicker by the whole of it."""
    # SPEC A5
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        keeper = _keeper(cluster, replica)
        await keeper.reconcile(_NS, _NET)
        await _delete(cluster)
        gate = cluster.kube.hold_next("replace", DANMNETS)
        late = asyncio.create_task(keeper.reconcile(_NS, _NET))
        await gate.reached.wait()
        await keeper.reconcile(_NS, _NET)
        if anew:
            cluster.add_network(cidr="10.0.0.0/24")
            await keeper.reconcile(_NS, _NET)
            await _delete(cluster)
        gate.open()
        if anew:
            with pytest.raises(ConflictError):
                await late
        else:
            assert not await late
    assert _exists(cluster) is anew


async def test_interfaces_without_address_count() -> None:
    """A DanmEp keeps its DanmNet as an address does."""
    # SPEC A5
    cluster = Cluster()
    cluster.add_network()
    async with cluster.running() as (replica,):
        keeper = _keeper(cluster, replica)
        await keeper.reconcile(_NS, _NET)
        endpoint = _endpoint()
        await cluster.kube.create(DANMEPS, encode_danmep(endpoint), namespace=NAMESPACE)
        await _delete(cluster)
        assert await keeper.reconcile(_NS, _NET)
        condition = cluster.network().status.condition(CONDITION_IN_USE)
        assert condition is not None
        assert "interface eth0 of Pod ns/l2" in condition.message
        await cluster.kube.delete(DANMEPS, endpoint.name, namespace=NAMESPACE)
        assert not await keeper.reconcile(_NS, _NET)
    assert not _exists(cluster)


async def test_an_unreadable_danmep_counts_and_is_named() -> None:
    """What a DanmEp says of its addresses need not be readable for it to keep its DanmNet."""
    # SPEC A5; DESIGN P7
    cluster = Cluster()
    cluster.add_network()
    async with cluster.running() as (replica,):
        keeper = _keeper(cluster, replica)
        await keeper.reconcile(_NS, _NET)
        odd = encode_danmep(_endpoint())
        odd["spec"]["Interface"]["Address"] = "x"
        cluster.kube.add(DANMEPS, odd)
        nameless = encode_danmep(_endpoint("m3"))
        nameless["spec"] |= {"Pod": "", "Expires": "never"}
        cluster.kube.add(DANMEPS, nameless)
        await _delete(cluster)
        assert await keeper.reconcile(_NS, _NET)
        condition = cluster.network().status.condition(CONDITION_IN_USE)
        assert condition is not None
        assert "waits for interface eth0 of Pod ns/l2, DanmEp ns/m3-eth0; " in condition.message
        for name in ("l2-eth0", "m3-eth0"):
            await cluster.kube.delete(DANMEPS, name, namespace=NAMESPACE)
        assert not await keeper.reconcile(_NS, _NET)
    assert not _exists(cluster)


async def test_reservation_that_races_with_the_deletion_loses_or_keeps_the_network() -> None:
    """Whichever comes first: nobody holds an address of a DanmNet that is gone."""
    # DESIGN, "Life and death of a DanmNet"
    for steps in range(0, 40, 2):
        cluster = Cluster()
        cluster.add_network(cidr="10.0.0.0/24")
        async with cluster.running() as (replica,):
            keeper = _keeper(cluster, replica)
            await keeper.reconcile(_NS, _NET)
            reserving = asyncio.create_task(cluster.reserve(replica, pod("p"), attachment()))
            for _ in range(steps):
                await asyncio.sleep(0)
            await _delete(cluster)
            await keeper.reconcile(_NS, _NET)
            await asyncio.wait((reserving,))
            if reserving.exception() is None:
                assert _exists(cluster)
                assert cluster.addresses() == ["10.0.0.1"]
            else:
                assert cluster.addresses() == []
                await keeper.reconcile(_NS, _NET)
                assert not _exists(cluster)


async def test_network_created_anew_starts_empty() -> None:
    """A DanmNet that was deleted and created again never meets its predecessor's record."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        keeper = _keeper(cluster, replica)
        await cluster.reserve(replica, pod("p"), attachment(), attempt=1)
        await cluster.release(replica, pod("p"), attempt=1)
        old = cluster.network().uid
        await _delete(cluster)
        await keeper.reconcile(_NS, _NET)
        new = cluster.add_network(cidr="10.0.0.0/24").uid
        assert new != old
        await eventually(lambda: [net.uid for net in replica.cache.all()] == [new])
        await cluster.reserve(replica, pod("q"), attachment())
        assert [block.network_uid for block in cluster.blocks()] == [new]


async def _use(cluster: Cluster, replica: Replica, pods: int) -> None:
    """Take addresses, and delete the network."""
    cluster.add_network(cidr="10.0.0.0/20")
    await asyncio.gather(
        *(cluster.reserve(replica, pod(f"p{i}"), attachment(), attempt=1) for i in range(pods))
    )
    await _delete(cluster)


def _message(cluster: Cluster) -> str:
    condition = cluster.network().status.condition(CONDITION_IN_USE)
    assert condition is not None
    return condition.message


async def test_a_large_network_in_use_is_not_read_again_and_again() -> None:
    """Who waits for the last of many reads the DanmNet, now and then; nodes hear of no count."""
    # DESIGN P6
    cluster = Cluster()
    async with cluster.running() as (replica,):
        await _use(cluster, replica, 300)
        keeper = _keeper(cluster, replica)
        pause_s = await keeper.reconcile(_NS, _NET)
        assert pause_s is not None
        assert 2 < pause_s <= 30
        assert " and more; " in _message(cluster)
        told = cluster.network().resource_version
        await cluster.release(replica, pod("p0"), attempt=1)
        cluster.kube.calls.clear()
        assert await keeper.reconcile(_NS, _NET)
        assert dict(cluster.kube.calls) == {("get", DANMNETS.plural): 1}
        assert cluster.network().resource_version == told
        for i in range(1, 298):
            await cluster.release(replica, pod(f"p{i}"), attempt=1)
        # Of so few each is named at once.
        assert await keeper.reconcile(_NS, _NET) == 2
        assert all(f"Pod ns/p{i} " in _message(cluster) for i in (298, 299))
        for i in (298, 299):
            await cluster.release(replica, pod(f"p{i}"), attempt=1)
        assert await keeper.reconcile(_NS, _NET) is None
    assert not _exists(cluster)


async def test_who_of_many_is_next_is_told_now_and_then() -> None:
    """When those that the condition names are gone it names others, at most every 30 s."""
    # DESIGN P6, P7
    cluster = Cluster()
    async with cluster.running() as (replica,):
        await _use(cluster, replica, 20)
        keeper = _keeper(cluster, replica)
        await keeper.reconcile(_NS, _NET)
        assert "Pod ns/p0 " in _message(cluster)
        for i in range(10):
            await cluster.release(replica, pod(f"p{i}"), attempt=1)
        cluster.clock.seconds += 29
        await keeper.reconcile(_NS, _NET)
        assert "Pod ns/p0 " in _message(cluster)
        cluster.clock.seconds += 2
        await keeper.reconcile(_NS, _NET)
        assert "Pod ns/p10 " in _message(cluster)


async def test_many_interfaces_are_not_all_read() -> None:
    """A page that names enough of them is the last one."""
    # DESIGN P6
    cluster = Cluster()
    cluster.add_network()
    async with cluster.running() as (replica,):
        keeper = _keeper(cluster, replica)
        await keeper.reconcile(_NS, _NET)
        for i in range(20):
            cluster.kube.add(DANMEPS, encode_danmep(_endpoint(f"l{i:02}")))
        # Nobody reads so far.
        last = encode_danmep(_endpoint("l99"))
        last["metadata"]["annotations"] = 1
        cluster.kube.add(DANMEPS, last)
        await _delete(cluster)
        assert await keeper.reconcile(_NS, _NET)
        assert "Pod ns/l04 and more; " in _message(cluster)


async def test_a_watch_that_is_behind_lets_no_network_go() -> None:
    """That nobody holds an address is read before the DanmNet goes."""
    # DESIGN P1
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (other,), cluster.frozen_watch() as behind:
        await cluster.reserve(other, pod("p"), attachment(), attempt=1)
        await _delete(cluster)
        keeper = _keeper(cluster, behind)
        assert await keeper.reconcile(_NS, _NET)
        assert "10.0.0.1 of Pod ns/p (interface eth0)" in _message(cluster)
    assert cluster.addresses() == ["10.0.0.1"]


@pytest.mark.parametrize("watched", [True, False])
async def test_a_block_that_cannot_be_read_keeps_its_network(*, watched: bool) -> None:
    """Whatever it holds is not freed; the condition says which block it is, and why."""
    # DESIGN P1, P7
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,), cluster.frozen_watch() as behind:
        await cluster.reserve(replica, pod("p"), attachment(), attempt=1)
        (raw,) = cluster.kube.all_stored(DANMIPBLOCKS)
        held = raw["spec"]["entries"]
        odd = msgspec.json.decode(held[0]) | {"kind": "Ghost"}
        raw["spec"]["entries"] = [msgspec.json.encode(odd).decode()]
        raw = await cluster.kube.replace(DANMIPBLOCKS, raw, namespace=NAMESPACE)
        await eventually(lambda: len(replica.ledger.unreadable) == 1)
        await _delete(cluster)
        keeper = _keeper(cluster, replica if watched else behind)
        assert await keeper.reconcile(_NS, _NET)
        assert raw["metadata"]["name"] in _message(cluster)
        assert '"Ghost"' in _message(cluster)
        raw["spec"]["entries"] = held
        await cluster.kube.replace(DANMIPBLOCKS, raw, namespace=NAMESPACE)
        await eventually(lambda: len(replica.ledger.unreadable) == 0)
        await cluster.release(replica, pod("p"), attempt=1)
        keeper = _keeper(cluster, replica)
        assert await keeper.reconcile(_NS, _NET) is None
    assert not _exists(cluster)
