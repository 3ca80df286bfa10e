"""One running ipam-svc: its parts, started and stopped in order."""

import asyncio
import time
from datetime import UTC, datetime
from ssl import SSLContext
from typing import Final

from aiohttp import web

from danm_api.kube.api import KubeApi
from danm_api.kube.client import KubeClient
from danm_api.kube.election import LeaderElection
from danm_api.telemetry import HealthServer, Readiness, get_logger
from ipam_svc.access import Access
from ipam_svc.config import LEASE, Config
from ipam_svc.http_api import HttpApi
from ipam_svc.leader import Leader
from ipam_svc.lookup import Lookup
from ipam_svc.replica import Replica
from ipam_svc.tls import ServingTls

_log = get_logger(__name__)

# Requests under way get so long to end at a stop; the longest of them takes 30 s and is retried.
_DRAIN_S: Final = 10.0
# Keep-alive connections of nodes and tools.
_BACKLOG: Final = 1024


def _now() -> datetime:
    return datetime.now(tz=UTC)


class ApiServer:
    """Listens for requests.

    Attributes:
        port: The port that is listened on; 0 before ``start`` when the kernel chooses.
    """

    def __init__(self, app: web.Application, *, host: str, port: int) -> None:
        """Serve an application; an empty host listens on all addresses."""
        self.port = port
        self._host = host
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=_DRAIN_S, handle_signals=False
        )
        self.listening = False

    async def start(self, context: SSLContext) -> None:
        """Listen.

        Raises:
            OSError: The port is taken.
        """
        await self._runner.setup()
        site = web.TCPSite(
            self._runner, self._host or None, self.port, ssl_context=context, backlog=_BACKLOG
        )
        await site.start()
        self.port = self._runner.addresses[0][1]
        self.listening = True

    async def stop(self) -> None:
        """Take no more requests, and wait for those under way."""
        self.listening = False
        await self._runner.cleanup()


async def run(config: Config, stop: asyncio.Event) -> None:
    """Run until ``stop`` is set."""
    async with await KubeClient.connect(config.kubeconfig) as api:
        await serve(api, config, stop)


async def serve(
    api: KubeApi,
    config: Config,
    stop: asyncio.Event,
    *,
    on_listening: "asyncio.Future[int] | None" = None,
) -> None:
    """Run on an API client until ``stop`` is set; ``on_listening`` gets the API's port."""
    replica = Replica(api, now=_now, clock=time.monotonic)
    access = Access(
        api, networks=replica.networks, danmd_user=config.danmd_user, clock=time.monotonic
    )
    http = HttpApi(
        access=access,
        reservations=replica.reservations,
        releases=replica.releases,
        lookup=Lookup(networks=replica.networks, ledger=replica.ledger),
        ready=lambda: replica.synced,
    )
    server = ApiServer(http.app, host=config.host, port=config.port)
    tls = ServingTls(api, namespace=config.namespace, addresses=config.addresses, now=_now)
    leader = Leader(
        api,
        replica=replica,
        namespace=config.namespace,
        instance=config.pod_name,
        now=_now,
        clock=time.monotonic,
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

    async def work_on() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(replica.run())
            group.create_task(election.run(leader.run))
            group.create_task(serve_api())

    async with HealthServer(host=config.health_host, port=config.health_port, ready=ready):
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
