"""Certificates and authorities that follow each other within seconds: no request fails.

Callers trust what the ConfigMap says at the moment, by the watch that danmd has; nothing here tries
a request again.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from danm_api.codec.authority import decode_authorities
from danm_api.ipam_api import CA_SECRET
from danm_api.ipam_client import DEFAULT_SERVER_NAME
from danm_api.ipam_discovery import IpamDiscovery
from danm_api.ipam_replicas import ReplicaOrder
from danm_api.ipam_transport import IpamTransport
from danm_api.kube.api import SECRETS
from danm_api.kube.informer import Informer
from danm_api.names import SYSTEM_NAMESPACE
from ipam_svc.certificates import Lifetimes
from ipam_svc.operations import OPENAPI_PATH
from tests.ipam.cluster import Cluster, a_namespace, replica
from tests.lab.apiserver import ApiServer

# Building Kubernetes, where the cache is empty.
pytestmark = [pytest.mark.apiserver(), pytest.mark.timeout(1500)]

# Years and days as seconds; what is a day in the field is 2 s here, twenty times of what a watch or
# a look at the Secret takes on a machine that does other things as well.
_LIFETIMES: Final = Lifetimes(
    authority=timedelta(seconds=14),
    authority_renewal=timedelta(seconds=9),
    overlap=timedelta(seconds=2),
    serving=timedelta(seconds=6),
    serving_renewal=timedelta(seconds=2),
    look_again=timedelta(seconds=0.1),
)
_ROTATIONS: Final = 3
_WITHIN_S: Final = 90.0
_TIMEOUT_S: Final = 10.0
# Between the requests of a caller; each certificate is still met by many.
_PAUSE_S: Final = 0.02


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """Start an API server for all tests of this file."""
    with ApiServer.start(tmp_path_factory.mktemp("apiserver")) as running:
        yield running


@pytest.fixture()
async def cluster(server: ApiServer) -> AsyncIterator[Cluster]:
    """Yield a namespace with two replicas whose certificates are short-lived."""
    async with (
        a_namespace(server) as made,
        replica(made, lifetimes=_LIFETIMES),
        replica(made, lifetimes=_LIFETIMES),
    ):
        yield made


@dataclass(slots=True, kw_only=True)
class _Callers:
    """Callers of each replica: one that keeps its connection, one that makes a new one each time.

    Attributes:
        answered: How many requests of each kind of caller were answered.
    """

    discovery: IpamDiscovery
    token: str
    answered: list[int] = field(default_factory=lambda: [0, 0])
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def keep(self, endpoint: str) -> None:
        """Ask over one connection, and over another one when the trust changes."""
        transport = self._transport()
        try:
            while not self.stop.is_set():
                await transport.send("GET", endpoint, OPENAPI_PATH, timeout_s=_TIMEOUT_S)
                self.answered[0] += 1
                await self._pause()
        finally:
            await transport.close()

    async def renew(self, endpoint: str) -> None:
        """Ask over a new connection each time."""
        while not self.stop.is_set():
            transport = self._transport()
            try:
                await transport.send("GET", endpoint, OPENAPI_PATH, timeout_s=_TIMEOUT_S)
                self.answered[1] += 1
            finally:
                await transport.close()
            await self._pause()

    async def _pause(self) -> None:
        """Leave the processor to the replicas, which run in this process and have to rotate."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.stop.wait(), _PAUSE_S)

    def _transport(self) -> IpamTransport:
        return IpamTransport(
            self.discovery.trust,
            lambda: self.token,
            server_name=DEFAULT_SERVER_NAME,
            replicas=ReplicaOrder(time.monotonic),
        )


async def test_authorities_follow_each_other_without_a_failed_request(
    cluster: Cluster, tmp_path: Path
) -> None:
    """Through several authorities, and many certificates of each, every single send is answered."""
    # DESIGN, "Who may"
    token = await cluster.token("tool", namespace=cluster.namespace)
    discovery = IpamDiscovery(
        cluster.api, system_namespace=SYSTEM_NAMESPACE, token_file=tmp_path / "token"
    )
    callers = _Callers(discovery=discovery, token=token)
    signers: list[str] = []
    enough = asyncio.Event()

    def note(raw: dict[str, object]) -> str:
        current = decode_authorities(raw).current.certificate
        if current not in signers:
            signers.append(current)
        if len(signers) > _ROTATIONS:
            enough.set()
        return current

    secrets = Informer(
        cluster.api,
        SECRETS,
        note,
        namespace=SYSTEM_NAMESPACE,
        field_selector=f"metadata.name={CA_SECRET}",
    )
    async with asyncio.TaskGroup() as group:
        watching = [
            group.create_task(discovery.trust_maps.run()),
            group.create_task(secrets.run()),
        ]
        await discovery.trust_maps.wait_synced(_TIMEOUT_S)
        for endpoint in cluster.endpoints:
            group.create_task(callers.keep(endpoint))
            group.create_task(callers.renew(endpoint))
        async with asyncio.timeout(_WITHIN_S):
            await enough.wait()
        callers.stop.set()
        for task in watching:
            task.cancel()
    print(f"{callers.answered} requests answered through {len(signers)} authorities")
    assert min(callers.answered) > 10 * _ROTATIONS
