"""Giving back what fakeipam got (SPEC F2).

The plugin that calls fakeipam makes and removes the interface, and some remove it only after they
have given the address back. So an address is released when the runtime is done with it *and* no
interface of the container has it any more (DESIGN, P3).
"""

import time
from typing import Final

import msgspec

from danm_api.errors import LinkSetupError
from danm_api.ipam_api import ReleaseRequest
from danm_api.names import NodeName
from danm_api.telemetry import get_logger
from danm_cni.allocation_journal import AllocationJournal, AllocationRecord, AllocationState
from danm_cni.edges import AddressService, InterfaceMaker
from danm_cni.netns import NetnsGoneError
from danm_cni.news import NO_DEL, AddressNews, of_entry
from danm_cni.steps import Step, step

log = get_logger(__name__)

_RELEASE_TIMEOUT_S: Final = 5.0


class AddressInUseError(LinkSetupError):
    """An interface still has the address, so it is not released yet."""


class AllocationRelease:
    """Releases addresses; the caller holds the lock of the record's key."""

    def __init__(
        self,
        *,
        node: NodeName,
        journal: AllocationJournal,
        addresses: AddressService,
        kernel: InterfaceMaker,
        news: AddressNews,
    ) -> None:
        """Work with these edges."""
        self._node = node
        self._journal = journal
        self._addresses = addresses
        self._kernel = kernel
        self._news = news

    async def mark(self, record: AllocationRecord) -> AllocationRecord:
        """Make durable that an address is to be released; from then on it will."""
        if record.state is AllocationState.REMOVING:
            return record
        marked = msgspec.structs.replace(record, state=AllocationState.REMOVING, result=b"")
        with step(Step.JOURNAL):
            await self._journal.put(marked)
        return marked

    async def run(self, record: AllocationRecord, *, timeout_s: float = _RELEASE_TIMEOUT_S) -> None:
        """Give the addresses of a record back and forget it; the caller holds its lock.

        Raises:
            AddressInUseError: An interface still has one of them, perhaps of the same Pod's
                container before, whose address it is as well.
            DanmError: ipam-svc did not take it; the record stays.
        """
        await self._require_unused(record)
        if not self._is_inherited(record):
            for other in self._leaving(record):
                await self._require_unused(other)
            for attempt in await self._attempts(record):
                request = ReleaseRequest(
                    owner=record.owner,
                    attempt=attempt,
                    networks=[record.network],
                    interfaces=[record.interface],
                    node=self._node,
                    timeout_s=timeout_s,
                )
                deadline_s = time.monotonic() + timeout_s
                with step(Step.RELEASE):
                    answer = await self._addresses.release(request, deadline_s=deadline_s)
                if record.unasked:
                    self._news.note(NO_DEL, map(of_entry, answer.released))
        with step(Step.JOURNAL):
            await self._journal.forget(record.key)
        log.info(
            "Released address",
            container_id=record.container_id,
            interface=record.interface,
            network=record.network,
            ip=record.ip,
            ip6=record.ip6,
        )

    async def _require_unused(self, record: AllocationRecord) -> None:
        if await self.is_live(record):
            raise AddressInUseError(
                f"container {record.container_id} still has {record.ip or record.ip6} on an "
                "interface; it is released when that is gone"
            )

    def _is_inherited(self, record: AllocationRecord) -> bool:
        """Say whether another container of the same Pod goes on with the owner's address."""
        others = self._others(record)
        return any(each.state is not AllocationState.REMOVING for each in others)

    def _leaving(self, record: AllocationRecord) -> list[AllocationRecord]:
        """Return the other containers of the same Pod that are done with the owner's address."""
        others = self._others(record)
        return [each for each in others if each.state is AllocationState.REMOVING]

    def _others(self, record: AllocationRecord) -> list[AllocationRecord]:
        return [
            each
            for each in self._journal.records()
            if each.key != record.key
            and each.holder == record.holder
            and each.network == record.network
        ]

    async def _attempts(self, record: AllocationRecord) -> list[int]:
        """Return the attempt of a record; ipam-svc says it where danmd died before it knew."""
        if record.attempt:
            return [record.attempt]
        entries = await self._addresses.node_reservations()
        return sorted({entry.attempt for entry in entries if record.is_of(entry)})

    async def is_live(self, record: AllocationRecord) -> bool:
        """Say whether an interface of the container has an address; not to know counts as yes."""
        if not record.addresses:
            return False
        try:
            return bool(record.addresses & await self._kernel.addresses(record.netns))
        except NetnsGoneError:
            return False
        except LinkSetupError as error:
            log.warning("Namespace cannot be read", netns=record.netns, error=error.reason)
            return True
