"""What danmd goes on comparing, so that nothing leaks (DESIGN, step 8; P2).

Journal, tombstones, DanmEps, entries of this node in ipam-svc, network namespaces and Pods: at
start, and every few seconds from then on. What is in progress is left alone.
"""

import asyncio
import time
from collections.abc import Awaitable, Iterable
from typing import Final

from danm_api.errors import DanmError
from danm_api.ipam_api import PodOwnerMessage, ReleaseRequest, Reservation
from danm_api.model.danmep import DanmEp
from danm_api.names import ContainerId, NodeName
from danm_api.telemetry import get_logger
from danm_cni.edges import AddressService, InterfaceMaker
from danm_cni.endpoints import NodeEndpoints
from danm_cni.journal import Journal, SandboxState
from danm_cni.removal import adopted_record, is_owner
from danm_cni.sandbox import Sandboxes
from danm_cni.tombstones import Tombstone, Tombstones

log = get_logger(__name__)

# DESIGN, "Nodes fence".
PERIOD_S: Final = 10.0
_RELEASE_TIMEOUT_S: Final = 5.0
# As many as ipam-svc and the kernel take without making ADDs wait.
_AT_ONCE: Final = 16


class Upkeep:
    """Compares and finishes."""

    def __init__(
        self,
        *,
        node: NodeName,
        journal: Journal,
        tombstones: Tombstones,
        endpoints: NodeEndpoints,
        addresses: AddressService,
        kernel: InterfaceMaker,
        sandboxes: Sandboxes,
    ) -> None:
        """Work with these."""
        self._node = node
        self._journal = journal
        self._tombstones = tombstones
        self._endpoints = endpoints
        self._addresses = addresses
        self._kernel = kernel
        self._sandboxes = sandboxes
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Compare now: something has ended that may have held addresses."""
        self._wake.set()

    async def run(self, *, period_s: float = PERIOD_S) -> None:
        """Compare for ever."""
        while True:
            self._wake.clear()
            await self.compare()
            try:
                async with asyncio.timeout(period_s):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def compare(self) -> None:
        """Compare once; whatever fails is told and tried again next time."""
        await self._side_by_side(
            self._finish_tombstone(each) for each in await self._tombstones.waiting()
        )
        await self._attempt("DanmEps", self._adopt())
        await self._side_by_side(
            self._attempt("Sandbox", self._sandboxes.finish(ContainerId(each.container_id)))
            for each in self._journal.records()
        )
        await self._attempt("Reservations", self._compare_reservations())

    async def _side_by_side(self, work: Iterable[Awaitable[object]]) -> None:
        """Do a bounded number of things at once: each may wait for somebody who is away."""
        slots = asyncio.Semaphore(_AT_ONCE)

        async def one(each: Awaitable[object]) -> None:
            async with slots:
                await each

        await asyncio.gather(*(one(each) for each in work))

    async def _finish_tombstone(self, tombstone: Tombstone) -> None:
        if await self._attempt("Tombstone", self._sandboxes.finish_tombstone(tombstone.request)):
            await self._tombstones.remove(tombstone.path)

    async def _attempt(self, what: str, work: Awaitable[None]) -> bool:
        try:
            await work
        except DanmError as error:
            log.warning("Comparison incomplete", what=what, error=error.reason)
            return False
        except Exception as error:
            # One odd sandbox must not stop the others.
            log.exception("Comparison failed", what=what, error=error)
            return False
        return True

    async def _adopt(self) -> None:
        """Take over sandboxes that only their DanmEps tell of: a journal that was lost."""
        by_container: dict[ContainerId, list[DanmEp]] = {}
        for endpoint in self._endpoints.of_node():
            if self._journal.get(endpoint.container_id) is None and not endpoint.deleting:
                by_container.setdefault(endpoint.container_id, []).append(endpoint)
        for endpoints in by_container.values():
            record = adopted_record(endpoints)
            if record is not None:
                await self._sandboxes.adopt(record)

    async def _compare_reservations(self) -> None:
        """Release entries of this node that nobody here knows, and claim those that are missing.

        What an ADD reserves is in the journal before, and what it has finished was reserved before:
        so the finished ones are noted first, then the entries are read, then the journal. What is
        in progress is on neither side.
        """
        finished = [
            record for record in self._journal.records() if record.state is SandboxState.ADDED
        ]
        entries = await self._addresses.node_reservations()
        for entry in entries:
            owner = entry.owner
            if isinstance(owner, PodOwnerMessage) and not self._is_known(owner, entry):
                await self._release(owner, entry)
        for record in finished:
            present = {entry.interface for entry in entries if is_owner(entry, record)}
            missing = [
                each.interface
                for each in record.interfaces
                if each.reserved and each.interface not in present
            ]
            if missing:
                await self._attempt(
                    "Forgotten addresses",
                    self._sandboxes.reassert(ContainerId(record.container_id), missing),
                )

    async def _release(self, owner: PodOwnerMessage, entry: Reservation) -> None:
        await self._addresses.release(
            ReleaseRequest(
                owner=owner,
                attempt=entry.attempt,
                networks=[entry.network],
                interfaces=[entry.interface],
                node=self._node,
                timeout_s=_RELEASE_TIMEOUT_S,
            ),
            deadline_s=time.monotonic() + _RELEASE_TIMEOUT_S,
        )
        log.info("Released unknown address", network=entry.network, address=entry.address)

    def _is_known(self, owner: PodOwnerMessage, entry: Reservation) -> bool:
        if self._journal.knows(owner.uid, entry.interface):
            return True
        return any(
            endpoint.pod_uid == owner.uid
            and endpoint.interface.name == entry.interface
            and self._kernel.has_netns(endpoint.netns)
            for endpoint in self._endpoints.of_node()
        )

    def count(self, state: SandboxState) -> int:
        """Return how many sandboxes are in a state, for metrics."""
        return sum(record.state is state for record in self._journal.records())
