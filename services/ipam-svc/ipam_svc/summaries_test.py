"""DanmNet.status tells how full a network is, without churn."""

from prometheus_client import CollectorRegistry

from danm_api.kube.api import DANMNETS
from danm_api.model.danmnet import CONDITION_VALID
from ipam_svc.network_addresses import NetworkAddresses
from ipam_svc.replica import Replica
from ipam_svc.summaries import SummaryWriter
from ipam_svc.testing.cluster import NAMESPACE, Cluster, attachment, eventually, pod


async def _write(cluster: Cluster, replica: Replica, writer: SummaryWriter) -> None:
    """Let the watches catch up and write what is due."""
    stored = cluster.network().resource_version
    await eventually(lambda: [net.resource_version for net in replica.cache.all()] == [stored])
    await writer.reconcile()


async def test_summary_is_written_at_once_when_its_kind_changes() -> None:
    """Used, full and empty are told at once; what lies between waits for 30 s."""
    # SPEC A4; DESIGN P6
    cluster = Cluster()
    cluster.add_network(
        cidr="10.0.0.0/24", allocation_pool={"start": "10.0.0.10", "end": "10.0.0.13"}
    )
    async with cluster.running() as (replica,):
        writer = SummaryWriter(
            cluster.kube,
            ledger=replica.ledger,
            cache=replica.cache,
            addresses=NetworkAddresses(now=cluster.clock.now),
            clock=cluster.clock.monotonic,
        )

        async def usage() -> tuple[int, int, int, str]:
            await _write(cluster, replica, writer)
            found = cluster.network().status.ipv4
            assert found is not None
            return found.total, found.used, found.free, found.ranges

        assert await usage() == (4, 0, 4, "")
        await cluster.reserve(replica, pod("a"), attachment(), attempt=1)
        assert await usage() == (4, 1, 3, "10.0.0.10")
        await cluster.reserve(replica, pod("b"), attachment(), attempt=1)
        assert await usage() == (4, 1, 3, "10.0.0.10")
        cluster.clock.seconds += 30
        assert await usage() == (4, 2, 2, "10.0.0.10-10.0.0.11")
        for name in ("c", "d"):
            await cluster.reserve(replica, pod(name), attachment(), attempt=1)
        assert await usage() == (4, 4, 0, "10.0.0.10-10.0.0.13")
        await cluster.release(replica, pod("b"), attempt=1)
        assert await usage() == (4, 3, 1, "10.0.0.10, 10.0.0.12-10.0.0.13")
        # The validator's fields are untouched.
        assert cluster.network().status.condition(CONDITION_VALID) is not None
        assert cluster.network().status.applied is not None


async def test_nothing_is_written_when_nothing_changed() -> None:
    """An unchanged network costs no write, however often it is looked at."""
    # DESIGN P6
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24", net6="2001:db8::/64")
    async with cluster.running() as (replica,):
        writer = SummaryWriter(
            cluster.kube,
            ledger=replica.ledger,
            cache=replica.cache,
            addresses=NetworkAddresses(now=cluster.clock.now),
            clock=cluster.clock.monotonic,
        )
        await _write(cluster, replica, writer)
        before = cluster.kube.calls["patch", DANMNETS.plural]
        for _ in range(5):
            cluster.clock.seconds += 31
            await _write(cluster, replica, writer)
        assert cluster.kube.calls["patch", DANMNETS.plural] == before
        status = cluster.network().status
        assert status.ipv6 is not None
        assert status.ipv6.total == 2**24 - 256


async def test_a_network_in_use_is_not_counted_all_the_time() -> None:
    """While it is neither empty nor full it is counted every 10 s at most, however it is used."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    addresses, registry = NetworkAddresses(now=cluster.clock.now), CollectorRegistry()

    def used() -> float | None:
        labels = {"namespace": NAMESPACE, "network": "net", "family": "ipv4", "state": "used"}
        return registry.get_sample_value("danm_ipam_network_addresses", labels)

    async with cluster.running() as (replica,):
        writer = SummaryWriter(
            cluster.kube,
            ledger=replica.ledger,
            cache=replica.cache,
            addresses=addresses,
            clock=cluster.clock.monotonic,
        )
        with addresses.shown(registry):
            # Its first write is a change of the DanmNet, after which it counts once more.
            for number in range(3):
                await cluster.reserve(replica, pod(f"{number}"), attachment(), attempt=1)
                await _write(cluster, replica, writer)
            assert used() == 2
            cluster.clock.seconds += 9
            await _write(cluster, replica, writer)
            assert used() == 2
            cluster.clock.seconds += 1
            await _write(cluster, replica, writer)
            assert used() == 3
            for name in ("0", "1", "2"):
                await cluster.release(replica, pod(name), attempt=1)
            await _write(cluster, replica, writer)
            assert used() == 0
