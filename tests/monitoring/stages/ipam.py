"""A replica of ipam-svc with its Lease, asked over HTTPS."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Final

from danm_api.ipam_api import (
    AttachmentRequest,
    ExternalOwnerMessage,
    OwnerMessage,
    ReleaseRequest,
    ReserveRequest,
)
from danm_api.ipam_client import IpamClient
from danm_api.names import SYSTEM_NAMESPACE
from danm_api.telemetry import HealthServer
from ipam_svc.certificates import USUAL
from ipam_svc.testing.cluster import NAMESPACE, Cluster
from ipam_svc.testing.service import running
from ipam_svc.tls import ServingTls
from tests.monitoring.stages.stage import HOST, Fault, Stage

_POOL: Final = {"start": "10.0.0.10", "end": "10.0.0.19"}
_POOL_SIZE: Final = 10
# So much is left of a certificate that should have been renewed weeks ago.
_LEFT: Final = timedelta(days=5)


@dataclass(slots=True, kw_only=True)
class _Caller:
    """Another tool that reserves addresses for its own."""

    client: IpamClient
    attempt: int = 0

    async def reserve(self, name: str) -> None:
        """Take an address of the network."""

        async def next_attempt(above: int) -> int:
            self.attempt = max(self.attempt, above) + 1
            return self.attempt

        self.attempt += 1
        request = ReserveRequest(
            owner=_owner(name),
            attempt=self.attempt,
            attachments=[AttachmentRequest(network="net", interface="", ip="dynamic", ip6="none")],
        )
        await self.client.reserve(request, deadline=_soon(), next_attempt=next_attempt)

    async def release(self, name: str) -> None:
        """Give it back."""
        request = ReleaseRequest(owner=_owner(name), attempt=self.attempt, networks=["net"])
        await self.client.release(request, deadline=_soon())

    async def fill(self) -> None:
        """Take all addresses."""
        for number in range(_POOL_SIZE):
            await self.reserve(f"many-{number}")

    async def empty(self) -> None:
        """Give all back."""
        for number in range(_POOL_SIZE):
            await self.release(f"many-{number}")


def _owner(name: str) -> OwnerMessage:
    return ExternalOwnerMessage(namespace=NAMESPACE, name=name, reason="a test")


def _soon() -> float:
    return time.monotonic() + 10


@asynccontextmanager
async def ipam(port: int) -> AsyncIterator[Stage]:
    """Run ipam-svc."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24", allocation_pool=_POOL)
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(running(cluster.kube))
        caller = _Caller(client=await stack.enter_async_context(service.client("user-tool")))
        # Prometheus would come over HTTPS, with a token that this API server does not know.
        unready = False
        health = HealthServer(host=HOST, port=port, ready=lambda: not unready)
        await stack.enter_async_context(health)
        # While the pool is full nobody else tries.
        pool = asyncio.Lock()

        async def tick() -> None:
            cluster.kube.bookmark()
            if not pool.locked():
                async with pool:
                    await caller.reserve("tool")
                    await caller.release("tool")

        async def fill() -> None:
            await pool.acquire()
            await caller.fill()

        async def empty() -> None:
            await caller.empty()
            pool.release()

        async def turn(*, to_unready: bool) -> None:
            nonlocal unready
            unready = to_unready

        yield Stage(
            tick=tick,
            faults={
                "unready": Fault(
                    make=lambda: turn(to_unready=True), mend=lambda: turn(to_unready=False)
                ),
                "full": Fault(make=fill, mend=empty),
                "certificate": Fault(
                    make=lambda: _issue(cluster, lambda: _now() - USUAL.serving + _LEFT),
                    mend=lambda: _issue(cluster, _now),
                ),
            },
        )


async def _issue(cluster: Cluster, now: Callable[[], datetime]) -> None:
    """Have a replica with a certificate of such a day."""
    tls = ServingTls(
        cluster.kube, namespace=SYSTEM_NAMESPACE, addresses=[ip_address(HOST)], now=now
    )
    await tls.renew()


def _now() -> datetime:
    return datetime.now(tz=UTC)
