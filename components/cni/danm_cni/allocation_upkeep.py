"""What danmd goes on comparing for fakeipam, so that nothing leaks (DESIGN, step 8; P2).

Journal, tombstones, entries of this node in ipam-svc, and network namespaces.
"""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from danm_api.errors import AddressTakenError, PodNotFoundError
from danm_api.ipam_api import AttachmentRequest, Reservation
from danm_api.telemetry import get_logger
from danm_cni.allocation_journal import (
    AllocationJournal,
    AllocationKey,
    AllocationRecord,
    AllocationState,
)
from danm_cni.allocations import Allocations
from danm_cni.claims import is_final
from danm_cni.edges import AddressService, InterfaceMaker
from danm_cni.netns import NetnsGoneError
from danm_cni.news import CLAIMED, AddressNews, of_allocation
from danm_cni.rounds import attempt, side_by_side

log = get_logger(__name__)

_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationUpkeep:
    """Finishes and compares what fakeipam got."""

    journal: AllocationJournal
    allocations: Allocations
    addresses: AddressService
    kernel: InterfaceMaker
    news: AddressNews

    async def finish(self, *, but: Collection[AllocationKey] = ()) -> None:
        """Do DELs that were left for later, and go on with what is unfinished or has ended.

        Args:
            but: What somebody else will end.
        """
        await attempt("Tombstones", self._finish_tombstones())
        await side_by_side(
            attempt("Address", self.allocations.finish(each.key))
            for each in self.journal.records()
            if each.key not in but
        )

    async def _finish_tombstones(self) -> None:
        await side_by_side(
            attempt("Tombstone", self.allocations.finish_tombstone(each))
            for each in await self.allocations.tombstones.waiting()
        )

    def added(self) -> Sequence[AllocationRecord]:
        """Return the records whose addresses ipam-svc must have by now."""
        return [each for each in self.journal.records() if each.state is AllocationState.ADDED]

    def count(self, state: AllocationState) -> int:
        """Return how many records are in a state, for metrics."""
        return sum(each.state is state for each in self.journal.records())

    async def reassert(
        self, added: Sequence[AllocationRecord], entries: Collection[Reservation]
    ) -> None:
        """Claim again what ipam-svc has forgotten of (DESIGN, "Nodes fence").

        Args:
            added: As noted before the entries were read.
            entries: All of this node.
        """

        async def one(record: AllocationRecord) -> None:
            present = {entry.address for entry in entries if record.is_of(entry)}
            wanted = {str(each) for each in record.addresses}
            # An owner that has others by now is served by another container of the Pod.
            if present < wanted:
                await attempt("Forgotten address", self._claim(record.key, wanted - present))

        await side_by_side(one(each) for each in added)

    async def _claim(self, key: AllocationKey, forgotten: Collection[str]) -> None:
        locks = self.allocations.locks
        if locks.is_held(key):
            return
        async with locks.hold(key):
            record = self.journal.get(key)
            if record is None or record.state is not AllocationState.ADDED:
                return
            wanted = AttachmentRequest(
                network=record.network,
                interface=record.interface,
                ip=record.ip or "none",
                ip6=record.ip6 or "none",
            )
            try:
                answer = await self.addresses.reserve(
                    record.owner,
                    [wanted],
                    deadline_s=time.monotonic() + _TIMEOUT_S,
                    note_attempt=lambda number: self.journal.remember_attempt(key, number),
                    fresh=False,
                    via_fakeipam=True,
                )
            except (AddressTakenError, PodNotFoundError) as error:
                if not is_final(error, record.owner):
                    raise
                await self._give_up(record, error)
                return
            claimed = msgspec.structs.replace(
                record, attempt=answer.attempt, network_uid=answer.attachments[0].network_uid
            )
            await self.journal.put(claimed)
        self.news.note(
            CLAIMED, [each for each in of_allocation(claimed) if each.address in forgotten]
        )

    async def _give_up(
        self, record: AllocationRecord, error: AddressTakenError | PodNotFoundError
    ) -> None:
        """Take an address off its interface that somebody else has or may get (DESIGN, P1)."""
        try:
            await self.kernel.remove_addresses(record.netns, record.addresses)
        except NetnsGoneError:
            log.debug("Namespace is gone", netns=record.netns)
        await self.journal.forget(record.key)
        await self.news.lost(
            of_allocation(record),
            record.owner,
            error,
            message=(
                f"interface {record.interface} lost {record.ip or record.ip6}: ipam-svc has "
                f"forgotten that it had it, and somebody else has it now ({error.reason}); delete "
                "the Pod to get a new one"
            ),
        )
