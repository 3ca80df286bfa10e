"""danmd put together: edges, flow, and what runs beside them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from danm_api.errors import DeadlineExceededError
from danm_api.kube.api import KubeApi
from danm_api.kube.events import EventRecorder
from danm_api.kube.informer import Change, Informer, ObjectKey
from danm_api.kube.workqueue import WorkQueue, run_workers
from danm_api.model.danmep import DanmEp
from danm_api.model.danmnet import DanmNet
from danm_api.model.pod import Pod
from danm_api.telemetry import HealthServer, get_logger
from danm_cni import metrics
from danm_cni.addition import SandboxAddition
from danm_cni.allocation_journal import AllocationState
from danm_cni.allocation_service import allocation_service
from danm_cni.background import Background
from danm_cni.collection import DelegateCollection
from danm_cni.concurrency import Admission, KeyedLocks
from danm_cni.config import Config
from danm_cni.delegate_addresses import DelegateAddresses
from danm_cni.edges import AddressService, DeviceSource, InterfaceMaker, PluginRunner
from danm_cni.endpoints import NodeEndpoints
from danm_cni.fallback import Fallback
from danm_cni.handlers import AllocationRequests, Readiness, SandboxRequests
from danm_cni.host_files import HostFiles
from danm_cni.installation import Installation
from danm_cni.interfaces import BackendSettings, InterfaceBackends
from danm_cni.journal import Journal, SandboxState
from danm_cni.making import InterfaceMaking
from danm_cni.network_status import StatusAnnotations
from danm_cni.networks import Networks
from danm_cni.news import AddressNews
from danm_cni.planning import Planner
from danm_cni.pods import NodePods, PodEvents
from danm_cni.reassertion import Reassertion
from danm_cni.removal import SandboxRemoval
from danm_cni.request import Program
from danm_cni.reservation import SandboxReservation
from danm_cni.sandbox import Sandboxes
from danm_cni.sandbox_ending import SandboxEnding
from danm_cni.server import CniServer
from danm_cni.tombstones import Tombstones
from danm_cni.unmaking import InterfaceUnmaking
from danm_cni.upkeep import Upkeep
from danm_cni.verification import SandboxVerification

log = get_logger(__name__)

# Label changes are rare; one at a time keeps danmd's load on the API server small.
_RELABEL_WORKERS: Final = 1
# After this the wait for the watches is told again.
_SYNC_TIMEOUT_S: Final = 60.0
_METRICS_PERIOD_S: Final = 5.0
# Files that come into the CNI directory are few, and looking whether any has costs 0.1 ms.
_DECLARE_PERIOD_S: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges:
    """The world outside of the API server."""

    kernel: InterfaceMaker
    plugins: PluginRunner
    addresses: AddressService
    devices: DeviceSource


class Daemon:
    """One danmd.

    Attributes:
        readiness: Whether ADDs can be served yet.
    """

    def __init__(self, config: Config, api: KubeApi, edges: Edges, *, networks: Networks) -> None:
        """Put the parts together; another danmd may still serve.

        Args:
            config: The node, and what its administrator chose.
            api: The API server.
            edges: The rest of the world.
            networks: DanmNets, which somebody else follows.
        """
        self._config = config
        self.readiness = Readiness(config.paths.ready_marker)
        self._installation = Installation(
            config.paths,
            fallback=config.fallback,
            cni_version=config.cni_version,
            pod_uid=config.pod_uid,
        )
        self._host_files = HostFiles()
        self.journal = Journal(config.paths.journal)
        tombstones = Tombstones(config.paths.tombstones)
        self._pods = NodePods(api, config.node)
        self._networks = networks
        self._endpoints = NodeEndpoints(api, config.node)
        self._relabel: WorkQueue[ObjectKey] = WorkQueue()
        self._admission = Admission(limit=config.max_sandboxes, queue_limit=config.max_waiting)
        events = PodEvents(EventRecorder(api, component="danmd", instance=config.node))
        news = AddressNews(node=config.node, pods=self._pods, events=events)
        self.allocations = allocation_service(
            config,
            addresses=edges.addresses,
            kernel=edges.kernel,
            networks=self._networks,
            pods=self._pods,
            news=news,
        )
        self.delegate_addresses = DelegateAddresses(
            self.allocations.allocations, sandbox_of=self.journal.get
        )
        backends = InterfaceBackends(
            journal=self.journal,
            kernel=edges.kernel,
            plugins=edges.plugins,
            endpoints=self._endpoints,
            settings=BackendSettings(
                config_directory=self._installation.config_directory,
                host_root=config.paths.root,
                dpdk=config.dpdk,
            ),
        )
        self.statuses = StatusAnnotations(api, self._pods.informer, self.journal)
        fallback = Fallback(
            find=self._installation.fallback.find, runner=edges.plugins, journal=self.journal
        )
        removal = SandboxRemoval(
            node=config.node,
            journal=self.journal,
            unmaking=InterfaceUnmaking(
                kernel=edges.kernel,
                plugins=edges.plugins,
                host_root=config.paths.root,
                flannel_bridge=config.flannel_bridge,
            ),
            endpoints=self._endpoints,
            addresses=edges.addresses,
            delegate_addresses=self.delegate_addresses,
            pods=self._pods,
            news=news,
        )
        locks, background = KeyedLocks(), Background()
        self.sandboxes = Sandboxes(
            journal=self.journal,
            pods=self._pods,
            events=events,
            addition=SandboxAddition(
                node=config.node,
                journal=self.journal,
                planner=Planner(
                    kernel=edges.kernel,
                    networks=self._networks,
                    allowed_static_types=config.allowed_static_types,
                ),
                reservation=SandboxReservation(
                    journal=self.journal,
                    addresses=edges.addresses,
                    pods=self._pods,
                    removal=removal,
                    networks=self._networks,
                    kernel=edges.kernel,
                ),
                devices=edges.devices,
                making=InterfaceMaking(
                    networks=self._networks,
                    backends=backends,
                    endpoints=self._endpoints,
                    delegate_addresses=self.delegate_addresses,
                    plugins=edges.plugins,
                ),
                fallback=fallback,
            ),
            removal=removal,
            ending=SandboxEnding(
                journal=self.journal,
                kernel=edges.kernel,
                endpoints=self._endpoints,
                pods=self._pods,
                fallback=fallback,
                removal=removal,
                tombstones=tombstones,
                locks=locks,
                background=background,
            ),
            reassertion=Reassertion(
                node=config.node,
                journal=self.journal,
                endpoints=self._endpoints,
                addresses=edges.addresses,
                pods=self._pods,
                removal=removal,
                news=news,
            ),
            verification=SandboxVerification(kernel=edges.kernel, plugins=edges.plugins),
            collection=DelegateCollection(
                journal=self.journal,
                endpoints=self._endpoints,
                networks=self._networks,
                plugins=edges.plugins,
                find_fallback=self._installation.fallback.find,
                config_directory=self._installation.config_directory,
                host_root=config.paths.root,
            ),
            tombstones=tombstones,
            admission=self._admission,
            locks=locks,
            background=background,
            statuses=self.statuses,
        )
        self.upkeep = Upkeep(
            node=config.node,
            journal=self.journal,
            tombstones=tombstones,
            endpoints=self._endpoints,
            addresses=edges.addresses,
            kernel=edges.kernel,
            sandboxes=self.sandboxes,
            allocations=self.allocations,
            news=news,
        )
        self._pods.informer.subscribe(self._pod_changed)
        self._endpoints.informer.subscribe(self._endpoint_changed)

    def load(self) -> None:
        """Read the journals, once no other danmd of the node runs.

        Raises:
            OSError: The disk is broken, read-only or full.
        """
        self.journal.load()
        self.allocations.journal.load()

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until ``stop`` is set; the journals have been loaded."""
        paths = self._config.paths
        server = CniServer(
            paths.socket,
            handlers={
                Program.DANM: SandboxRequests(sandboxes=self.sandboxes, readiness=self.readiness),
                Program.FAKEIPAM: AllocationRequests(
                    allocations=self.allocations.allocations,
                    delegates=self.delegate_addresses,
                    readiness=self.readiness,
                ),
            },
        )
        health = HealthServer(
            host=self._config.health_host,
            port=self._config.health_port,
            ready=lambda: self.readiness.reason or self._host_files.missing or True,
        )
        # Asked for at each scrape: a storm of Pods may be over within one period.
        metrics.WAITING.set_function(lambda: self._admission.waiting)
        async with health, asyncio.TaskGroup() as tasks:
            async with server:
                log.info("Listening", socket=str(paths.socket))
                running = [
                    *(tasks.create_task(informer.run()) for informer in self.to_read),
                    tasks.create_task(self._serve()),
                    tasks.create_task(self._count()),
                    tasks.create_task(self._declare()),
                    tasks.create_task(self.follow_labels()),
                    tasks.create_task(self.statuses.follow()),
                ]
                await stop.wait()
                self.readiness.end()
            # The last requests have been answered.
            for task in running:
                task.cancel()
        await self.sandboxes.background.end()
        await self.allocations.allocations.end()

    async def _serve(self) -> None:
        """Become ready once the watches have shown what there is; then install, and compare."""
        await self._wait_synced()
        log.info("Pods and DanmEps of this node are read", node=self._config.node)
        served = self.readiness.was_set
        if served:
            # What the danmd before this one has installed asks this one already.
            self.readiness.set()
        if self._config.install:
            await self._host_files.put(self._installation.install_executables, needed=not served)
        self.readiness.set()
        if self._config.install:
            await self._host_files.put(self._installation.write_configuration, needed=not served)
        log.info("Ready", node=self._config.node)
        await self.upkeep.run()

    @property
    def to_read(self) -> Sequence[Informer[Any]]:
        """Return what is read in its turn, and not before."""
        return (self._pods.informer, self._endpoints.informer)

    @property
    def informers(self) -> tuple[Informer[Pod], Informer[DanmNet], Informer[DanmEp]]:
        """Return the watches that an ADD needs."""
        return (self._pods.informer, self._networks.informer, self._endpoints.informer)

    async def _wait_synced(self) -> None:
        for informer in self.informers:
            while not informer.synced:
                try:
                    await informer.wait_synced(_SYNC_TIMEOUT_S)
                except DeadlineExceededError as error:
                    self.readiness.refuse(error.reason)
                    log.warning("Not ready", error=error.reason)

    async def _count(self) -> None:
        while True:
            for state in SandboxState:
                metrics.SANDBOXES.labels(state).set(self.upkeep.count(state))
            for each in AllocationState:
                metrics.ALLOCATIONS.labels(each).set(self.allocations.count(each))
            await asyncio.sleep(_METRICS_PERIOD_S)

    async def _declare(self) -> None:
        """Keep DANM's own CNI configuration in step with those beside it (SPEC B2, C7)."""
        while True:
            await asyncio.sleep(_DECLARE_PERIOD_S)
            await self._host_files.put_missing()
            try:
                await self._host_files.change(self._installation.refresh_configuration)
            except OSError as error:
                log.warning("CNI configuration will be written later", error=str(error))

    def _pod_changed(self, change: Change[Pod]) -> None:
        old, new = change.old, change.new
        if new is not None and (old is None or old.labels != new.labels):
            self._relabel.add(change.key)
        ending = new is None or new.deleting or new.ended
        pod = old or new
        if ending and pod is not None:
            records = self.journal.of_pod(pod.runtime_uid)
            if any(each.state is SandboxState.HELD for each in records):
                # Addresses that were kept for a next sandbox are free now.
                self.upkeep.wake()

    def _endpoint_changed(self, change: Change[DanmEp]) -> None:
        old, new = change.old, change.new
        # Also one that was written with the labels of a moment ago, whoever did that.
        if new is not None and (old is None or old.pod_labels != new.pod_labels):
            self._relabel.add(ObjectKey(namespace=new.namespace, name=new.pod))

    async def follow_labels(self) -> None:
        """Keep the labels of DanmEps in step with their Pods', for ever (SPEC A2)."""
        await run_workers(
            self._relabel, self._reconcile_labels, concurrency=_RELABEL_WORKERS, name="relabel"
        )

    async def _reconcile_labels(self, key: ObjectKey) -> None:
        pod = self._pods.informer.get(key)
        if pod is not None:
            await self._endpoints.relabel(pod)
