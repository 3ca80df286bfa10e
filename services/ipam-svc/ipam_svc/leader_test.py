"""What the Lease holder does, and goes on doing."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from danm_api.codec.danmep import encode_danmep
from danm_api.errors import ApiUnavailableError
from danm_api.kube.api import CONFIG_MAPS, DANMEPS, DANMNETS, NODES
from danm_api.testing.builders import a_danmep
from ipam_svc.leader import Leader
from ipam_svc.testing.cluster import NAMESPACE, Cluster, attachment, eventually, pod


@asynccontextmanager
async def _led(cluster: Cluster) -> AsyncIterator[None]:
    """Lead with a replica; pauses between rounds pass at once."""
    began = time.monotonic()

    async def pause(_: float) -> None:
        await asyncio.sleep(0)

    def clock() -> float:
        """Run from where the replicas' clock stands: one judges deadlines of the other."""
        return cluster.clock.monotonic() + time.monotonic() - began

    async with cluster.running() as (replica,):
        leader = Leader(
            cluster.kube,
            replica=replica,
            namespace="danm-system",
            instance="test",
            now=cluster.clock.now,
            clock=clock,
            sleep=pause,
        )
        task = asyncio.create_task(leader.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait((task,))


def _add_node(cluster: Cluster, name: str) -> None:
    cluster.kube.add(NODES, {"metadata": {"name": name}})


async def _add_endpoint(cluster: Cluster, name: str, node: str) -> None:
    endpoint = a_danmep(name=name, node=node)
    await cluster.kube.create(DANMEPS, encode_danmep(endpoint), namespace=endpoint.namespace)


def _endpoints(cluster: Cluster) -> list[str]:
    return sorted(raw["metadata"]["name"] for raw in cluster.kube.all_stored(DANMEPS))


async def test_node_that_went_while_nobody_led_is_found() -> None:
    """Interfaces without address, of a node that went unseen, are cleaned up all the same."""
    # DESIGN P2, "Nodes fence"
    cluster = Cluster()
    _add_node(cluster, "here")
    await _add_endpoint(cluster, "a", "gone")
    await _add_endpoint(cluster, "b", "here")
    async with _led(cluster):
        await eventually(lambda: _endpoints(cluster) == ["b"])
        await _add_endpoint(cluster, "c", "here")
        await cluster.kube.delete(NODES, "here")
        await eventually(lambda: _endpoints(cluster) == [])


@pytest.mark.parametrize("method", ["get", "list"])
async def test_failure_of_one_part_does_not_stop_the_others(method: str) -> None:
    """While one part fails the rest goes on, and the part that failed is tried again."""
    cluster = Cluster()
    _add_node(cluster, "n1")
    cluster.add_network(cidr="10.0.0.0/24")
    error = ApiUnavailableError("silent", status=0)
    cluster.kube.fail_next("get", CONFIG_MAPS, error, times=5)
    cluster.kube.fail_next("get" if method == "get" else "list", DANMNETS, error, times=3)
    async with _led(cluster):
        await eventually(lambda: cluster.network().finalizers != ())
        await eventually(lambda: cluster.network().status.ipv4 is not None)
        await eventually(lambda: cluster.kube.all_stored(CONFIG_MAPS) != [])


async def test_deleted_network_goes_when_its_last_address_is_free() -> None:
    """The Lease holder looks again at a DanmNet that waits, without any event on it."""
    # SPEC A5
    cluster = Cluster()
    _add_node(cluster, "n1")
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (other,), _led(cluster):
        await eventually(lambda: cluster.network().finalizers != ())
        await cluster.reserve(other, pod("p"), attachment(), attempt=1)
        await cluster.kube.delete(DANMNETS, "net", namespace=NAMESPACE)
        await eventually(
            lambda: cluster.network().status.condition("InUse") is not None, within_s=20
        )
        await cluster.release(other, pod("p"), attempt=1)
        await eventually(
            lambda: cluster.kube.stored(DANMNETS, "net", namespace=NAMESPACE) is None, within_s=20
        )
