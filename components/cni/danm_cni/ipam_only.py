"""danmd with --ipam-only: a node daemon that serves nothing but fakeipam (SPEC F2).

It installs the executable `fakeipam` and no CNI configuration: other plugins stay what they are,
and name `fakeipam` in their `ipam` section.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from danm_api.errors import DanmError, DeadlineExceededError
from danm_api.kube.api import KubeApi
from danm_api.kube.events import EventRecorder
from danm_api.kube.informer import Informer
from danm_api.telemetry import HealthServer, get_logger
from danm_cni import metrics
from danm_cni.allocation_journal import AllocationState
from danm_cni.allocation_service import allocation_service
from danm_cni.config import Config
from danm_cni.delegate_addresses import DelegateAddresses
from danm_cni.edges import AddressService, InterfaceMaker
from danm_cni.handlers import AllocationRequests, Readiness
from danm_cni.host_files import HostFiles
from danm_cni.installation import FAKEIPAM_ALONE, Installation
from danm_cni.journal import Journal
from danm_cni.networks import Networks
from danm_cni.news import AddressNews
from danm_cni.pods import NodePods, PodEvents
from danm_cni.request import Program
from danm_cni.rounds import attempt
from danm_cni.server import CniServer
from danm_cni.strays import Strays
from danm_cni.upkeep import PERIOD_S

log = get_logger(__name__)

# After this the wait for the watch is told again.
_SYNC_TIMEOUT_S: Final = 60.0


class IpamOnlyDaemon:
    """One danmd that serves fakeipam alone.

    Attributes:
        readiness: Whether ADDs can be served yet.
    """

    def __init__(
        self,
        config: Config,
        api: KubeApi,
        *,
        addresses: AddressService,
        kernel: InterfaceMaker,
        networks: Networks,
    ) -> None:
        """Put the parts together; another danmd may still serve.

        Args:
            config: The node, and what its administrator chose.
            api: The API server.
            addresses: ipam-svc.
            kernel: The node's.
            networks: DanmNets, which somebody else follows.

        Raises:
            DanmError: The node still has all of DANM.
        """
        self._config = config
        self.readiness = Readiness(config.paths.ready_marker)
        self._installation = Installation(
            config.paths,
            fallback=config.fallback,
            cni_version=config.cni_version,
            pod_uid=config.pod_uid,
        )
        self._require_alone()
        self._host_files = HostFiles()
        # What a full danmd of earlier days knew of is not ours to release.
        self._sandboxes = Journal(config.paths.journal)
        self._networks = networks
        # Its watch does not run: a Pod is read only where the runtime does not tell its uid.
        pods = NodePods(api, config.node)
        self._addresses = addresses
        self._news = AddressNews(
            node=config.node,
            pods=pods,
            events=PodEvents(EventRecorder(api, component="danmd", instance=config.node)),
        )
        self.allocations = allocation_service(
            config,
            addresses=addresses,
            kernel=kernel,
            networks=self._networks,
            pods=pods,
            news=self._news,
        )
        self._strays = Strays(node=config.node, addresses=addresses, kernel=kernel, news=self._news)

    def _require_alone(self) -> None:
        if self._installation.has_configuration:
            raise DanmError(
                f"{self._config.node} has the CNI configuration of all of DANM, which --ipam-only "
                "does not serve; run 'danmd uninstall-node' there first, or leave --ipam-only out"
            )

    def load(self) -> None:
        """Read the journals, once no other danmd of the node runs.

        Raises:
            DanmError: That one has installed all of DANM meanwhile.
            OSError: The disk is broken, read-only or full.
        """
        self._require_alone()
        self._sandboxes.load()
        self.allocations.journal.load()

    @property
    def to_read(self) -> Sequence[Informer[Any]]:
        """Return what is read in its turn, and not before: the DanmNets are all that it reads."""
        return ()

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until ``stop`` is set; the journals have been loaded."""
        paths = self._config.paths
        requests = AllocationRequests(
            allocations=self.allocations.allocations,
            delegates=DelegateAddresses(self.allocations.allocations, sandbox_of=lambda _: None),
            readiness=self.readiness,
        )
        health = HealthServer(
            host=self._config.health_host,
            port=self._config.health_port,
            ready=lambda: self.readiness.reason or self._host_files.missing or True,
        )
        server = CniServer(paths.socket, handlers={Program.FAKEIPAM: requests})
        async with health, asyncio.TaskGroup() as tasks:
            async with server:
                serving = tasks.create_task(self._serve())
                await stop.wait()
                self.readiness.end()
            serving.cancel()
        await self.allocations.allocations.end()

    async def _serve(self) -> None:
        """Become ready once the watch has shown the DanmNets; install, and compare for ever."""
        informer = self._networks.informer
        while not informer.synced:
            try:
                await informer.wait_synced(_SYNC_TIMEOUT_S)
            except DeadlineExceededError as error:
                self.readiness.refuse(error.reason)
                log.warning("Not ready", error=error.reason)
        served = self.readiness.was_set
        self.readiness.set()
        if self._config.install:
            install = partial(self._installation.install_executables, FAKEIPAM_ALONE)
            await self._host_files.put(install, needed=not served)
        log.info("Ready", node=self._config.node, ipam_only=True)
        while True:
            await self._host_files.put_missing()
            await self.compare()
            for state in AllocationState:
                metrics.ALLOCATIONS.labels(state).set(self.allocations.count(state))
            await asyncio.sleep(PERIOD_S)

    async def compare(self) -> None:
        """Compare once; whatever fails is told and tried again next time."""
        await self.allocations.finish()
        await attempt("Reservations", self._compare_reservations())
        await self._news.tell()

    async def _compare_reservations(self) -> None:
        """Release entries of this node that nobody here knows, and claim those that are missing."""
        allocated = self.allocations.added()
        entries = await self._addresses.node_reservations()
        unknown = [
            entry
            for entry in entries
            if not self.allocations.journal.knows(entry) and not self._sandboxes.knows_entry(entry)
        ]
        complete = await self._strays.release(
            unknown,
            sandboxes=self._sandboxes.records(),
            allocations=self.allocations.journal.records(),
        )
        if complete:
            self.allocations.allocations.compared.set()
        await self.allocations.reassert(allocated, entries)
