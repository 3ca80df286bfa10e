"""Certificates and authorities that follow each other: no request fails.

Callers trust what the ConfigMap says at the moment, by the watch that danmd has; nothing here tries
a request again. What is due is due by a clock that the test moves, and it moves it only when all is
in step: so a machine that stands still for a while makes nothing expire.
"""

import asyncio
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from cryptography import x509

from danm_api.codec.authority import decode_authorities
from danm_api.ipam_api import CA_SECRET
from danm_api.ipam_client import DEFAULT_SERVER_NAME
from danm_api.ipam_discovery import IpamDiscovery
from danm_api.ipam_replicas import ReplicaOrder
from danm_api.ipam_transport import IpamTransport
from danm_api.kube.api import SECRETS
from danm_api.model.authority import Authorities, Authority
from danm_api.names import SYSTEM_NAMESPACE
from danm_api.testing.clock import FakeClock
from ipam_svc.certificates import Lifetimes, in_step
from ipam_svc.operations import OPENAPI_PATH
from tests.ipam.cluster import Cluster, a_namespace, eventually, replica
from tests.lab.apiserver import ApiServer

# Building Kubernetes, where the cache is empty.
pytestmark = [pytest.mark.apiserver(), pytest.mark.timeout(1500)]

# What is a day in the field is two steps of the clock here. Each certificate lasts for far longer
# than the test, by the clock of TLS.
_STEP: Final = timedelta(seconds=10)
_LIFETIMES: Final = Lifetimes(
    authority=timedelta(hours=2),
    authority_renewal=timedelta(hours=2) - 5 * _STEP,
    overlap=2 * _STEP,
    serving=timedelta(hours=1),
    serving_renewal=2 * _STEP,
    look_again=timedelta(seconds=0.1),
)
_ROTATIONS: Final = 3
# Each authority is followed five steps after it was made, and signs after two. No more steps than
# certificates are valid before they were made (5 minutes), by the clock of TLS.
_MAX_STEPS: Final = 25
_WITHIN_S: Final = 90.0
_TIMEOUT_S: Final = 60.0
# Between the requests of a caller; each certificate is still met by many.
_PAUSE_S: Final = 0.02
# Of each caller, in each state of the certificates.
_REQUESTS: Final = 3


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """Start an API server for all tests of this file."""
    with ApiServer.start(tmp_path_factory.mktemp("apiserver")) as running:
        yield running


@pytest.fixture()
def clock() -> FakeClock:
    """Return the replicas' clock; certificates have whole seconds."""
    return FakeClock(datetime.now(tz=UTC).replace(microsecond=0))


@pytest.fixture()
async def cluster(server: ApiServer, clock: FakeClock) -> AsyncIterator[Cluster]:
    """Yield a namespace with two replicas that go by the clock."""
    async with (
        a_namespace(server) as made,
        replica(made, lifetimes=_LIFETIMES, now=clock.now),
        replica(made, lifetimes=_LIFETIMES, now=clock.now),
    ):
        yield made


@dataclass(slots=True, kw_only=True)
class _Callers:
    """Callers of each replica: one that keeps its connection, one that makes a new one each time.

    Attributes:
        answered: How many requests of each caller were answered.
    """

    discovery: IpamDiscovery
    token: str
    answered: Counter[str] = field(default_factory=Counter)
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def keep(self, endpoint: str) -> None:
        """Ask over one connection, and over another one when the trust changes."""
        transport = self._transport()
        try:
            while not self.stop.is_set():
                await transport.send("GET", endpoint, OPENAPI_PATH, timeout_s=_TIMEOUT_S)
                self.answered[f"{endpoint} kept"] += 1
                await self._pause()
        finally:
            await transport.close()

    async def renew(self, endpoint: str) -> None:
        """Ask over a new connection each time."""
        while not self.stop.is_set():
            transport = self._transport()
            try:
                await transport.send("GET", endpoint, OPENAPI_PATH, timeout_s=_TIMEOUT_S)
                self.answered[f"{endpoint} new"] += 1
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


@dataclass(slots=True, kw_only=True)
class _Rotation:
    """What has become of the certificates.

    Attributes:
        signers: The authorities that were met.
    """

    cluster: Cluster
    clock: FakeClock
    callers: _Callers
    signers: list[str] = field(default_factory=list)

    async def is_in_step(self) -> bool:
        """Say whether all that is due was done, and the callers know of it."""
        raw = await self.cluster.api.get(SECRETS, CA_SECRET, namespace=SYSTEM_NAMESPACE)
        authorities = decode_authorities(raw)
        if authorities.current.certificate not in self.signers:
            self.signers.append(authorities.current.certificate)
        return (
            in_step(authorities, now=self.clock.now(), lifetimes=_LIFETIMES) is authorities
            and [*self.callers.discovery.trust_maps.items()] == [authorities.trust]
            and await self._all_show(authorities)
        )

    async def _all_show(self, authorities: Authorities) -> bool:
        for endpoint in self.cluster.endpoints:
            host, _, port = endpoint.rpartition(":")
            pem = await asyncio.to_thread(
                ssl.get_server_certificate, (host, int(port)), timeout=_TIMEOUT_S
            )
            if not self._is_present(x509.load_pem_x509_certificate(pem.encode()), authorities):
                return False
        return True

    def _is_present(self, shown: x509.Certificate, authorities: Authorities) -> bool:
        made = shown.not_valid_after_utc - _LIFETIMES.serving
        is_due = self.clock.now() >= made + _LIFETIMES.serving_renewal
        return shown.issuer == _subject(authorities.current) and not is_due

    async def met(self) -> None:
        """Wait until each caller has met what is shown now."""
        before = Counter(self.callers.answered)
        names = [f"{each} {kind}" for each in self.cluster.endpoints for kind in ("kept", "new")]

        async def is_met() -> bool:
            now = self.callers.answered
            return all(now[name] >= before[name] + _REQUESTS for name in names)

        await eventually(is_met, within_s=_WITHIN_S)


def _subject(authority: Authority) -> x509.Name:
    return x509.load_pem_x509_certificate(authority.certificate.encode()).subject


async def test_authorities_follow_each_other_without_a_failed_request(
    cluster: Cluster, clock: FakeClock, tmp_path: Path
) -> None:
    """Through several authorities, and many certificates of each, every single send is answered."""
    # DESIGN, "Who may"
    token = await cluster.token("tool", namespace=cluster.namespace)
    discovery = IpamDiscovery(
        cluster.api, system_namespace=SYSTEM_NAMESPACE, token_file=tmp_path / "token"
    )
    callers = _Callers(discovery=discovery, token=token)
    rotation = _Rotation(cluster=cluster, clock=clock, callers=callers)
    steps = 0
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(discovery.trust_maps.run())
        await eventually(rotation.is_in_step, within_s=_WITHIN_S)
        for endpoint in cluster.endpoints:
            group.create_task(callers.keep(endpoint))
            group.create_task(callers.renew(endpoint))
        while len(rotation.signers) <= _ROTATIONS:
            await rotation.met()
            clock.advance(_STEP.total_seconds())
            steps += 1
            assert steps <= _MAX_STEPS
            await eventually(rotation.is_in_step, within_s=_WITHIN_S)
        await rotation.met()
        callers.stop.set()
        watching.cancel()
    print(f"{callers.answered} requests answered through {len(rotation.signers)} authorities")
