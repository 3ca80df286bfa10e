"""The running node role: informer, kernel events, reconciler, DanmNode and health, put together."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from danm_api.codec.danmnet import decode_danmnet
from danm_api.errors import DeadlineExceededError
from danm_api.kube.api import DANMNETS, KubeApi
from danm_api.kube.client import KubeClient
from danm_api.kube.informer import Informer
from danm_api.kube.workqueue import WorkQueue, run_workers
from danm_api.model.danmnet import DanmNet
from danm_api.telemetry import HealthServer, Readiness, get_logger
from netwatcher.config import NodeConfig
from netwatcher.kernel import Kernel
from netwatcher.link_states import LinkStates, node_networks
from netwatcher.metrics import LINKS
from netwatcher.netlink import NetlinkKernel
from netwatcher.node_status import NodeStatusWriter
from netwatcher.plan import Delete
from netwatcher.reconciler import (
    BY_LINK,
    BY_PARENT,
    CheckAll,
    LinkReconciler,
    Task,
    link_names,
    parent_names,
)
from netwatcher.users import ClusterLinkUsers

# How often it is logged that the API server is still waited for.
_SYNC_LOG_PERIOD_S: Final = 30.0

# A repair must not wait long, whatever it failed for: nobody is asked but the kernel.
_MAX_RETRY_S: Final = 10.0

_log = get_logger(__name__)


class NodeProcess:
    """The netwatcher of one node.

    Attributes:
        health_port: Where health is served while ``run`` runs.
    """

    def __init__(self, config: NodeConfig, api: KubeApi, kernel: Kernel) -> None:
        """Prepare; nothing happens before ``run``."""
        self.health_port = config.health_port
        self._config = config
        self._kernel = kernel
        self._networks: Informer[DanmNet] = Informer(
            api,
            DANMNETS,
            decode_danmnet,
            indexers={BY_LINK: link_names, BY_PARENT: parent_names},
        )
        self._queue: WorkQueue[Task] = WorkQueue(max_delay_s=_MAX_RETRY_S)
        self._states = LinkStates(on_change=self._on_change)
        self._writer = NodeStatusWriter(
            api=api,
            node=config.node_name,
            networks=lambda: node_networks(self._networks.items(), self._states),
            now=lambda: datetime.now(tz=UTC),
        )
        self._reconciler = LinkReconciler(
            networks=self._networks,
            kernel=kernel,
            users=ClusterLinkUsers(api=api, kernel=kernel, node=config.node_name),
            queue=self._queue,
            states=self._states,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Run until ``stop`` is set; the links stay.

        Raises:
            OSError: The port for health is taken.
        """
        config = self._config
        health = HealthServer(host=config.health_host, port=config.health_port, ready=self._ready)
        async with health:
            self.health_port = health.port
            async with asyncio.TaskGroup() as group:
                serving = group.create_task(self._serve(), name="serving")
                await stop.wait()
                serving.cancel()
        LINKS.clear()

    def _ready(self) -> Readiness:
        if not self._networks.synced:
            return "the DanmNets have not been read yet"
        return self._reconciler.compared or "the links have not been compared yet"

    def _on_change(self) -> None:
        self._writer.changed()

    async def _serve(self) -> None:
        # The kernel first: what happens while the DanmNets are read is in the dump that follows.
        await self._kernel.subscribe(self._reconciler.on_event)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._networks.run(), name="informer")
            await self._wait_synced()
            # Only now: before all DanmNets are known, each link would look as if nobody wanted it.
            self._networks.subscribe(self._reconciler.on_network)
            group.create_task(
                run_workers(self._queue, self._reconciler.reconcile, concurrency=1, name="links"),
                name="links",
            )
            group.create_task(self._tell(), name="danm-node")
            while True:
                self._queue.add(CheckAll())
                await asyncio.sleep(self._config.compare_period_s)

    async def _tell(self) -> None:
        # Before that all links would look as if they were not there.
        await self._reconciler.wait_compared()
        LINKS.labels("up").set_function(self._states.count_up)
        LINKS.labels("down").set_function(
            lambda: len(self._states.names()) - self._states.count_up()
        )
        await self._writer.run()

    async def _wait_synced(self) -> None:
        while not self._networks.synced:
            try:
                await self._networks.wait_synced(_SYNC_LOG_PERIOD_S)
            except DeadlineExceededError as error:
                _log.warning("Waiting for the API server", error=error)


async def remove_all_links(kernel: Kernel) -> list[str]:
    """Remove every link that a netwatcher made on this node, and return their names.

    Raises:
        LinkSetupError: The kernel refused.
    """
    removed = []
    for link in await kernel.links():
        if link.made_as is not None:
            await kernel.execute(Delete(index=link.index))
            removed.append(str(link.name))
    return removed


def open_kernel(group_limit_file: Path) -> NetlinkKernel:
    """Return the node's kernel, to be opened with ``async with``."""
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="netlink")
    return NetlinkKernel(thread, group_limit_file=group_limit_file)


async def run(config: NodeConfig, stop: asyncio.Event) -> None:
    """Serve the node that this process runs on, until ``stop`` is set.

    Raises:
        DanmError: There is no usable configuration of the API server.
        OSError: The port for health is taken, or netlink is not allowed.
    """
    api = await KubeClient.connect(config.kubeconfig, user_agent="netwatcher-node")
    async with api, open_kernel(config.group_limit_file) as kernel:
        await NodeProcess(config, api, kernel).run(stop)
