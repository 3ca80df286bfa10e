"""Blocks that are there before they are needed."""

import asyncio
from collections.abc import Iterable

import pytest
from prometheus_client import REGISTRY

from danm_api.errors import ApiError, ApiUnavailableError, NotFoundError
from danm_api.kube.api import DANMIPBLOCKS, DANMNETS
from danm_api.names import NodeName
from ipam_svc.replica import Replica
from ipam_svc.testing.cluster import Cluster, attachment, eventually, pod

_BLOCK = 64


async def _crowd(cluster: Cluster, replica: Replica, numbers: Iterable[int]) -> None:
    await asyncio.gather(
        *(cluster.reserve(replica, pod(f"p{i}"), attachment(), fresh=True) for i in numbers)
    )


async def test_a_crowd_finds_the_next_block_open() -> None:
    """When as many again do not fit, the next block is created and its network read meanwhile."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/16")
    async with cluster.running() as (replica,):
        await _crowd(cluster, replica, range(40))
        await eventually(lambda: len(cluster.blocks()) == 2)
        await eventually(lambda: cluster.kube.calls["get", DANMNETS.plural] == 2)
        cluster.kube.calls.clear()
        await _crowd(cluster, replica, range(40, 40 + 23))
        # The first block is full with these; the second one needs nothing but the write.
        await cluster.reserve(replica, pod("next"), attachment(), fresh=True)
        assert cluster.kube.calls["create", DANMIPBLOCKS.plural] == 0
        assert cluster.kube.calls["get", DANMNETS.plural] == 0
        assert len(cluster.held()) == _BLOCK
    assert len(cluster.blocks()) == 2


async def test_who_comes_alone_opens_no_block_ahead() -> None:
    """It might never be used."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/16")
    async with cluster.running() as (replica,):
        for number in range(_BLOCK - 1):
            await cluster.reserve(replica, pod(f"p{number}"), attachment(), fresh=True)
    assert len(cluster.blocks()) == 1


async def test_a_pool_without_another_block_is_left_alone() -> None:
    """What lies outside of the pool is not opened."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/26")
    async with cluster.running() as (replica,):
        await _crowd(cluster, replica, range(_BLOCK - 2))
    assert len(cluster.blocks()) == 1


@pytest.mark.parametrize("took_effect", [True, False])
async def test_a_block_that_could_not_be_opened_is_opened_by_who_needs_it(
    *, took_effect: bool
) -> None:
    """Nobody hears of a failure of what nobody asked for."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/16")
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("first"), attachment(), fresh=True)
        cluster.kube.fail_next(
            "create", DANMIPBLOCKS, ApiUnavailableError("away", status=503), took_effect=took_effect
        )
        await _crowd(cluster, replica, range(40))
        await _crowd(cluster, replica, range(40, 200))
        assert len(cluster.held()) == 201
        assert len(set(cluster.addresses())) == 201


async def test_two_replicas_fill_a_pool_whose_blocks_they_open() -> None:
    """To the last address."""
    cluster = Cluster()
    # Three blocks, of which 190 addresses can be used.
    cluster.add_network(
        cidr="10.0.0.0/24", allocation_pool={"start": "10.0.0.1", "end": "10.0.0.190"}
    )
    async with cluster.running(2) as replicas:
        await asyncio.gather(
            *(
                _crowd(cluster, replica, range(number * 95, number * 95 + 95))
                for number, replica in enumerate(replicas)
            )
        )
    assert len(set(cluster.addresses())) == len(cluster.held()) == 190


async def test_a_block_that_another_replica_has_opened_is_left_to_it() -> None:
    """Also where the watch has not told of it yet."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/16")
    async with cluster.running() as (other,), cluster.frozen_watch() as behind:
        await _crowd(cluster, behind, range(20))
        # The second block.
        await cluster.reserve(other, pod("static"), attachment(ip="10.0.0.70/16"), fresh=True)
        await _crowd(cluster, behind, range(20, 55))
        exists = _opened("exists")
        await _crowd(cluster, behind, range(55, 90))
        await eventually(lambda: len(cluster.held()) == 91)
        assert _opened("exists") >= exists
        second = [each for each in cluster.addresses() if each.startswith("10.0.0.")]
        assert [each for each in second if int(each.rpartition(".")[2]) in range(64, 128)] == [
            "10.0.0.70"
        ]


async def test_a_failure_is_not_repeated_at_once() -> None:
    """Nobody needs the block yet, and a quota does not grow within a second."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/16")
    async with cluster.running() as (replica,):
        await _crowd(cluster, replica, range(20))
        cluster.kube.fail_next("create", DANMIPBLOCKS, ApiUnavailableError("full", status=403))
        failed = _opened("failed")
        await _crowd(cluster, replica, range(20, 45))
        await eventually(lambda: _opened("failed") == failed + 1)
        before = cluster.kube.calls["create", DANMIPBLOCKS.plural]
        await _crowd(cluster, replica, range(45, 60))
        assert cluster.kube.calls["create", DANMIPBLOCKS.plural] == before
        # Who needs one opens it.
        await _crowd(cluster, replica, range(60, 70))
        assert len(set(cluster.addresses())) == 70


async def test_what_others_have_in_a_block_is_given_back_meanwhile() -> None:
    """It need not wait for a reading that concerns new addresses."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/16")
    async with cluster.running(2) as (replica, other):
        await _crowd(cluster, replica, range(20))
        gate = cluster.kube.hold_next("get", DANMNETS)
        await _crowd(cluster, replica, range(20, 55))
        await gate.reached.wait()
        await cluster.reserve(
            other, pod("static"), attachment(ip="10.0.0.70/16"), attempt=1, node="n2"
        )
        await eventually(lambda: replica.ledger.node_blocks(NodeName("n2")) != [])
        await cluster.release(replica, pod("static"), attempt=1, node="n2")
        assert "10.0.0.70" not in cluster.addresses()
        gate.open()


def _opened(result: str) -> float:
    return (
        REGISTRY.get_sample_value("danm_ipam_blocks_opened_ahead_total", {"result": result}) or 0.0
    )


async def test_requests_wait_for_a_block_that_is_being_opened() -> None:
    """They do not create it a second time, which would look like another replica's."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/16")
    async with cluster.running() as (replica,):
        await _crowd(cluster, replica, range(20))
        gate = cluster.kube.hold_next("create", DANMIPBLOCKS)
        await _crowd(cluster, replica, range(20, 55))
        await gate.reached.wait()
        waiting = asyncio.create_task(_crowd(cluster, replica, range(55, 90)))
        await eventually(lambda: len(cluster.held()) >= _BLOCK - 1)
        assert not waiting.done()
        gate.open()
        await waiting
        assert cluster.kube.calls["create", DANMIPBLOCKS.plural] == 2
        assert len(set(cluster.addresses())) == 90


async def test_where_no_block_can_be_created_nobody_tries_in_a_storm() -> None:
    """A namespace, or a CustomResourceDefinition, that is gone is told at once."""
    # DESIGN P6, P7
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    gone = NotFoundError('namespaces "ns" not found')
    async with cluster.running() as (replica,):
        cluster.kube.fail_next("create", DANMIPBLOCKS, gone, times=1000)
        with pytest.raises(ApiError, match=r"no DanmIPBlock can be created .* is it gone"):
            await cluster.reserve(replica, pod("p"), attachment(), fresh=True)
        assert cluster.kube.calls["create", DANMIPBLOCKS.plural] == 1
