"""What the Lease holder does beside serving: reclaim, life and death of DanmNets, summaries, CA.

Each part runs by itself, so that one that fails does not stop the others.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

from danm_api import labels
from danm_api.codec.node import decode_node
from danm_api.errors import DanmError
from danm_api.kube.api import NODES, KubeApi
from danm_api.kube.informer import Change, Informer
from danm_api.kube.workqueue import LeadersQueue, WorkQueue, run_workers
from danm_api.model.danmnet import DanmNet
from danm_api.model.node import Node
from danm_api.names import Namespace, NetworkName, NodeName
from danm_api.telemetry import get_logger
from ipam_svc.certificates import USUAL, Lifetimes
from ipam_svc.lifecycle import NetworkKeeper
from ipam_svc.network_addresses import NetworkAddresses
from ipam_svc.reclaim import Reclaimer
from ipam_svc.replica import Replica
from ipam_svc.summaries import SummaryWriter
from ipam_svc.tls import AuthorityKeeper

_log = get_logger(__name__)

# DESIGN, P2: dead entries are gone within 30 s; the watch of nodes and these scans are the delay.
_RECLAIM_PERIOD_S: Final = 5.0
# SPEC A4: within 5 s.
_SUMMARY_PERIOD_S: Final = 2.0
_KEEPERS: Final = 4
# After a failure, such as somebody else's write at the same moment.
_RETRY_S: Final = 2.0

_NetworkKey = tuple[Namespace, NetworkName]


class Leader:
    """The work of the Lease holder."""

    def __init__(
        self,
        api: KubeApi,
        *,
        replica: Replica,
        namespace: str,
        now: Callable[[], datetime],
        clock: Callable[[], float],
        lifetimes: Lifetimes = USUAL,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Lead for a replica.

        Args:
            api: The API server.
            replica: What this process knows.
            namespace: Of the Secret and the ConfigMap.
            now: The time.
            clock: Monotonic seconds.
            lifetimes: Of authorities.
            sleep: Waits between rounds.
        """
        self._authority_period_s = lifetimes.look_again.total_seconds()
        self._replica = replica
        self._sleep = sleep
        self._nodes: Informer[Node] = Informer(api, NODES, decode_node, sleep=sleep)
        self._networks: LeadersQueue[_NetworkKey] = LeadersQueue(clock=clock)
        self._authorities = AuthorityKeeper(api, namespace=namespace, now=now, lifetimes=lifetimes)
        self._reclaimer = Reclaimer(
            api,
            store=replica.store,
            ledger=replica.ledger,
            cache=replica.cache,
            taker=replica.taker,
            announcer=replica.announcer,
            known_nodes=self._nodes_in_service,
            now=now,
            clock=clock,
        )
        self._addresses = NetworkAddresses(now=now)
        self._summaries = SummaryWriter(
            api,
            ledger=replica.ledger,
            cache=replica.cache,
            addresses=self._addresses,
            clock=clock,
        )
        self._keeper = NetworkKeeper(
            api,
            store=replica.store,
            ledger=replica.ledger,
            committer=replica.committer,
            now=now,
            clock=clock,
        )
        self._nodes.subscribe(self._on_node)
        replica.on_network_change(self._on_network)

    async def run(self) -> None:
        """Lead until cancelled."""
        with self._networks.opened() as queue, self._addresses.shown():
            await self._lead(queue)

    async def _lead(self, queue: WorkQueue[_NetworkKey]) -> None:
        async with asyncio.TaskGroup() as group:
            self._start(group, self._authority_period_s, "authorities", self._authorities.reconcile)
            group.create_task(self._nodes.run())
            # For as long as it takes: a failure here would end a process that serves well. What
            # needs the nodes waits for them by itself; the informers tell what they cannot read.
            await self._replica.wait_synced(None)
            for net in self._replica.cache.all():
                queue.add((net.namespace, net.name))
            self._reclaimer.begin()
            self._start(group, _RECLAIM_PERIOD_S, "reclaim", self._reclaimer.reconcile)
            self._start(group, _SUMMARY_PERIOD_S, "summaries", self._summaries.reconcile)
            group.create_task(
                run_workers(
                    queue,
                    self._keep,
                    concurrency=_KEEPERS,
                    name="danmnets",
                )
            )

    def _start(
        self,
        group: asyncio.TaskGroup,
        period_s: float,
        name: str,
        work: Callable[[], Awaitable[None]],
    ) -> None:
        group.create_task(self._every(period_s, name, work), name=name)

    async def _keep(self, key: _NetworkKey) -> None:
        pause_s = await self._keeper.reconcile(*key)
        if pause_s is not None:
            self._networks.add_after(key, pause_s)

    async def _every(self, period_s: float, name: str, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            pause_s = period_s
            try:
                await work()
            except DanmError as error:
                pause_s = min(period_s, _RETRY_S)
                _log.warning("Part of the Lease holder's work failed", part=name, error=error)
            except Exception as error:  # noqa: BLE001  (a bug in one part must not stop the others)
                _log.exception("Part of the Lease holder's work failed", part=name, error=error)
            await self._sleep(pause_s)

    def _nodes_in_service(self) -> list[NodeName] | None:
        if not self._nodes.synced:
            return None
        return [node.name for node in self._nodes.items() if not node.out_of_service]

    def _on_node(self, change: Change[Node]) -> None:
        node = change.new or change.old
        if node is not None and (change.new is None or change.new.out_of_service):
            self._reclaimer.suspect(node.name)

    def _on_network(self, change: Change[DanmNet]) -> None:
        net = change.new
        if net is None:
            return
        old = change.old
        if old is not None and (old.uid, old.deleting) == (net.uid, True):
            # It waits for its turn: what others, or this one, say in its status is no news.
            return
        if net.deleting or labels.DANMNET_FINALIZER not in net.finalizers:
            self._networks.add((net.namespace, net.name))
