"""Blocks that a replica cannot read: they are out of use, and nothing else is."""

import asyncio
from ipaddress import ip_address

import msgspec
import pytest

from danm_api.codec.ip_block import block_cidr_of, block_name
from danm_api.errors import ApiUnavailableError, InvalidObjectError, PoolExhaustedError
from danm_api.kube.api import DANMIPBLOCKS, RawObject
from danm_api.model.ip_block import UnreadableBlock
from danm_api.names import Namespace, NetworkName, NetworkUid
from ipam_svc.block_ref import NetworkRef
from ipam_svc.lookup import Lookup
from ipam_svc.metrics import UNREADABLE_BLOCKS
from ipam_svc.replica import Replica
from ipam_svc.testing.cluster import NAMESPACE, Cluster, attachment, eventually, pod
from ipam_svc.unreadable import UnreadableBlocks

_UID = NetworkUid("uid")
# Two blocks.
_POOL = {"start": "10.0.0.60", "end": "10.0.0.67"}


def _block(address: str, *, uid: NetworkUid = _UID, name: str = "") -> UnreadableBlock:
    cidr = block_cidr_of(ip_address(address))
    return UnreadableBlock(
        namespace=Namespace("ns"),
        name=name or block_name(uid, cidr),
        network_uid=uid,
        cidr=None if name else cidr,
        reason="odd",
        resource_version="1",
        uid=name or address,
    )


def test_they_are_found_by_place_and_by_family() -> None:
    """One whose name tells no place may hold addresses of either family."""
    known = UnreadableBlocks()
    four, six, odd = _block("10.0.0.0"), _block("2001:db8::"), _block("10.0.0.0", name="by-hand")
    for block in (four, six, odd, _block("10.0.0.64", uid=NetworkUid("other"))):
        known.note(block)
    assert known.at(_UID, 4, int(ip_address("10.0.0.0"))) == four
    assert known.at(_UID, 4, int(ip_address("10.0.0.64"))) is None
    assert known.at(NetworkUid("none"), 4, 0) is None
    assert set(known.of(_UID, 4)) == {four, odd}
    assert set(known.of(_UID)) == {four, six, odd}
    assert known.of(NetworkUid("none")) == ()
    assert (len(known), len(list(known.all()))) == (4, 4)


def test_whoever_finds_a_family_full_is_told_of_them() -> None:
    """How many addresses they may have, and why the first cannot be read."""
    known = UnreadableBlocks()
    assert known.out_of_use(_UID, 4) == ""
    known.note(_block("10.0.0.0"))
    assert known.out_of_use(_UID, 4) == "; 64 are out of use, since odd"
    known.note(_block("10.0.0.64"))
    assert known.out_of_use(_UID, 4) == "; 128 are out of use, since odd and 1 more"
    assert known.out_of_use(_UID, 6) == ""


def test_one_that_is_dropped_is_forgotten() -> None:
    """Dropping one that is not there is no error."""
    known = UnreadableBlocks()
    block = _block("10.0.0.0")
    known.note(block)
    known.drop(_UID, "other")
    assert known.named(_UID, block.name) == block
    known.drop(_UID, block.name)
    known.drop(_UID, block.name)
    assert (known.named(_UID, block.name), len(known)) == (None, 0)


async def _spoil(cluster: Cluster, *, version: int = 4) -> RawObject:
    """Let another release write an owner into a block, and return the block as it was."""
    raw = next(raw for raw in cluster.kube.all_stored(DANMIPBLOCKS) if f"{version}" == _family(raw))
    entries = raw["spec"]["entries"]
    odd = msgspec.json.decode(entries[0]) | {"kind": "OfALaterRelease"}
    spoilt = {**raw, "spec": {**raw["spec"], "entries": [msgspec.json.encode(odd).decode()]}}
    written = await cluster.kube.replace(DANMIPBLOCKS, spoilt, namespace=NAMESPACE)
    return {**raw, "metadata": written["metadata"]}


def _family(raw: RawObject) -> str:
    return "4" if "." in raw["spec"]["cidr"] else "6"


def _shown() -> float:
    (metric,) = UNREADABLE_BLOCKS.collect()
    return metric.samples[0].value


async def _until_known(replica: Replica) -> None:
    await eventually(lambda: len(replica.ledger.unreadable) == 1)


async def test_the_rest_of_the_network_goes_on() -> None:
    """Others reserve and release, also with a consistent read; the pool ends with what is left."""
    # DESIGN P1, P7
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24", allocation_pool=_POOL)
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("first"), attachment(), attempt=1)
        repaired = await _spoil(cluster)
        await _until_known(replica)
        assert _shown() == 1
        for i in range(4):
            (answer,) = await cluster.reserve(replica, pod(f"p{i}"), attachment(), attempt=1)
            assert answer.ip == f"10.0.0.{64 + i}/24"
        told = f"64 are out of use, since DanmIPBlock ns/{repaired['metadata']['name']} is unread"
        with pytest.raises(PoolExhaustedError, match=told):
            await cluster.reserve(replica, pod("late"), attachment())
        await cluster.release(replica, pod("p0"), attempt=1)
        await cluster.reserve(replica, pod("late"), attachment(), attempt=1)
        await cluster.kube.replace(DANMIPBLOCKS, repaired, namespace=NAMESPACE)
        await eventually(lambda: len(replica.ledger.unreadable) == 0)
        assert _shown() == 0
        (answer,) = await cluster.reserve(replica, pod("last"), attachment())
        assert answer.ip == "10.0.0.61/24"


@pytest.mark.parametrize("fresh", [True, False])
async def test_a_replica_that_is_behind_goes_elsewhere(*, fresh: bool) -> None:
    """What it takes for a block that nobody has opened, and meets there, sends it on."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24", allocation_pool=_POOL)
    async with cluster.running() as (replica,), cluster.frozen_watch() as behind:
        await cluster.reserve(replica, pod("first"), attachment(), attempt=1)
        await _spoil(cluster)
        (answer,) = await cluster.reserve(behind, pod("p"), attachment(), fresh=fresh)
        assert answer.ip == "10.0.0.64/24"


async def test_one_that_is_met_after_a_restore_sends_on_too() -> None:
    """A block that is doubted is read first, and whoever may goes elsewhere then."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24", allocation_pool=_POOL)
    async with cluster.running() as (replica,), cluster.frozen_watch() as behind:
        await cluster.reserve(replica, pod("first"), attachment(), attempt=1)
        await behind.taker.refresh(NetworkRef.of(cluster.network()))
        await _spoil(cluster)
        behind.ledger.doubt_everything()
        (answer,) = await cluster.reserve(behind, pod("p"), attachment(), fresh=True)
        assert answer.ip == "10.0.0.64/24"


async def test_what_may_have_been_written_there_goes_nowhere_else() -> None:
    """An owner whose write's outcome nobody can read gets no second address beside it."""
    # DESIGN P1, P2
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24", allocation_pool=_POOL)
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("first"), attachment(), attempt=1)
        lost = ApiUnavailableError("lost", status=0)
        cluster.kube.fail_next("replace", DANMIPBLOCKS, lost, took_effect=True)
        gate = cluster.kube.hold_next("get", DANMIPBLOCKS)
        asking = asyncio.create_task(cluster.reserve(replica, pod("p"), attachment(), fresh=True))
        await gate.reached.wait()
        await _spoil(cluster)
        gate.open()
        with pytest.raises(InvalidObjectError, match="OfALaterRelease"):
            await asking
        assert len(cluster.kube.all_stored(DANMIPBLOCKS)) == 1


async def test_a_pair_needs_both_of_its_blocks() -> None:
    """An IPv4 address whose IPv6 address lies in such a block is not handed out."""
    # SPEC G5
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24", allocation_pool=_POOL, net6="2001:db8::/64")
    async with cluster.running() as (replica,):
        both = attachment(ip6="dynamic")
        await cluster.reserve(replica, pod("first"), both)
        await _spoil(cluster, version=6)
        await _until_known(replica)
        (answer,) = await cluster.reserve(replica, pod("p"), both)
        assert answer.ip == "10.0.0.64/24"


async def test_nothing_there_is_free() -> None:
    """The usage counts its addresses neither as used nor as free."""
    # SPEC A4
    cluster = Cluster()
    net = cluster.add_network(cidr="10.0.0.0/24", allocation_pool=_POOL)
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("first"), attachment())
        await _spoil(cluster)
        await _until_known(replica)
        lookup = Lookup(networks=replica.networks, ledger=replica.ledger, reach=replica.reach)
        usage = (await lookup.usage(Namespace(NAMESPACE), NetworkName("net"))).ipv4
        assert usage is not None
        assert (usage.total, usage.used, usage.free) == (8, 0, 4)
        await replica.taker.refresh(NetworkRef.of(net))
