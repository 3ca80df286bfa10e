"""Informers and elections live through the death and the return of a real API server."""

import asyncio
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from danm_api.errors import DanmError
from danm_api.kube.api import CONFIG_MAPS, RawObject
from danm_api.kube.client import KubeClient
from danm_api.kube.election import LeaderElection
from danm_api.kube.informer import Change, Informer
from tests.lab.apiserver import LOOPBACK, ApiServer, Place, Trust, free_ports
from tests.lab.binaries import Binaries
from tests.lab.cache import Cache, default_cache_directory
from tests.lab.process import start_leashed
from tests.lab.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Restartable:
    """An API server that comes back under its address, with its data."""

    place: Place
    directory: Path
    binaries: Binaries
    trust: Trust

    @classmethod
    def at(cls, directory: Path) -> "Restartable":
        """Choose its ports and keys."""
        port, etcd_port, etcd_peer_port = free_ports(3)
        return cls(
            place=Place(
                address=LOOPBACK,
                port=port,
                etcd_port=etcd_port,
                etcd_peer_port=etcd_peer_port,
                start=start_leashed,
                connect=lambda host, port: socket.create_connection((host, port), 2),
                for_cluster=False,
            ),
            directory=directory,
            binaries=Binaries(Cache(directory=default_cache_directory()), Progress()),
            trust=Trust.create(directory / "pki", LOOPBACK),
        )

    async def start(self) -> ApiServer:
        """Start it, beside what runs in the event loop."""
        return await asyncio.to_thread(
            ApiServer.start_at,
            self.place,
            self.directory,
            binaries=self.binaries,
            trust=self.trust,
        )


def name_and_value(raw: RawObject) -> str:
    """Return what the informer keeps of a ConfigMap."""
    return f"{raw['metadata']['name']}={raw['data']['value']}"


async def write(client: KubeClient, name: str, value: str) -> None:
    """Create or change a ConfigMap, for as long as it takes."""
    body: RawObject = {"metadata": {"name": name}, "data": {"value": value}}
    async with asyncio.timeout(60):
        while True:
            try:
                with suppress(DanmError):
                    await client.create(CONFIG_MAPS, body, namespace="default")
                await client.patch(CONFIG_MAPS, name, {"data": body["data"]}, namespace="default")
                return
            except DanmError:
                # Polled with a deadline: the server is on its way back.
                await asyncio.sleep(0.1)


@pytest.mark.apiserver()
@pytest.mark.timeout(1500)  # Building Kubernetes, where the cache is empty.
async def test_the_copy_follows_across_a_restart(tmp_path: Path) -> None:
    """What changes before, while and after the server is away is told, within seconds.

    The Lease of a leader that kept its process is kept, or regained, by that leader.
    """
    restartable = Restartable.at(tmp_path)
    server = await restartable.start()
    told: asyncio.Queue[Change[str]] = asyncio.Queue()
    terms: asyncio.Queue[None] = asyncio.Queue()

    async def lead() -> None:
        terms.put_nowait(None)
        await asyncio.Event().wait()

    async def until(expected: str) -> None:
        async with asyncio.timeout(30):
            while (await told.get()).new != expected:
                pass

    try:
        async with await KubeClient.connect(server.kubeconfig) as client:
            informer = Informer(client, CONFIG_MAPS, name_and_value, namespace="default")
            informer.subscribe(told.put_nowait)
            election = LeaderElection(client, namespace="default", name="test", identity="me")
            tasks = [asyncio.create_task(informer.run()), asyncio.create_task(election.run(lead))]
            await write(client, "a", "1")
            await until("a=1")
            await asyncio.wait_for(terms.get(), 30)

            await asyncio.to_thread(server.stop)
            assert "a=1" in informer.items()
            server = await restartable.start()

            await write(client, "a", "2")
            await until("a=2")
            await write(client, "b", "1")
            await until("b=1")
            # In a new term, or in the old one by a renewal that was just in time.
            async with asyncio.timeout(30):
                while not election.is_leader:
                    await asyncio.sleep(0.05)
            assert election.is_leader
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        await asyncio.to_thread(server.stop)
