"""One running ipam-svc: its parts, started and stopped in order."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

from danm_api.garbage import spare_what_is_read
from danm_api.kube.api import KubeApi
from danm_api.kube.client import KubeClient
from danm_api.kube.election import LeaderElection
from danm_api.kube.events import EventRecorder
from danm_api.telemetry import Bounds, HealthServer, Listener, Readiness, get_logger
from ipam_svc import metrics
from ipam_svc.access import Access
from ipam_svc.config import LEASE, Config
from ipam_svc.http_api import HttpApi
from ipam_svc.leader import Leader
from ipam_svc.limits import Admission
from ipam_svc.lookup import Lookup
from ipam_svc.replica import Replica
from ipam_svc.tls import ServingTls

_log = get_logger(__name__)


def _now() -> datetime:
    return datetime.now(tz=UTC)


async def run(config: Config, stop: asyncio.Event) -> None:
    """Run until ``stop`` is set."""
    async with await KubeClient.connect(config.kubeconfig) as api:
        await serve(api, config, stop, on_synced=spare_what_is_read)


async def serve(
    api: KubeApi,
    config: Config,
    stop: asyncio.Event,
    *,
    on_listening: "asyncio.Future[int] | None" = None,
    on_synced: Callable[[], None] = lambda: None,
    now: Callable[[], datetime] = _now,
) -> None:
    """Run on an API client until ``stop`` is set.

    Args:
        api: The API server.
        config: How to run.
        stop: Ends it.
        on_listening: Gets the API's port.
        on_synced: Called when the record has been read.
        now: The time.
    """
    replica = Replica(
        api,
        events=EventRecorder(api, component="ipam-svc", instance=config.pod_name),
        now=now,
        clock=time.monotonic,
    )
    access = Access(
        api,
        networks=replica.networks,
        possessions=replica.possessions,
        danmd_user=config.danmd_user,
        reviews=config.limits.reviews,
        clock=time.monotonic,
    )
    http = HttpApi(
        access=access,
        reservations=replica.reservations,
        releases=replica.releases,
        lookup=Lookup(networks=replica.networks, ledger=replica.ledger, reach=replica.reach),
        ready=lambda: replica.synced,
        admission=Admission(config.limits, danmd_user=config.danmd_user, clock=time.monotonic),
        limits=config.limits,
    )
    server = Listener(
        http.app,
        host=config.host,
        port=config.port,
        bounds=Bounds(
            connections=config.limits.connections,
            address_connections=config.limits.address_connections,
        ),
        clock=time.monotonic,
        on_count=metrics.CONNECTIONS.set,
    )
    tls = ServingTls(
        api,
        namespace=config.namespace,
        addresses=config.addresses,
        now=now,
        lifetimes=config.lifetimes,
    )
    leader = Leader(
        api,
        replica=replica,
        namespace=config.namespace,
        now=now,
        clock=time.monotonic,
        lifetimes=config.lifetimes,
    )
    election = LeaderElection(api, namespace=config.namespace, name=LEASE, identity=config.pod_name)

    def ready() -> Readiness:
        if stop.is_set():
            return "stopping"
        if not replica.synced:
            return "the DanmNets and DanmIPBlocks have not been read yet"
        if not tls.ready:
            return "there is no serving certificate yet: has a replica become the Lease holder?"
        return server.listening or "not listening"

    async def serve_api() -> None:
        await tls.wait_ready()
        await server.start(tls.context)
        _log.info("Serving", port=server.port)
        if on_listening is not None:
            on_listening.set_result(server.port)
        await tls.run()

    async def tell_synced() -> None:
        await replica.wait_synced(timeout_s=None)
        on_synced()

    async def stand() -> None:
        # One that may not or cannot read the record would keep the Lease from one that can.
        await replica.wait_synced(timeout_s=None)
        await election.run(leader.run)

    async def work_on() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(tell_synced())
            group.create_task(replica.run())
            group.create_task(stand())
            group.create_task(serve_api())

    # Metrics tell much of the cluster: the API shows them to those who may.
    async with HealthServer(
        host=config.health_host, port=config.health_port, ready=ready, registry=None
    ):
        work = asyncio.create_task(work_on())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((work, stopping), return_when=asyncio.FIRST_COMPLETED)
            http.part()
            # Callers that do not know yet that this replica stops are still served, for a while.
            await asyncio.wait((work,), timeout=config.linger_s)
            await server.stop()
            await replica.close()
        finally:
            stopping.cancel()
            work.cancel()
            await asyncio.wait((work,))
        if not work.cancelled():
            work.result()
