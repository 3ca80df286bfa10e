"""What many owners and large networks cost, in requests and in sizes: not in time.

Peers' complaints 1 and 12 (docs/complaints.md).
"""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from danm_api.errors import PoolExhaustedError
from danm_api.ipam_api import ExternalOwnerMessage, OwnerMessage
from danm_api.kube.api import DANMIPBLOCKS
from danm_api.record.entries import CLOCK_SKEW
from ipam_svc.summary import summarise
from ipam_svc.testing.cluster import NAMESPACE, Cluster, attachment, pod
from ipam_svc.testing.lease import Lease


@pytest.mark.parametrize("replicas", [1, 3])
async def test_hundreds_at_once_cost_a_few_requests_a_block(replicas: int) -> None:
    """600 Pods on a network that nobody used before cost requests by the block, not by the Pod."""
    # Peers' complaint 1: a minute per interface. Counts, so that no machine is too slow.
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/16")
    async with cluster.running(replicas) as running:
        before = cluster.kube.calls.total()
        answers = await asyncio.gather(
            *(
                cluster.reserve(running[i % replicas], pod(f"p{i}"), attachment(), attempt=1)
                for i in range(600)
            )
        )
        assert len({answer.ip for (answer,) in answers}) == 600
        # Ten blocks; each is created, its DanmNet read and the entries written by each replica,
        # and read again by those that met another there.
        assert cluster.kube.calls.total() - before <= 10 * (1 + 4 * replicas)
        before = cluster.kube.calls.total()
        await asyncio.gather(
            *(cluster.release(running[i % replicas], pod(f"p{i}"), attempt=1) for i in range(600))
        )
        assert cluster.addresses() == []
        assert cluster.kube.calls.total() - before <= 10 * 2 * replicas


async def test_one_of_many_costs_one_write_and_no_list() -> None:
    """On a network in use a reservation costs one write, however many addresses are used."""
    # Peers' complaint 1; DESIGN P6
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/16")
    async with cluster.running() as (replica,):
        await asyncio.gather(
            *(cluster.reserve(replica, pod(f"p{i}"), attachment(), fresh=True) for i in range(300))
        )
        cluster.kube.calls.clear()
        await cluster.reserve(replica, pod("one"), attachment(), fresh=True)
        assert dict(cluster.kube.calls) == {("replace", DANMIPBLOCKS.plural): 1}


@pytest.mark.parametrize("node", ["", "gone"])
async def test_hundreds_that_die_together_cost_a_write_or_two_a_block(node: str) -> None:
    """600 owners that expire, or are of one lost node, are freed by the block, not one by one."""
    # DESIGN P2 (within 30 s), "Group commit". Counts, so that no machine is too slow.
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/16")
    expires = cluster.clock.now() + timedelta(seconds=60)
    async with cluster.running() as (replica,):
        wanted = attachment(interface="eth0" if node else "")
        owners: list[OwnerMessage] = [
            (
                pod(f"p{i}")
                if node
                else ExternalOwnerMessage(namespace=NAMESPACE, name=f"x{i}", expires=expires)
            )
            for i in range(600)
        ]
        await asyncio.gather(
            *(cluster.reserve(replica, each, wanted, node=node) for each in owners)
        )
        cluster.clock.seconds += 60 + CLOCK_SKEW.total_seconds()
        blocks = len(cluster.blocks())
        assert blocks == 10
        cluster.kube.calls.clear()
        await Lease(cluster, replica).round()
        assert cluster.addresses() == []
        assert cluster.kube.calls["replace", DANMIPBLOCKS.plural] <= 2 * blocks
        # Nodes, DanmEps and an Event: not by the address either.
        assert cluster.kube.calls.total() <= 2 * blocks + 10


@pytest.mark.parametrize(
    ("options", "asked", "expected"),
    [
        pytest.param(
            {"cidr": "10.0.0.0/8", "allocation_pool": {"start": "10.255.255.250"}},
            {},
            ["10.255.255.250", "10.255.255.254"],
            id="end of a /8",
        ),
        pytest.param(
            {
                "net6": "2001:db8::/64",
                "allocation_pool6": {
                    "start": "2001:db8::ffff:ffff:ffff:fffb",
                    "end": "2001:db8::ffff:ffff:ffff:ffff",
                },
            },
            {"ip": "none", "ip6": "dynamic"},
            ["2001:db8::ffff:ffff:ffff:fffb", "2001:db8::ffff:ffff:ffff:ffff"],
            id="second half of a /64",
        ),
    ],
)
async def test_whole_range_of_large_networks_is_handed_out(
    options: dict[str, Any], asked: dict[str, str], expected: list[str]
) -> None:
    """Addresses beyond the first 2^63 are reached, exactly, and objects stay small all the same."""
    # Peers' complaint 12: 64-bit offsets, the first /65 only, objects that grow with the network.
    cluster = Cluster()
    cluster.add_network(**options)
    async with cluster.running() as (replica,):
        for i in range(5):
            await cluster.reserve(replica, pod(f"p{i}"), attachment(**asked))
        with pytest.raises(PoolExhaustedError):
            await cluster.reserve(replica, pod("late"), attachment(**asked))
        found = cluster.addresses()
        assert [found[0], found[-1]] == expected
        assert len(set(found)) == 5


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"cidr": "10.0.0.0/8"}, id="a /8"),
        pytest.param({"net6": "2001:db8::/64"}, id="a /64"),
    ],
)
async def test_objects_do_not_grow_with_what_is_used(options: dict[str, Any]) -> None:
    """No object's size follows the network's: each holds 64 addresses, the summary 100 ranges."""
    # Peers' complaint 12; DESIGN P6
    cluster = Cluster()
    cluster.add_network(**options)
    asked = {"ip": "none", "ip6": "dynamic"} if "net6" in options else {}
    async with cluster.running() as (replica,):
        await asyncio.gather(
            *(
                cluster.reserve(replica, pod(f"p{i}"), attachment(**asked), fresh=True)
                for i in range(1000)
            )
        )
        blocks = cluster.kube.all_stored(DANMIPBLOCKS)
        assert len(blocks) <= 1000 // 64 + 2
        assert max(len(msgspec.json.encode(raw)) for raw in blocks) < 14_000
        # Every second address goes: as many ranges as can be.
        await asyncio.gather(
            *(cluster.release(replica, pod(f"p{i}"), attempt=i + 1) for i in range(0, 1000, 2))
        )
        summary = summarise(cluster.network(), cluster.network().spec_in_force(), cluster.blocks())
        usage = summary.ipv4 or summary.ipv6
        assert usage is not None
        assert usage.used == 500
        assert len(usage.ranges) < 10_000
