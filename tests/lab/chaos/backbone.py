"""What every run breaks: etcd, an API server, and programs behind proxies to it."""

import asyncio
import os
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Final

from danm_api.kube.client import KubeClient
from tests.lab.apiserver import (
    LOOPBACK,
    ApiServer,
    Place,
    Trust,
    is_ready,
    start_etcd,
    start_server,
)
from tests.lab.binaries import Binaries
from tests.lab.chaos.objects import Objects
from tests.lab.chaos.program import Program, child_of
from tests.lab.chaos.proxy import Proxy
from tests.lab.deployed import account_kubeconfig
from tests.lab.process import Background, wait_until

_READY_S: Final = 90.0
_PROBE_TIMEOUT_S: Final = 2.0
# Any other answer than 200 raises.
_ASK: Final = "import sys, urllib.request as r; r.urlopen(sys.argv[1], timeout=2)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """A program that uses the API server.

    Attributes:
        api: Between it and the API server.
        health_url: Answers with 200 when it is ready.
        netns: Where it runs; empty for this process's own network namespace.
        breaking: Held while its process is killed or frozen: on a slow machine the time of the next
            fault may come before the last one is over.
    """

    program: Program
    api: Proxy
    health_url: str
    netns: str = ""
    breaking: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True, kw_only=True)
class Backbone:
    """etcd and an API server.

    Attributes:
        objects: Through a way of its own to the API server.
    """

    directory: Path
    binaries: Binaries
    place: Place
    trust: Trust
    etcd: Background
    server: Background
    objects: Objects
    # A slow machine may still start one of the two when the other one's turn comes.
    _restarting: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def etcd_url(self) -> str:
        """Return where etcd's HTTP gateway is."""
        return f"http://{LOOPBACK}:{self.place.etcd_port}"

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

    @asynccontextmanager
    async def whole(self) -> AsyncIterator[None]:
        """Restart neither for the time of the block; both are ready."""
        async with self._restarting:
            yield

    async def replica(
        self,
        stack: AsyncExitStack,
        name: str,
        *,
        account: str,
        command: Sequence[str],
        health_port: int,
        netns: str = "",
    ) -> Replica:
        """Prepare a program of this repository; it is killed when the stack ends.

        Args:
            stack: Keeps its proxy.
            name: Of the replica, its kubeconfig and its logs.
            account: Whose rights it has.
            command: The module and its arguments; the kubeconfig and where health is served are
                added.
            health_port: Where it is told to serve health.
            netns: Where it runs; empty for this process's own network namespace.
        """
        api = await stack.enter_async_context(Proxy(target_port=self.place.port, netns=netns))
        kubeconfig = account_kubeconfig(
            self.directory / f"{name}.kubeconfig",
            url=f"https://{LOOPBACK}:{api.port}",
            authority=self.trust.authority,
            account=account,
        )
        program = Program(
            name=name,
            command=[
                *(("ip", "netns", "exec", netns) if netns else ()),
                sys.executable,
                "-m",
                *command,
                f"--kubeconfig={kubeconfig}",
                f"--health-host={LOOPBACK}",
                f"--health-port={health_port}",
            ],
            logs=self.directory / "log",
            env=dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path)),
        )
        stack.callback(program.kill)
        return Replica(
            program=program,
            api=api,
            health_url=f"http://{LOOPBACK}:{health_port}/readyz",
            netns=netns,
        )


@asynccontextmanager
async def running_backbone(directory: Path, *, binaries: Binaries) -> AsyncIterator[Backbone]:
    """Run etcd and an API server, ready, on the loopback interface.

    Raises:
        StartError: Something did not become ready.
    """
    place = Place.here(LOOPBACK)
    trust = Trust.create(directory / "pki", LOOPBACK)
    running = await asyncio.to_thread(
        ApiServer.start_at, place, directory, binaries=binaries, trust=trust
    )
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(await KubeClient.connect(running.kubeconfig))
        backbone = Backbone(
            directory=directory,
            binaries=binaries,
            place=place,
            trust=trust,
            etcd=running.etcd,
            server=running.server,
            objects=Objects(api=api),
        )
        stack.callback(lambda: backbone.etcd.stop())
        stack.callback(lambda: backbone.server.stop())
        yield backbone


async def wait_serving(replica: Replica) -> None:
    """Wait until a program that was started says that it is ready.

    Raises:
        StartError: It does not, or it ended.
    """
    background = replica.program.background
    assert background is not None
    await asyncio.to_thread(
        wait_until,
        lambda: _serves(replica.health_url, replica.netns),
        what=f"{replica.program.name} is ready",
        timeout_s=_READY_S,
        alive=(background,),
    )


def _end(background: Background, *, hard: bool) -> None:
    if hard:
        os.kill(child_of(background), 9)
        background.process.wait()
    background.stop()


def _serves(url: str, netns: str) -> bool:
    if netns:
        # This process's threads stay where they are.
        command = ["ip", "netns", "exec", netns, sys.executable, "-c", _ASK, url]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        with urllib.request.urlopen(url, timeout=_PROBE_TIMEOUT_S) as answer:  # noqa: S310
            return bool(answer.status == HTTPStatus.OK)
    except (OSError, urllib.error.HTTPError):
        return False
