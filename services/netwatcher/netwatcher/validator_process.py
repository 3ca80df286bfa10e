"""The running validator role: informer, election, validator, sums and health, put together."""

import asyncio
from datetime import UTC, datetime
from functools import partial
from typing import Final

from danm_api.codec.danmnet import decode_danmnet
from danm_api.kube.api import DANMNETS, KubeApi
from danm_api.kube.client import KubeClient
from danm_api.kube.election import LeaderElection
from danm_api.kube.events import EventRecorder
from danm_api.kube.informer import Informer
from danm_api.model.danmnet import CONDITION_VALID, DanmNet
from danm_api.telemetry import HealthServer, Readiness
from netwatcher.config import VALIDATOR_LEASE, ValidatorConfig
from netwatcher.metrics import NETWORKS
from netwatcher.network_use import ClusterUseReader
from netwatcher.node_summary import NodeSummary
from netwatcher.validator import BY_CLAIM, BY_REFUSED, Validator
from netwatcher.verdict import claim_keys, refused_keys

_VALID: Final = "valid"
_REFUSED: Final = "refused"
_UNJUDGED: Final = "unjudged"


class ValidatorProcess:
    """One replica of the validator.

    Attributes:
        health_port: Where health is served while ``run`` runs.
    """

    def __init__(self, config: ValidatorConfig, api: KubeApi) -> None:
        """Prepare; nothing happens before ``run``."""
        self.health_port = config.health_port
        self._config = config
        self._networks: Informer[DanmNet] = Informer(
            api,
            DANMNETS,
            decode_danmnet,
            indexers={BY_CLAIM: claim_keys, BY_REFUSED: refused_keys},
        )
        self._election = LeaderElection(
            api, namespace=config.namespace, name=VALIDATOR_LEASE, identity=config.pod_name
        )
        self._validator = Validator(
            api=api,
            networks=self._networks,
            use=ClusterUseReader(api),
            events=EventRecorder(api, component="netwatcher-validator", instance=config.pod_name),
            confirm=self._election.confirm,
            now=lambda: datetime.now(tz=UTC),
        )
        self._summary = NodeSummary(api=api, networks=self._networks)

    async def run(self, stop: asyncio.Event) -> None:
        """Run until ``stop`` is set, and release the Lease.

        Raises:
            OSError: The port for health is taken.
        """
        config = self._config
        for state in (_VALID, _REFUSED, _UNJUDGED):
            NETWORKS.labels(state).set_function(partial(self._count, state))
        health = HealthServer(host=config.health_host, port=config.health_port, ready=self._ready)
        async with health:
            self.health_port = health.port
            async with asyncio.TaskGroup() as group:
                serving = group.create_task(self._serve(), name="serving")
                await stop.wait()
                serving.cancel()

    def _count(self, state: str) -> int:
        return sum(_state_of(net) == state for net in self._networks.items())

    def _ready(self) -> Readiness:
        return self._networks.synced or "the DanmNets have not been read yet"

    async def _serve(self) -> None:
        for handler in (self._validator.on_network, self._summary.on_network):
            self._networks.subscribe(handler)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._networks.run(), name="informer")
            group.create_task(self._stand(), name="election")

    async def _stand(self) -> None:
        """Stand for election once the DanmNets have been read.

        Else what goes between a leader's first list and its watch's would never be told as gone,
        and would count against others for as long as it leads.
        """
        await self._networks.wait_synced(None)
        await self._election.run(self._lead)

    async def _lead(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._validator.lead(), name="validator")
            group.create_task(self._summary.lead(), name="summary")


def _state_of(net: DanmNet) -> str:
    verdict = net.status.condition(CONDITION_VALID)
    if verdict is None or verdict.status is None:
        return _UNJUDGED
    return _VALID if verdict.status else _REFUSED


async def run(config: ValidatorConfig, stop: asyncio.Event) -> None:
    """Run one replica against the cluster that ``config`` names, until ``stop`` is set.

    Raises:
        DanmError: There is no usable configuration of the API server.
        OSError: The port for health is taken.
    """
    api = await KubeClient.connect(config.kubeconfig, user_agent="netwatcher-validator")
    async with api:
        await ValidatorProcess(config, api).run(stop)
