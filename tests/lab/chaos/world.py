"""What a run breaks: etcd, an API server and replicas of ipam-svc, with proxies between them."""

import asyncio
import os
import socket
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Final

# Run as `python -m`: the import says that it is needed.
import ipam_svc.__main__ as _program
from danm_api.codec.authority import decode_trust
from danm_api.ipam_api import TRUST_CONFIG_MAP
from danm_api.kube.api import CONFIG_MAPS
from danm_api.kube.client import KubeClient
from danm_api.names import SYSTEM_NAMESPACE
from tests.lab.apiserver import (
    LOOPBACK,
    ApiServer,
    Place,
    Trust,
    free_ports,
    is_ready,
    start_etcd,
    start_server,
)
from tests.lab.binaries import Binaries
from tests.lab.chaos.objects import Objects
from tests.lab.chaos.program import Program, child_of
from tests.lab.chaos.proxy import Proxy
from tests.lab.deployed import IPAM_ACCOUNT, account_kubeconfig
from tests.lab.process import Background, start_leashed, wait_until

_READY_S: Final = 90.0
_PROBE_TIMEOUT_S: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """One replica of ipam-svc.

    Attributes:
        api: Between it and the API server.
        callers: Between its callers and it.
    """

    program: Program
    api: Proxy
    callers: Proxy
    health_url: str


@dataclass(slots=True, kw_only=True)
class World:
    """Everything that runs.

    Attributes:
        objects: Through a way of its own to the API server.
        ca: What ipam-svc's certificates are checked against, as PEM.
    """

    directory: Path
    binaries: Binaries
    place: Place
    trust: Trust
    etcd: Background
    server: Background
    replicas: list[Replica]
    objects: Objects
    ca: str = ""
    # A slow machine may still start one of the two when the other one's turn comes.
    _restarting: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def etcd_url(self) -> str:
        """Return where etcd's HTTP gateway is."""
        return f"http://{LOOPBACK}:{self.place.etcd_port}"

    def endpoints(self) -> list[str]:
        """Return where callers reach the replicas."""
        return [f"{LOOPBACK}:{replica.callers.port}" for replica in self.replicas]

    async def restart_server(self, *, hard: bool, down_s: float) -> None:
        """End the API server, or kill it, and start it again after a while; ready afterwards."""
        async with self._restarting:
            await asyncio.to_thread(_end, self.server, hard=hard)
            await asyncio.sleep(down_s)
            self.server = start_server(self.place, self.directory, self.binaries, self.trust)
            await asyncio.to_thread(self.wait_ready)

    async def restart_etcd(self, *, hard: bool, down_s: float) -> None:
        """End etcd, or kill it, and start it again after a while; the API server stays."""
        async with self._restarting:
            await asyncio.to_thread(_end, self.etcd, hard=hard)
            await asyncio.sleep(down_s)
            self.etcd = start_etcd(self.place, self.directory, self.binaries)
            await asyncio.to_thread(self.wait_ready)

    def wait_ready(self) -> None:
        """Wait until the API server says that it is ready.

        Raises:
            StartError: It does not, or it ended.
        """
        context = ssl.create_default_context(cafile=str(self.trust.authority.certificate))
        wait_until(
            lambda: is_ready(self.place.url, self.trust.token, context, self.place.connect),
            what="The API server is ready",
            timeout_s=_READY_S,
            alive=(self.etcd, self.server),
        )

    async def wait_replicas(self) -> None:
        """Wait until every replica serves.

        Raises:
            StartError: One does not, or it ended.
        """
        for replica in self.replicas:
            await asyncio.to_thread(_wait_serving, replica)


@asynccontextmanager
async def running_world(
    directory: Path, *, binaries: Binaries, replicas: int
) -> AsyncIterator[World]:
    """Run everything, ready, on the loopback interface.

    Raises:
        StartError: Something did not become ready.
    """
    port, etcd_port, etcd_peer_port = free_ports(3)
    place = Place(
        address=LOOPBACK,
        port=port,
        etcd_port=etcd_port,
        etcd_peer_port=etcd_peer_port,
        start=start_leashed,
        connect=lambda host, port: socket.create_connection((host, port), _PROBE_TIMEOUT_S),
        for_cluster=False,
    )
    trust = Trust.create(directory / "pki", LOOPBACK)
    running = await asyncio.to_thread(
        ApiServer.start_at, place, directory, binaries=binaries, trust=trust
    )
    async with AsyncExitStack() as stack:
        world = World(
            directory=directory,
            binaries=binaries,
            place=place,
            trust=trust,
            etcd=running.etcd,
            server=running.server,
            replicas=[],
            objects=Objects(
                api=await stack.enter_async_context(await KubeClient.connect(running.kubeconfig))
            ),
        )
        stack.callback(lambda: world.etcd.stop())
        stack.callback(lambda: world.server.stop())
        await world.objects.install()
        for number in range(replicas):
            replica = await _replica(world, number, stack)
            replica.program.start()
            world.replicas.append(replica)
        await world.wait_replicas()
        trusted = await world.objects.api.get(
            CONFIG_MAPS, TRUST_CONFIG_MAP, namespace=SYSTEM_NAMESPACE
        )
        world.ca = decode_trust(trusted)
        yield world


async def _replica(world: World, number: int, stack: AsyncExitStack) -> Replica:
    port, health_port = free_ports(2)
    api = await stack.enter_async_context(Proxy(target_port=world.place.port))
    callers = await stack.enter_async_context(Proxy(target_port=port))
    name = f"ipam-svc-{number}"
    kubeconfig = account_kubeconfig(
        world.directory / f"{name}.kubeconfig",
        url=f"https://{LOOPBACK}:{api.port}",
        authority=world.trust.authority,
        account=IPAM_ACCOUNT,
    )
    program = Program(
        name=name,
        command=[
            sys.executable,
            "-m",
            _program.__package__,
            f"--kubeconfig={kubeconfig}",
            f"--pod-name={name}",
            f"--pod-ip={LOOPBACK}",
            f"--host={LOOPBACK}",
            f"--port={port}",
            f"--health-host={LOOPBACK}",
            f"--health-port={health_port}",
        ],
        logs=world.directory / "log",
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path)),
    )
    stack.callback(program.kill)
    return Replica(
        program=program,
        api=api,
        callers=callers,
        health_url=f"http://{LOOPBACK}:{health_port}/readyz",
    )


def _end(background: Background, *, hard: bool) -> None:
    if hard:
        os.kill(child_of(background), 9)
        background.process.wait()
    background.stop()


def _wait_serving(replica: Replica) -> None:
    background = replica.program.background
    assert background is not None
    wait_until(
        lambda: _serves(replica.health_url),
        what=f"{replica.program.name} is ready",
        timeout_s=_READY_S,
        alive=(background,),
    )


def _serves(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=_PROBE_TIMEOUT_S) as answer:  # noqa: S310
            return bool(answer.status == HTTPStatus.OK)
    except (OSError, urllib.error.HTTPError):
        return False
