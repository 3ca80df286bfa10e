"""What a run of ipam-svc breaks: its replicas, with proxies before and behind each of them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

# Run as `python -m`: the import says that it is needed.
import ipam_svc.__main__ as _program
from danm_api.codec.authority import decode_trust
from danm_api.ipam_api import TRUST_CONFIG_MAP
from danm_api.kube.api import CONFIG_MAPS
from danm_api.names import SYSTEM_NAMESPACE
from tests.lab.apiserver import LOOPBACK, free_ports
from tests.lab.binaries import Binaries
from tests.lab.chaos.backbone import Backbone, Replica, running_backbone, wait_serving
from tests.lab.chaos.objects import Objects
from tests.lab.chaos.proxy import Proxy
from tests.lab.deployed import IPAM_ACCOUNT


@dataclass(frozen=True, slots=True, kw_only=True)
class IpamReplica(Replica):
    """One replica of ipam-svc.

    Attributes:
        callers: Between its callers and it.
    """

    callers: Proxy


@dataclass(slots=True, kw_only=True)
class World:
    """Everything that runs.

    Attributes:
        ca: What ipam-svc's certificates are checked against, as PEM.
    """

    backbone: Backbone
    replicas: list[IpamReplica] = field(default_factory=list)
    ca: str = ""

    @property
    def objects(self) -> Objects:
        """Return the objects, through a way of its own to the API server."""
        return self.backbone.objects

    @property
    def directory(self) -> Path:
        """Return where data, logs and histories are."""
        return self.backbone.directory

    def endpoints(self) -> list[str]:
        """Return where callers reach the replicas."""
        return [f"{LOOPBACK}:{replica.callers.port}" for replica in self.replicas]

    async def wait_replicas(self) -> None:
        """Wait until every replica serves.

        Raises:
            StartError: One does not, or it ended.
        """
        for replica in self.replicas:
            await wait_serving(replica)


@asynccontextmanager
async def running_world(
    directory: Path, *, binaries: Binaries, replicas: int
) -> AsyncIterator[World]:
    """Run everything, ready, on the loopback interface.

    Raises:
        StartError: Something did not become ready.
    """
    async with (
        running_backbone(directory, binaries=binaries) as backbone,
        AsyncExitStack() as stack,
    ):
        world = World(backbone=backbone)
        await backbone.objects.install()
        for number in range(replicas):
            replica = await _replica(backbone, number, stack)
            replica.program.start()
            world.replicas.append(replica)
        await world.wait_replicas()
        trusted = await world.objects.api.get(
            CONFIG_MAPS, TRUST_CONFIG_MAP, namespace=SYSTEM_NAMESPACE
        )
        world.ca = decode_trust(trusted)
        yield world


async def _replica(backbone: Backbone, number: int, stack: AsyncExitStack) -> IpamReplica:
    port, health_port = free_ports(2)
    name = f"ipam-svc-{number}"
    assert _program.__package__ is not None
    replica = await backbone.replica(
        stack,
        name,
        account=IPAM_ACCOUNT,
        command=[
            _program.__package__,
            f"--pod-name={name}",
            f"--pod-ip={LOOPBACK}",
            f"--host={LOOPBACK}",
            f"--port={port}",
        ],
        health_port=health_port,
    )
    return IpamReplica(
        program=replica.program,
        api=replica.api,
        health_url=replica.health_url,
        callers=await stack.enter_async_context(Proxy(target_port=port)),
    )
