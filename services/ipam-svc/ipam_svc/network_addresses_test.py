"""Prometheus shows how full every network is, once in the whole cluster."""

import asyncio
from collections.abc import Iterable

from prometheus_client import REGISTRY, CollectorRegistry

from danm_api.kube.api import DANMNETS
from ipam_svc.leader import Leader
from ipam_svc.network_addresses import NetworkAddresses
from ipam_svc.replica import Replica
from ipam_svc.summaries import SummaryWriter
from ipam_svc.testing.cluster import NAMESPACE, Cluster, attachment, eventually, pod

_STATES = ("used", "cooling", "free")


def _shown(
    registry: CollectorRegistry, network: str, family: str = "ipv4"
) -> tuple[float | None, ...]:
    """Return used, cooling and free addresses, and the pool's size."""
    place = {"namespace": NAMESPACE, "network": network, "family": family}
    return (
        *(
            registry.get_sample_value("danm_ipam_network_addresses", {**place, "state": state})
            for state in _STATES
        ),
        registry.get_sample_value("danm_ipam_network_pool_size", place),
    )


def _writer(cluster: Cluster, replica: Replica, addresses: NetworkAddresses) -> SummaryWriter:
    return SummaryWriter(
        cluster.kube,
        ledger=replica.ledger,
        cache=replica.cache,
        addresses=addresses,
        clock=cluster.clock.monotonic,
    )


def _networks(registry: CollectorRegistry) -> Iterable[str]:
    return {sample.labels["network"] for metric in registry.collect() for sample in metric.samples}


async def test_addresses_are_counted_by_state() -> None:
    """A cooling address is free once its time is over, though nothing was written since."""
    cluster = Cluster()
    cluster.add_network(
        cidr="10.0.0.0/24",
        allocation_pool={"start": "10.0.0.10", "end": "10.0.0.19"},
        cooldown=60,
    )
    addresses, registry = NetworkAddresses(now=cluster.clock.now), CollectorRegistry()
    async with cluster.running() as (replica,):
        writer = _writer(cluster, replica, addresses)
        with addresses.shown(registry):
            for name in ("a", "b", "c"):
                await cluster.reserve(replica, pod(name), attachment(), attempt=1)
            await cluster.reserve(replica, pod("d"), attachment(ip="10.0.0.200/24"), attempt=1)
            await writer.reconcile()
            assert _shown(registry, "net") == (4, 0, 7, 10)
            # Outside of the pool: it cools, but nobody counts on it.
            await cluster.release(replica, pod("d"), attempt=1)
            await cluster.release(replica, pod("b"), attempt=1)
            cluster.clock.seconds += 10
            await writer.reconcile()
            assert _shown(registry, "net") == (2, 1, 7, 10)
            cluster.clock.seconds += 51
            assert _shown(registry, "net") == (2, 0, 8, 10)
            assert _shown(registry, "net", "ipv6") == (None, None, None, None)


async def test_a_network_that_is_gone_is_shown_no_more() -> None:
    """Dashboards do not fill with networks of yesterday."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    cluster.add_network("other", cidr="10.1.0.0/24", net6="2001:db8::/64")
    addresses, registry = NetworkAddresses(now=cluster.clock.now), CollectorRegistry()
    async with cluster.running() as (replica,):
        writer = _writer(cluster, replica, addresses)
        with addresses.shown(registry):
            await writer.reconcile()
            assert _networks(registry) == {"net", "other"}
            assert _shown(registry, "other", "ipv6") == (0, 0, 2**24 - 256, 2**24 - 256)
            await cluster.kube.delete(DANMNETS, "other", namespace=NAMESPACE)
            await eventually(lambda: len(replica.cache.all()) == 1)
            await writer.reconcile()
            assert _networks(registry) == {"net"}


async def test_only_the_lease_holder_shows_them() -> None:
    """Whoever leads shows all networks, and nobody does who led before."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        leader = Leader(
            cluster.kube,
            replica=replica,
            namespace="danm-system",
            now=cluster.clock.now,
            clock=cluster.clock.monotonic,
        )
        # An instance may lead again.
        for _ in range(2):
            assert _shown(REGISTRY, "net") == (None,) * 4
            task = asyncio.create_task(leader.run())
            await eventually(lambda: _shown(REGISTRY, "net") == (0, 0, 254, 254))
            task.cancel()
            await asyncio.wait((task,))
        assert _shown(REGISTRY, "net") == (None,) * 4
