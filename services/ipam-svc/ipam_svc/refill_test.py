"""A pool that is emptied and filled again: always to its last address, never beyond."""

import asyncio
from collections.abc import Sequence
from random import Random

import pytest

from danm_api.errors import PoolExhaustedError
from ipam_svc.replica import Replica
from ipam_svc.testing.cluster import Cluster, attachment, pod

_SIZE = 1000
# From within one block to within another, 17 blocks in all.
_POOL = {"start": "10.0.0.30", "end": "10.0.4.5"}
# `./lab chaos refill --rounds 1000` goes on on a real API server.
_ROUNDS = 4


@pytest.mark.parametrize("seed", range(3))
async def test_a_pool_is_refilled_exactly(seed: int) -> None:
    """1000 Pods fit a pool of 1000 again and again; the 1001st hears that it is full."""
    # DESIGN P4; SPEC G2
    chance = Random(seed)
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/21", allocation_pool=_POOL)
    async with cluster.running(2) as replicas:
        for number in range(_ROUNDS):
            names = [f"p{number}-{each}" for each in range(_SIZE)]
            attempts = await _fill(cluster, replicas, chance, names)
            assert len(set(cluster.addresses())) == _SIZE
            for replica in replicas:
                with pytest.raises(PoolExhaustedError):
                    await cluster.reserve(
                        replica, pod("late"), attachment(), attempt=cluster.next_attempt()
                    )
            assert len(cluster.held()) == _SIZE
            chance.shuffle(names)
            await asyncio.gather(
                *(
                    cluster.release(chance.choice(replicas), pod(name), attempt=attempts[name])
                    for name in names
                )
            )
            assert cluster.held() == []


async def _fill(
    cluster: Cluster, replicas: Sequence[Replica], chance: Random, names: Sequence[str]
) -> dict[str, int]:
    attempts = {name: cluster.next_attempt() for name in names}
    answers = await asyncio.gather(
        *(
            cluster.reserve(
                chance.choice(replicas), pod(name), attachment(), attempt=attempts[name]
            )
            for name in names
        )
    )
    assert len({answer.ip for (answer,) in answers}) == len(names)
    return attempts
