"""What the Lease holder does, and goes on doing."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from danm_api.codec.danmep import encode_danmep
from danm_api.errors import ApiError, ApiUnavailableError
from danm_api.ipam_api import ExternalOwnerMessage
from danm_api.kube.api import CONFIG_MAPS, DANMEPS, DANMNETS, NODES
from danm_api.testing.builders import a_danmep
from ipam_svc.leader import Leader
from ipam_svc.replica import Replica
from ipam_svc.testing.cluster import NAMESPACE, Cluster, attachment, eventually, pod


async def _no_pause(_: float) -> None:
    await asyncio.sleep(0)


@asynccontextmanager
async def _led(
    cluster: Cluster, *, sleep: Callable[[float], Awaitable[None]] = _no_pause
) -> AsyncIterator[None]:
    """Lead with a replica; by default pauses between rounds pass at once."""
    began = time.monotonic()

    def clock() -> float:
        """Run from where the replicas' clock stands: one judges deadlines of the other."""
        return cluster.clock.monotonic() + time.monotonic() - began

    async with cluster.running() as (replica,):
        leader = _leader(cluster, replica, clock=clock, sleep=sleep)
        task = asyncio.create_task(leader.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait((task,))


def _leader(
    cluster: Cluster,
    replica: Replica,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = _no_pause,
) -> Leader:
    return Leader(
        cluster.kube,
        replica=replica,
        namespace="danm-system",
        now=cluster.clock.now,
        clock=clock,
        sleep=sleep,
    )


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


async def test_nodes_that_cannot_be_read_stop_nothing_else() -> None:
    """A leader that is shown no nodes goes on with all the rest, for as long as it takes."""
    # DESIGN P2, P5: ending the process would take the service with it, in each replica in turn.
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    busy = ApiUnavailableError("too many requests", status=429)
    cluster.kube.fail_next("list", NODES, busy, times=1_000_000)
    await _add_endpoint(cluster, "a", "gone")
    expires = cluster.clock.now() + timedelta(seconds=10)
    external = ExternalOwnerMessage(namespace=NAMESPACE, name="x", expires=expires)
    async with cluster.running() as (other,):
        await cluster.reserve(other, external, attachment(interface=""), node="")
        await cluster.reserve(other, pod("p"), attachment(), node="gone")
        cluster.clock.seconds += 60
        async with _led(cluster):
            await eventually(lambda: cluster.addresses() == ["10.0.0.2"], within_s=20)
            await eventually(lambda: cluster.network().status.ipv4 is not None)
            # Each node would have to be asked for: the watch is what costs little.
            assert cluster.kube.calls["get", NODES.plural] == 0
            cluster.kube.fail_no_more()
            await eventually(lambda: cluster.addresses() == [], within_s=20)
            await eventually(lambda: _endpoints(cluster) == [], within_s=20)


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


async def test_one_unreadable_danmep_stops_nothing() -> None:
    """What a node writes into its DanmEps keeps nobody else's addresses, nor its own once lost."""
    # DESIGN P2, "A rooted node"
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    _add_node(cluster, "rooted")
    odd = encode_danmep(a_danmep(name="odd", node="rooted"))
    odd["spec"]["Interface"] |= {"Address": "x", "proutes": {"y": "z"}}
    cluster.kube.add(DANMEPS, odd)
    await _add_endpoint(cluster, "z", "unseen")
    expires = cluster.clock.now() - timedelta(minutes=1)
    external = ExternalOwnerMessage(namespace=NAMESPACE, name="x", expires=expires)
    async with cluster.running() as (other,):
        cluster.clock.seconds -= 120
        await cluster.reserve(other, external, attachment(interface=""), node="")
        await cluster.reserve(other, pod("p"), attachment(), node="gone")
        cluster.clock.seconds += 120
        async with _led(cluster):
            await eventually(lambda: cluster.addresses() == [], within_s=20)
            await eventually(lambda: _endpoints(cluster) == ["odd"], within_s=20)
            await cluster.kube.delete(NODES, "rooted")
            await eventually(lambda: _endpoints(cluster) == [], within_s=20)


async def test_a_node_that_cannot_be_freed_keeps_no_other_from_it() -> None:
    """Whatever the API server refuses of one lost node, others and expired owners are freed."""
    # DESIGN P2
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    await _add_endpoint(cluster, "a", "gone")
    refusal = ApiError("admission webhook denied the request", status=403)
    cluster.kube.fail_next("delete", DANMEPS, refusal, times=1_000_000)
    expires = cluster.clock.now() - timedelta(minutes=1)
    external = ExternalOwnerMessage(namespace=NAMESPACE, name="x", expires=expires)
    async with cluster.running() as (other,):
        cluster.clock.seconds -= 120
        await cluster.reserve(other, external, attachment(interface=""), node="")
        cluster.clock.seconds += 120
        async with _led(cluster):
            await eventually(lambda: cluster.addresses() == [], within_s=20)
            assert _endpoints(cluster) == ["a"]
            # It is tried again and again.
            tried = cluster.kube.calls["delete", DANMEPS.plural]
            await eventually(lambda: cluster.kube.calls["delete", DANMEPS.plural] > tried)


async def test_rounds_come_soon_enough() -> None:
    """Summaries are looked at within 5 s, and dead entries so often that 30 s are kept."""
    # SPEC A4; DESIGN P2, "Blocks"
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    pauses: defaultdict[str, list[float]] = defaultdict(list)

    async def note_pause(pause_s: float) -> None:
        task = asyncio.current_task()
        assert task is not None
        pauses[task.get_name()].append(pause_s)
        await asyncio.sleep(0)

    async with _led(cluster, sleep=note_pause):
        await eventually(
            lambda: min(len(pauses["reclaim"]), len(pauses["summaries"])) > 2, within_s=20
        )
    assert max(pauses["summaries"]) <= 5
    # A third of the time: a round waits for the API server, and the next one does what failed.
    assert max(pauses["reclaim"]) <= 10
