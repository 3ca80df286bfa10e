"""What danmd goes on comparing, so that nothing leaks (DESIGN, step 8; P2).

Journal, tombstones, DanmEps, entries of this node in ipam-svc, network namespaces and Pods: at
start, and every few seconds from then on. What is in progress is left alone.
"""

import asyncio
from collections.abc import Collection, Coroutine
from contextlib import suppress
from typing import Any, Final

from danm_api.ipam_api import PodOwnerMessage, Reservation
from danm_api.model.danmep import DanmEp
from danm_api.names import ContainerId, NodeName
from danm_cni.allocation_journal import AllocationKey
from danm_cni.allocation_upkeep import AllocationUpkeep
from danm_cni.background import Background
from danm_cni.delegate_addresses import delegated_keys
from danm_cni.edges import AddressService, InterfaceMaker
from danm_cni.endpoints import NodeEndpoints
from danm_cni.failpoints import Effect, effect
from danm_cni.journal import Journal, SandboxRecord, SandboxState
from danm_cni.metrics import UNFINISHED_REMOVALS
from danm_cni.news import AddressNews
from danm_cni.removal import adopted_record, is_owner
from danm_cni.rounds import attempt, side_by_side
from danm_cni.sandbox import Sandboxes
from danm_cni.strays import Strays
from danm_cni.tombstones import Tombstone, Tombstones

# DESIGN, "Nodes fence".
PERIOD_S: Final = 10.0
# A plugin's DEL may hang for half a minute, and those of a chain one after the other. After this a
# round goes on without them, so that all else is found in time (DESIGN, P2).
_PATIENCE_S: Final = 5.0
# Pods between two sandboxes are few, and are read anew in each round: their watch may have died. A
# node that boots has hundreds for a while, and is not the only one that does; there each gets its
# turn.
_READ_ANEW: Final = 10


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
        allocations: AllocationUpkeep,
        news: AddressNews,
    ) -> None:
        """Work with these."""
        self._journal = journal
        self._tombstones = tombstones
        self._endpoints = endpoints
        self._addresses = addresses
        self._kernel = kernel
        self._sandboxes = sandboxes
        self._allocations = allocations
        self._news = news
        self._strays = Strays(node=node, addresses=addresses, kernel=kernel, news=news)
        # Sandboxes of which only addresses are left, in the order of their turns.
        self._turns: dict[str, None] = {}
        self._wake = asyncio.Event()
        self._stragglers = Background()

    def wake(self) -> None:
        """Compare now: something has ended that may have held addresses."""
        self._wake.set()

    async def run(self, *, period_s: float = PERIOD_S) -> None:
        """Compare for ever."""
        try:
            while True:
                self._wake.clear()
                await self.compare()
                with suppress(TimeoutError):
                    async with asyncio.timeout(period_s):
                        await self._wake.wait()
        finally:
            # The danmd that follows finishes it.
            await self._stragglers.end(within_s=0.0)

    def cancel(self) -> None:
        """Cancel what still waits for plugins, as the end of the process does."""
        self._stragglers.cancel()

    async def compare(self, *, patience_s: float = _PATIENCE_S) -> None:
        """Compare once; whatever fails is told and tried again next time.

        Args:
            patience_s: How long sandboxes are waited for that plugins have to remove.
        """
        tombstones = attempt("Tombstones", self._finish_tombstones())
        await self._wait_for(tombstones, patience_s=patience_s)
        await self._allocations.finish(but=self._of_ending_sandboxes())
        await attempt("DanmEps", self._adopt())
        removing = self._removing()
        anew = self._held_in_turn()
        sandboxes = side_by_side(
            attempt(
                "Sandbox",
                self._sandboxes.ending.finish(
                    ContainerId(each.container_id), anew=each.container_id in anew
                ),
            )
            for each in self._journal.records()
        )
        await self._wait_for(sandboxes, patience_s=patience_s)
        UNFINISHED_REMOVALS.set(len(removing & self._removing()))
        await attempt("Reservations", self._compare_reservations())
        await self._news.tell()

    def _of_ending_sandboxes(self) -> frozenset[AllocationKey]:
        """Return the delegates' addresses that end with their sandboxes, after their DanmEps."""
        records = [each for each in self._journal.records() if self._is_ending(each)]
        return frozenset(key for each in records for key in delegated_keys(each))

    def _is_ending(self, sandbox: SandboxRecord) -> bool:
        """Say whether a sandbox is being removed, or is about to be."""
        if sandbox.state is SandboxState.ADDED:
            identity = sandbox.netns_identity
            return not self._kernel.has_netns(sandbox.netns, identity=identity)
        return sandbox.state in (SandboxState.ADDING, SandboxState.REMOVING)

    async def _wait_for(self, part: Coroutine[Any, Any, object], *, patience_s: float) -> None:
        """Wait for a part of a round, but not for all that hangs in it; ``run`` ends that."""

        async def work() -> None:
            await part

        await asyncio.wait({self._stragglers.spawn(work())}, timeout=patience_s)

    async def _finish_tombstones(self) -> None:
        await side_by_side(
            attempt("Tombstone", self._finish_tombstone(each))
            for each in await self._tombstones.waiting()
        )

    async def _finish_tombstone(self, tombstone: Tombstone) -> None:
        if await self._sandboxes.ending.finish_tombstone(tombstone.request):
            with effect(Effect.FORGET_DEL):
                await self._tombstones.remove(tombstone.path)

    async def _adopt(self) -> None:
        """Take over sandboxes that only their DanmEps tell of: a journal that was lost.

        The API server is asked: of a sandbox that has just been removed the watch may still show
        them, and its addresses would be claimed again.
        """
        by_container: dict[ContainerId, list[DanmEp]] = {}
        for endpoint in self._endpoints.of_node():
            unknown = self._journal.get(endpoint.container_id) is None and not endpoint.deleting
            if unknown and await self._endpoints.exists(endpoint.namespace, endpoint.name):
                by_container.setdefault(endpoint.container_id, []).append(endpoint)
        for endpoints in by_container.values():
            record = adopted_record(endpoints)
            if record is not None:
                await self._sandboxes.adopt(record)

    async def _restore_endpoints(self, container_id: ContainerId) -> None:
        """Create the DanmEps of a sandbox that the API server has forgotten.

        Only after its addresses are known to be its own: Services send to what DanmEps say. The
        watch may only be late: then they are there, and stay as they are.
        """
        record = self._journal.get(container_id)
        if record is None or record.adopted or not self._endpoints.informer.synced:
            return
        shown = {each.name for each in self._endpoints.of_container(container_id)}
        missing = {each.endpoint for each in record.interfaces if each.endpoint} - shown
        if missing:
            await attempt(
                "Forgotten DanmEps", self._sandboxes.reassert(container_id, endpoints=missing)
            )

    async def _compare_reservations(self) -> None:
        """Release entries of this node that nobody here knows, and claim those that are missing.

        Those of fakeipam too. What an ADD reserves is in the journal before, and what it has
        finished was reserved before: so the finished ones are noted first, then the entries are
        read, then the journal. What is in progress is on neither side.
        """
        finished = [
            record for record in self._journal.records() if record.state is SandboxState.ADDED
        ]
        allocated = self._allocations.added()
        entries = await self._addresses.node_reservations()
        complete = await self._strays.release(
            [entry for entry in entries if not self._is_known(entry)],
            sandboxes=self._journal.records(),
            allocations=self._allocations.journal.records(),
        )
        if complete:
            self._allocations.allocations.compared.set()
        await self._allocations.reassert(allocated, entries)
        await side_by_side(self._reassert(each, entries) for each in finished)

    async def _reassert(self, record: SandboxRecord, entries: Collection[Reservation]) -> None:
        """Claim and create again what is forgotten of a sandbox that was finished."""
        missing = _forgotten(record, [each for each in entries if is_owner(each, record)])
        container_id = ContainerId(record.container_id)
        if not missing or await attempt(
            "Forgotten addresses", self._sandboxes.reassert(container_id, addresses=missing)
        ):
            await self._restore_endpoints(container_id)

    def _is_known(self, entry: Reservation) -> bool:
        owner = entry.owner
        if self._allocations.journal.knows(entry) or self._journal.knows_entry(entry):
            return True
        if not isinstance(owner, PodOwnerMessage):
            return False
        return any(
            endpoint.pod_uid == owner.uid
            and endpoint.interface.name == entry.interface
            and self._kernel.has_netns(endpoint.netns)
            for endpoint in self._endpoints.of_node()
        )

    def _held_in_turn(self) -> frozenset[str]:
        """Return some sandboxes of which only addresses are left; each gets its turn.

        Those that come first in the journal may stay as they are for ever, and the others would
        wait for them.
        """
        held = dict.fromkeys(
            each.container_id for each in self._journal.records() if each.state is SandboxState.HELD
        )
        waiting = [each for each in self._turns if each in held]
        waiting += [each for each in held if each not in self._turns]
        now, later = waiting[:_READ_ANEW], waiting[_READ_ANEW:]
        self._turns = dict.fromkeys([*later, *now])
        return frozenset(now)

    def _removing(self) -> frozenset[str]:
        records = self._journal.records()
        return frozenset(
            each.container_id for each in records if each.state is SandboxState.REMOVING
        )

    def count(self, state: SandboxState) -> int:
        """Return how many sandboxes are in a state, for metrics."""
        return sum(record.state is state for record in self._journal.records())


def _forgotten(record: SandboxRecord, entries: Collection[Reservation]) -> frozenset[str]:
    """Return the addresses of a sandbox that are not among its Pod's entries; pure."""
    found: frozenset[str] = frozenset()
    for each in record.interfaces:
        if each.reserved:
            present = {entry.address for entry in entries if entry.interface == each.interface}
            # An interface that has others by now is another sandbox's of the Pod.
            if present < each.addresses:
                found |= each.addresses - present
    return found
