"""Writes on how many nodes each network can be used into the DanmNets (SPEC N6).

Every node of the cluster reads what is written into a DanmNet. So a sum is written when it has been
quiet for a moment, and each network's every 30 s on average: a node that goes up and down, or
5,000 of them that start, cost no more than that (DESIGN, P6).
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from danm_api.codec.danm_node import decode_danm_node
from danm_api.codec.danmnet_update import nodes_patch
from danm_api.codec.meta import RawObject
from danm_api.errors import NotFoundError
from danm_api.kube.api import DANMNETS, DANMNODES, KubeApi
from danm_api.kube.informer import Change, Informer, ObjectKey
from danm_api.kube.workqueue import LeadersQueue, run_workers
from danm_api.model.danmnet import DanmNet
from netwatcher.node_sums import NetworkKey, NodeReport, NodeSums, ReportReader

# Nodes follow a new network within a second; then one write tells of all of them.
_SETTLE_S: Final = 2.0
# As often as a network's usage is written: every 30 s in the long run, and thrice at once.
_PERIOD_S: Final = 90.0
_WRITES_PER_PERIOD: Final = 3
# Of all networks together, after each write.
_PAUSE_S: Final = 0.1


class NodeSummary:
    """Keeps ``status.nodes`` of all DanmNets while this replica leads."""

    def __init__(
        self,
        *,
        api: KubeApi,
        networks: Informer[DanmNet],
        settle_s: float = _SETTLE_S,
        period_s: float = _PERIOD_S,
        pause_s: float = _PAUSE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the edges; ``networks`` runs elsewhere."""
        self._api = api
        self._networks = networks
        self._settle_s = settle_s
        self._period_s = period_s
        self._pause_s = pause_s
        self._clock = clock
        self._queue: LeadersQueue[ObjectKey] = LeadersQueue()
        self._sums = NodeSums()
        self._written: dict[ObjectKey, deque[float]] = {}

    async def lead(self) -> None:
        """Follow all DanmNodes and write, until cancelled; nothing of them is kept afterwards."""
        self._sums = NodeSums()
        reader = ReportReader()

        def decode(raw: RawObject) -> NodeReport:
            return reader.read(decode_danm_node(raw))

        nodes = Informer(self._api, DANMNODES, decode)
        nodes.subscribe(self._on_node)
        with self._queue.opened() as queue:
            async with asyncio.TaskGroup() as group:
                group.create_task(nodes.run(), name="danm-nodes")
                # Half of them are no sum.
                await nodes.wait_synced(None)
                await self._networks.wait_synced(None)
                for net in self._networks.items():
                    queue.add(ObjectKey(namespace=net.namespace, name=net.name))
                await run_workers(queue, self.reconcile, concurrency=1, name="node-summary")

    def on_network(self, change: Change[DanmNet]) -> None:
        """Sum up for a network that came or was accepted; forget one that went."""
        if change.new is None:
            self._written.pop(change.key, None)
        elif change.old is None or change.old.status.applied is None:
            self._queue.add_after(change.key, self._settle_s)

    async def reconcile(self, key: ObjectKey) -> None:
        """Write one network's sum, if it is another one and has not been written often just now.

        Raises:
            DanmError: It has to be tried again.
        """
        net = self._networks.get(key)
        # One that was never accepted is ready nowhere, which its conditions explain.
        if net is None or (net.status.applied is None and net.status.nodes is None):
            return
        nodes = self._sums.sum_of((net.namespace, net.name))
        if nodes == net.status.nodes:
            return
        now = self._clock()
        written = self._written.setdefault(key, deque(maxlen=_WRITES_PER_PERIOD))
        if len(written) == _WRITES_PER_PERIOD and now - written[0] < self._period_s:
            self._queue.add_after(key, self._period_s - (now - written[0]))
            return
        written.append(now)
        try:
            await self._api.patch(
                DANMNETS,
                key.name,
                nodes_patch(nodes),
                namespace=key.namespace,
                subresource="status",
            )
        except NotFoundError:
            return
        await asyncio.sleep(self._pause_s)

    def _on_node(self, change: Change[NodeReport]) -> None:
        before = self._sums.nodes
        changed = self._sums.take(change.old, change.new)
        if self._sums.nodes != before:
            # Each network has one node more or less.
            for net in self._networks.items():
                self._look_at((net.namespace, net.name))
        for key in changed:
            self._look_at(key)

    def _look_at(self, key: NetworkKey) -> None:
        namespace, name = key
        self._queue.add_after(ObjectKey(namespace=namespace, name=name), self._settle_s)
