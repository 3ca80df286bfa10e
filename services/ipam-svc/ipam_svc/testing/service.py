"""The whole service over HTTPS on loopback, on an API server in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Any

from danm_api.codec.authority import decode_trust
from danm_api.ipam_api import AUDIENCE, TRUST_CONFIG_MAP
from danm_api.ipam_client import IpamClient
from danm_api.kube.api import CONFIG_MAPS, KubeApi, RawObject
from danm_api.names import SYSTEM_NAMESPACE
from danm_api.testing.fake_kube import FakeKube
from ipam_svc.config import Config, danmd_user_of
from ipam_svc.process import serve

DANMD = danmd_user_of(SYSTEM_NAMESPACE)


def _review(spec: RawObject) -> RawObject:
    """Accept ``danmd-NODE``, ``danmd`` without a node's claim, and ``user-NAME`` as tokens."""
    kind, _, name = str(spec["token"]).partition("-")
    if kind not in {"danmd", "user"} or spec.get("audiences") != [AUDIENCE]:
        return {"authenticated": False}
    user: dict[str, Any] = {"username": name, "groups": []}
    if kind == "danmd":
        extra = {"authentication.kubernetes.io/node-name": [name]} if name else {}
        user = {"username": DANMD, "extra": extra}
    return {"authenticated": True, "audiences": [AUDIENCE], "user": user}


class Service:
    """Replicas of the service in this process.

    Attributes:
        endpoints: Where each of them listens, or did before it was stopped.
        synced: How many have read the record.
    """

    def __init__(
        self,
        kube: FakeKube,
        *,
        api: KubeApi | None = None,
        linger_s: float = 0.0,
        health_port: int = 0,
    ) -> None:
        """Have no replica yet; 0 stands for any port.

        ``api`` is how replicas reach ``kube``, if not directly.
        """
        self.kube = kube
        self._api = api or kube
        self.kube.review_token = _review
        self.endpoints: list[str] = []
        self.synced = 0
        self._linger_s = linger_s
        self._health_port = health_port
        self._stops: list[asyncio.Event] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start one more replica and wait until it listens."""
        stop = asyncio.Event()
        listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        config = Config(
            kubeconfig=None,
            namespace=SYSTEM_NAMESPACE,
            pod_name=f"ipam-{len(self._tasks)}",
            addresses=(ip_address("127.0.0.1"),),
            host="127.0.0.1",
            port=0,
            health_host="127.0.0.1",
            health_port=self._health_port,
            danmd_user=DANMD,
            linger_s=self._linger_s,
        )
        task = asyncio.create_task(
            serve(self._api, config, stop, on_listening=listening, on_synced=self._note_synced)
        )
        self._stops.append(stop)
        self._tasks.append(task)
        await asyncio.wait((task, listening), return_when=asyncio.FIRST_COMPLETED, timeout=20)
        self.endpoints.append(f"127.0.0.1:{listening.result()}")

    def _note_synced(self) -> None:
        self.synced += 1

    def begin_stop(self, index: int) -> "asyncio.Task[None]":
        """Tell a replica to stop, as SIGTERM does; return what ends when it has."""
        self._stops[index].set()
        return self._tasks[index]

    async def stop(self, index: int) -> None:
        """Stop a replica in order; clients still try its endpoint."""
        await self.begin_stop(index)

    async def close(self) -> None:
        """Stop all replicas."""
        for stop in self._stops:
            stop.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def trust(self) -> str:
        """Return what the ConfigMap says."""
        raw = self.kube.stored(CONFIG_MAPS, TRUST_CONFIG_MAP, namespace=SYSTEM_NAMESPACE)
        return "" if raw is None else decode_trust(raw)

    def client(self, token: str) -> IpamClient:
        """Return a client of all replicas."""
        return IpamClient(lambda: self.endpoints, self.trust, lambda: token)


@asynccontextmanager
async def running(
    kube: FakeKube, replicas: int = 1, *, linger_s: float = 0.0, health_port: int = 0
) -> AsyncIterator[Service]:
    """Have the service running."""
    service = Service(kube, linger_s=linger_s, health_port=health_port)
    try:
        for _ in range(replicas):
            await service.start()
        yield service
    finally:
        await service.close()
