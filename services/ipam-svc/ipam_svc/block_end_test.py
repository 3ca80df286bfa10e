"""A block that is removed takes no address with it, whoever wants one of it at this moment.

The API server removes an object some time after it has looked at the write that takes the last
finalizer away, and looks at no version then: the fake one does so too.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from danm_api.kube.api import DANMIPBLOCKS
from danm_api.model.ip_block import IPBlock
from danm_api.testing.fake_plans import Gate
from ipam_svc.replica import Replica
from ipam_svc.testing.cluster import NAMESPACE, Cluster, attachment, eventually, pod

# decision 0024; DESIGN P1

_STATIC = "10.0.0.7/24"


@asynccontextmanager
async def _an_emptied_block() -> AsyncIterator[tuple[Cluster, Replica, Replica]]:
    """Have two replicas and a block that both know, and that nobody uses any more."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running(2) as (one, other):
        await cluster.reserve(one, pod("a"), attachment(ip=_STATIC), attempt=1)
        await cluster.release(one, pod("a"), attempt=1)
        await _caught_up(cluster, one, other)
        yield cluster, one, other


async def _caught_up(cluster: Cluster, *replicas: Replica) -> None:
    """Wait until replicas know the blocks as they are stored."""
    stored = [block.resource_version for block in cluster.blocks()]

    def know(replica: Replica) -> bool:
        return [block.resource_version for block in _known(cluster, replica)] == stored

    await eventually(lambda: all(know(replica) for replica in replicas))


def _known(cluster: Cluster, replica: Replica) -> list[IPBlock]:
    return replica.ledger.blocks_of(cluster.network().uid)


async def test_a_static_address_is_taken_while_its_block_is_removed() -> None:
    """The Lease holder has all but removed a block when another replica gives an address of it."""
    async with _an_emptied_block() as (cluster, one, other):
        (block,) = _known(cluster, one)
        gate = cluster.kube.hold_next("end", DANMIPBLOCKS)
        removing = asyncio.create_task(one.store.remove_block(block))
        await gate.reached.wait()
        await cluster.reserve(other, pod("b"), attachment(ip=_STATIC), attempt=1)
        gate.open()
        await asyncio.wait((removing,))
        assert cluster.addresses() == ["10.0.0.7"]


async def test_any_address_is_taken_while_the_only_block_is_removed() -> None:
    """A network of one block is not full for whoever comes while that is removed."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/30")
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("a"), attachment(), attempt=1)
        await cluster.release(replica, pod("a"), attempt=1)
        (block,) = cluster.blocks()
        gate = cluster.kube.hold_next("end", DANMIPBLOCKS)
        removing = asyncio.create_task(replica.store.remove_block(block))
        await gate.reached.wait()
        await eventually(lambda: all(each.is_going for each in _known(cluster, replica)))
        await cluster.reserve(replica, pod("b"), attachment(), attempt=1)
        gate.open()
        await asyncio.wait((removing,))
        assert len(cluster.addresses()) == 1


async def test_the_last_release_of_a_deleted_block_loses_nobody() -> None:
    """`kubectl delete` has marked a block; its last owner goes while another one comes."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running(2) as (one, other):
        await cluster.reserve(one, pod("a"), attachment(ip=_STATIC), attempt=1)
        await cluster.kube.delete(DANMIPBLOCKS, cluster.blocks()[0].name, namespace=NAMESPACE)
        await _caught_up(cluster, one, other)
        gate = cluster.kube.hold_next("end", DANMIPBLOCKS)
        leaving = asyncio.create_task(cluster.release(one, pod("a"), attempt=1))
        await _done_or_held(leaving, gate)
        taking = asyncio.create_task(
            cluster.reserve(other, pod("b"), attachment(ip="10.0.0.8/24"), attempt=1)
        )
        if leaving.done():
            await _done_or_held(taking, gate)
        else:
            # The release removes the block, and nothing keeps the other one from writing it.
            await taking
        gate.open()
        await asyncio.gather(leaving, taking)
        assert cluster.addresses() == ["10.0.0.8"]


async def _done_or_held(call: "asyncio.Task[Any]", gate: Gate) -> None:
    """Wait until a call is done, or whichever is the first one to remove a block is at that."""
    reached = asyncio.create_task(gate.reached.wait())
    await asyncio.wait((call, reached), return_when=asyncio.FIRST_COMPLETED)
    reached.cancel()
