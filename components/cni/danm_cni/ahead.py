"""What danmd reads while another one of its node still serves, so that its own turn begins at once.

Only what does not depend on which of them serves. Pods and DanmEps do: what is seen of them before
the other's end may be outdated by what that one has done last.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from danm_api.ipam_discovery import IpamDiscovery
from danm_cni.networks import Networks


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """The DanmNets, and where ipam-svc is."""

    networks: Networks
    discovery: IpamDiscovery

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """Follow both while the block runs."""
        async with asyncio.TaskGroup() as tasks:
            following = [
                tasks.create_task(self.networks.informer.run()),
                tasks.create_task(self.discovery.run()),
            ]
            yield
            for task in following:
                task.cancel()

    async def read(self) -> None:
        """Wait until both have been read."""
        await self.networks.informer.wait_synced(None)
        await self.discovery.wait_synced(None)
