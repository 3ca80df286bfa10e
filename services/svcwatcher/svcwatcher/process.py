"""The running svcwatcher: observation, election, reconciler and health, put together."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from danm_api import labels
from danm_api.errors import DanmError, NotFoundError
from danm_api.garbage import spare_what_is_read
from danm_api.kube.api import ENDPOINTS, KubeApi
from danm_api.kube.backoff import delay_after
from danm_api.kube.client import KubeClient
from danm_api.kube.election import LeaderElection
from danm_api.kube.events import EventRecorder
from danm_api.membership.endpoints import MANAGED_BY
from danm_api.telemetry import HealthServer, Readiness, get_logger
from svcwatcher.config import LEASE_NAME, Config, EndpointsMode
from svcwatcher.observation import Observation
from svcwatcher.reconciler import Reconciler
from svcwatcher.writer import Writer

# Of the first request, until which nothing else can be done.
_BASE_DELAY_S: Final = 0.2
_MAX_DELAY_S: Final = 10.0

_log = get_logger(__name__)


class Process:
    """One replica of svcwatcher.

    Attributes:
        health_port: Where health is served while ``run`` runs.
    """

    def __init__(
        self, config: Config, api: KubeApi, *, on_synced: Callable[[], None] = lambda: None
    ) -> None:
        """Prepare; nothing happens before ``run``.

        Args:
            config: How to run.
            api: The API server.
            on_synced: Called when the cluster has been read.
        """
        self._on_synced = on_synced
        self.health_port = config.health_port
        self._config = config
        self._api = api
        self._observation: Observation | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Run until ``stop`` is set.

        Raises:
            OSError: The port for health is taken.
        """
        config = self._config
        health = HealthServer(host=config.health_host, port=config.health_port, ready=self._ready)
        async with health:
            self.health_port = health.port
            async with asyncio.TaskGroup() as group:
                serving = group.create_task(self._serve(), name="serving")
                await stop.wait()
                serving.cancel()

    def _ready(self) -> Readiness:
        if self._observation is None:
            return "the API server has not answered yet"
        return self._observation.synced or "the cluster has not been read yet"

    async def _serve(self) -> None:
        """Follow the cluster, and write while leading."""
        config = self._config
        served = await endpoints_are_served(self._api)
        # Also where none shall be written: those of an earlier configuration are removed.
        observation = Observation(self._api, follow_endpoints=served)
        recorder = EventRecorder(self._api, component="svcwatcher", instance=config.pod_name)
        reconciler = Reconciler(
            observation,
            Writer(self._api, observation.note_written),
            recorder,
            write_endpoints=served and config.endpoints is EndpointsMode.AUTO,
            concurrency=config.concurrency,
        )
        election = LeaderElection(
            self._api,
            namespace=config.namespace,
            name=LEASE_NAME,
            identity=config.pod_name,
        )
        self._observation = observation
        async with asyncio.TaskGroup() as group:
            group.create_task(observation.run(), name="observation")
            group.create_task(self._stand(election, observation, reconciler), name="election")

    async def _stand(
        self, election: LeaderElection, observation: Observation, reconciler: Reconciler
    ) -> None:
        """Stand for election once the cluster has been read.

        A replica that has just started, or may not read something, would keep the Lease from one
        that can write.
        """
        await observation.wait_synced(None)
        self._on_synced()
        await election.run(reconciler.lead)


async def endpoints_are_served(
    api: KubeApi, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> bool:
    """Ask until the API server says whether it has Endpoints at all, which are deprecated."""
    failures = 0
    while True:
        try:
            await api.list(ENDPOINTS, label_selector=f"{labels.MANAGED_BY}={MANAGED_BY}")
        except NotFoundError:
            _log.info("Writing no Endpoints, since this cluster has none any more")
            return False
        except DanmError as error:
            failures += 1
            delay_s = delay_after(failures, base_s=_BASE_DELAY_S, max_s=_MAX_DELAY_S)
            _log.warning("Cannot reach the API server", error=error, retry_in_s=delay_s)
            await sleep(delay_s)
        else:
            return True


async def run(config: Config, stop: asyncio.Event) -> None:
    """Run one replica against the cluster that ``config`` names, until ``stop`` is set.

    Raises:
        DanmError: There is no usable configuration of the API server.
        OSError: The port for health is taken.
    """
    async with await KubeClient.connect(config.kubeconfig, user_agent="svcwatcher") as api:
        await Process(config, api, on_synced=spare_what_is_read).run(stop)
