"""Addresses for fakeipam, as its callers ask: in order, in time, undone when it fails (SPEC F2).

Work on one interface of a container is serialised; everything else runs side by side.
"""

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final

import msgspec

from danm_api.codec.cni import decode_result, encode_result
from danm_api.errors import (
    ConflictError,
    DanmError,
    DeadlineExceededError,
    InvalidNetworkError,
    NetworkNotReadyError,
)
from danm_api.ipam_api import OwnerMessage
from danm_api.model.cni import CniVersion
from danm_api.model.danmnet import DanmNet, NetworkSpec
from danm_api.telemetry import get_logger
from danm_cni.allocation_check import check_allocation
from danm_cni.allocation_journal import (
    AllocationJournal,
    AllocationKey,
    AllocationRecord,
    AllocationState,
)
from danm_cni.allocation_release import AddressInUseError, AllocationRelease
from danm_cni.background import Background
from danm_cni.concurrency import Admission, KeyedLocks
from danm_cni.edges import AddressService, InterfaceMaker, NetworkSource, PodSource
from danm_cni.ipam_request import IpamRequest, owner_message, result_of, wanted_addresses
from danm_cni.steps import Step, step
from danm_cni.tombstones import Tombstone, Tombstones

log = get_logger(__name__)

# What a failed ADD may take to give back what it got; the upkeep goes on with it.
_UNDO_TIMEOUT_S: Final = 2.0
# So much before its deadline a DEL is answered, whatever is left to do.
_ANSWER_MARGIN_S: Final = 0.2
# So much before the ADD's own deadline ipam-svc is given up: its client tells what it tried.
_TELL_S: Final = 0.3
# Plugins that give the address back first remove their interface within moments.
_POLL_S: Final = 0.05
_POLL_FOR_S: Final = 5.0
# What a plugin may take from an address to its interface: more than runtimes wait for an ADD.
_MAKING_S: Final = 240.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocations:
    """Answers fakeipam's ADD, DEL, CHECK and GC."""

    journal: AllocationJournal
    addresses: AddressService
    kernel: InterfaceMaker
    release: AllocationRelease
    pods: PodSource
    networks: NetworkSource
    tombstones: Tombstones
    admission: Admission
    locks: KeyedLocks = field(default_factory=KeyedLocks)
    background: Background = field(default_factory=Background)
    # Set once ipam-svc's entries of the node have been compared with the journal.
    compared: asyncio.Event = field(default_factory=asyncio.Event)

    async def add(self, request: IpamRequest, *, deadline_s: float) -> bytes:
        """Reserve an address of each family that the DanmNet has; the same when asked again (G7).

        Returns:
            The result, in the request's version.

        Raises:
            DanmError: What went wrong; nothing is held, or will be given back soon.
        """
        key, remaining_s = key_of(request), deadline_s - time.monotonic()
        try:
            async with AsyncExitStack() as stack:
                async with asyncio.timeout(remaining_s) as limit:
                    with step(Step.TURN):
                        await stack.enter_async_context(self.admission.slot())
                        await stack.enter_async_context(self.locks.hold(key))
                    known = await self._settled(request)
                    if known is not None and known.state is AllocationState.ADDED:
                        return encode_result(decode_result(known.result), request.call.version)
                    net, spec = await self._network(request)
                    owner = await self._owner(request)
                try:
                    async with asyncio.timeout_at(limit.when()):
                        return await self._add(request, owner, net, spec, deadline_s)
                except BaseException:
                    # The time for the ADD does not end the undo.
                    with step(Step.UNDO):
                        await self._undo(key)
                    raise
        except TimeoutError as error:
            raise DeadlineExceededError(
                f"{request.subject}: DanmNet {request.namespace}/{request.network} gave no address "
                "in time; try again"
            ) from error

    async def _settled(self, request: IpamRequest) -> AllocationRecord | None:
        """Return what the journal has for the request, once it fits.

        Raises:
            AddressInUseError: The interface has an address of another network.
        """
        known = self.journal.get(key_of(request))
        left = self.tombstones.path(request.call)
        if await asyncio.to_thread(left.exists):
            # Its DEL came while danmd was away; some callers use their ids again.
            if known is not None:
                known = await self.release.mark(known)
            await self.tombstones.remove(left)
        if known is None:
            return None
        wanted = (request.network, request.namespace)
        if (known.network, known.owner.namespace) != wanted:
            await self.release.run(await self.release.mark(known))
            return None
        if known.state is AllocationState.ADDED and known.netns != request.call.netns:
            # The container has another namespace now; the owner keeps its address.
            return None
        return known

    async def _network(self, request: IpamRequest) -> tuple[DanmNet, NetworkSpec]:
        """Return a network that may hand out addresses; the watch may be behind."""
        net = self.networks.get(request.namespace, request.network)
        if net is not None:
            try:
                spec = net.spec_in_force()
            except (InvalidNetworkError, NetworkNotReadyError):
                log.debug("Reading DanmNet anew", network=request.network)
            else:
                return net, spec
        net = await self.networks.read(request.namespace, request.network)
        return net, net.spec_in_force()

    async def _owner(self, request: IpamRequest) -> OwnerMessage:
        pod = request.call.pod
        if pod is None:
            return owner_message(request, None)
        # Runtimes before containerd 1.6 do not tell the uid.
        uid = pod.uid or (await self.pods.find(pod)).runtime_uid
        return owner_message(request, uid)

    async def _add(
        self,
        request: IpamRequest,
        owner: OwnerMessage,
        net: DanmNet,
        spec: NetworkSpec,
        deadline_s: float,
    ) -> bytes:
        wanted = wanted_addresses(request, net, spec)
        record = AllocationRecord(
            container_id=request.call.container_id,
            interface=request.call.interface,
            config=request.call.config_name,
            owner=owner,
            network=request.network,
            netns=request.call.netns or "",
            state=AllocationState.ADDING,
            since=time.time(),
        )
        fresh = self._is_first_use(record)
        with step(Step.JOURNAL):
            await self.journal.put(record)
            await self._forget_forerunners(record)
        with step(Step.RESERVE):
            answer = await self.addresses.reserve(
                owner,
                [wanted],
                deadline_s=deadline_s - _TELL_S,
                note_attempt=lambda attempt: self.journal.remember_attempt(record.key, attempt),
                fresh=fresh,
                via_fakeipam=True,
            )
        (got,) = answer.attachments
        if got.network_uid != net.uid:
            # The watch has not shown yet that it was made anew; what is read now the next ADD has.
            await self.networks.read(request.namespace, request.network)
            raise ConflictError(
                f"{request.subject}: ipam-svc and this node do not know the same DanmNet "
                f"{request.namespace}/{request.network}: it was made anew just now; the address is "
                "given back; try again"
            )
        result = result_of(got, spec, request.routes)
        added = msgspec.structs.replace(
            record,
            state=AllocationState.ADDED,
            network_uid=got.network_uid,
            attempt=answer.attempt,
            ip=got.ip,
            ip6=got.ip6,
            result=encode_result(result, CniVersion.V1_1_0),
        )
        # Before the answer: whoever was told an address is in the journal with it.
        with step(Step.JOURNAL):
            await self.journal.put(added)
        log.info(
            "Added address",
            container_id=record.container_id,
            interface=record.interface,
            network=record.network,
            ip=got.ip,
            ip6=got.ip6,
        )
        return encode_result(result, request.call.version)

    def _is_first_use(self, record: AllocationRecord) -> bool:
        """Say whether nothing can be held for an owner, so that ipam-svc need not look.

        A record is forgotten only when what it was for is released, and once the node's entries
        have been compared with the journal, it tells of all of them.
        """
        return self.compared.is_set() and not any(
            each.holder == record.holder for each in self.journal.records()
        )

    async def _forget_forerunners(self, record: AllocationRecord) -> None:
        """Forget what the new record stands for: earlier tries for the same owner.

        While ipam-svc is away, a Pod that is tried again and again has one record, not hundreds.
        One whose interface is still there keeps the address from being released (DESIGN, P3).
        """
        for each in self.journal.records():
            if (
                each.key != record.key
                and each.holder == record.holder
                and each.network == record.network
                and each.state is AllocationState.REMOVING
                and not await self.release.is_live(each)
                # Last: meanwhile somebody may have begun to work on it.
                and not self.locks.is_held(each.key)
            ):
                await self.journal.forget(each.key)

    async def _undo(self, key: AllocationKey) -> None:
        """Give back what a failed ADD may have got; what does not work now is done later."""
        record = self.journal.get(key)
        if record is None:
            return
        marked = await self.release.mark(record)
        try:
            async with asyncio.timeout(_UNDO_TIMEOUT_S):
                await self.release.run(marked, timeout_s=_UNDO_TIMEOUT_S)
        except DanmError as error:
            log.warning("Undo will be tried again", container_id=key[0], error=error.reason)
        except TimeoutError:
            log.warning("Undo will be tried again", container_id=key[0], error="out of time")

    async def delete(self, request: IpamRequest, *, deadline_s: float) -> None:
        """Give an address back, now or, when that takes too long, later (SPEC C4, F2).

        Raises:
            OSError: The disk does not even take the intent.
        """
        task = self.background.spawn(self.delete_attachment(key_of(request)))
        remaining_s = deadline_s - _ANSWER_MARGIN_S - time.monotonic()
        await asyncio.wait({task}, timeout=max(remaining_s, 0.0))
        record = self.journal.get(key_of(request))
        if record is not None and record.state is not AllocationState.REMOVING:
            # Whoever holds its lock does not know of the DEL.
            await self.tombstones.put(request.call)

    async def delete_attachment(self, key: AllocationKey) -> None:
        """Release the address of an interface, or see to it that it is released.

        Raises:
            DanmError: It does not work yet; the journal knows.
        """
        async with self.locks.hold(key):
            record = self.journal.get(key)
            if record is None:
                return
            marked = await self.release.mark(record)
            try:
                await self.release.run(marked)
            except AddressInUseError:
                _ = self.background.spawn(self._release_when_unused(key))

    async def mark_attachment(self, key: AllocationKey) -> None:
        """Make durable that the address of an interface is to be released, and leave it at that.

        Raises:
            OSError: The disk does not take it.
        """
        record = self.journal.get(key)
        if record is None or record.state is AllocationState.REMOVING:
            return
        async with self.locks.hold(key):
            record = self.journal.get(key)
            if record is not None:
                await self.release.mark(record)

    async def finish_tombstone(self, tombstone: Tombstone) -> None:
        """Do a DEL that was left for later; from then on the journal tells of it.

        Raises:
            DanmError: It does not work yet; the journal knows.
        """
        key = AllocationKey(tombstone.request.container_id, tombstone.request.interface)
        async with self.locks.hold(key):
            # An ADD that came meanwhile has dealt with it, and the record is the ADD's.
            if not await asyncio.to_thread(tombstone.path.exists):
                return
            record = self.journal.get(key)
            marked = None if record is None else await self.release.mark(record)
            await self.tombstones.remove(tombstone.path)
            if marked is not None:
                await self.release.run(marked)

    async def _release_when_unused(self, key: AllocationKey) -> None:
        """Wait for a plugin that removes its interface after it has given the address back."""
        give_up_s = time.monotonic() + _POLL_FOR_S
        while time.monotonic() < give_up_s:
            await asyncio.sleep(_POLL_S)
            record = self.journal.get(key)
            if record is None or record.state is not AllocationState.REMOVING:
                return
            await self.finish(key)

    async def finish(self, key: AllocationKey) -> None:
        """Go on with what is left to do for a record; whoever holds its lock does it already.

        Raises:
            DanmError: It does not work yet.
        """
        if self.locks.is_held(key):
            return
        async with self.locks.hold(key):
            record = self.journal.get(key)
            if record is None:
                return
            if record.state is AllocationState.ADDED:
                if self.kernel.has_netns(record.netns):
                    return
                record = msgspec.structs.replace(record, unasked=True)
            try:
                await self.release.run(await self.release.mark(record))
            except AddressInUseError as error:
                log.debug("Address is in use", container_id=key.container_id, error=error.reason)

    async def check(self, request: IpamRequest) -> None:
        """Compare an interface's addresses with journal, result and ipam-svc's record (SPEC C6).

        Raises:
            DanmError: They differ, or ipam-svc cannot be asked.
        """
        await check_allocation(self.journal.get(key_of(request)), request, self.addresses)

    async def collect(self, request: IpamRequest) -> None:
        """Release what the runtime does not list any more, of this configuration alone (SPEC C6).

        What an interface still has is released when that is gone. What was given out moments ago
        may be on its way to an interface; the runtime's list may be older than that. Where there
        is no list, nothing is concluded.
        """
        listed = request.call.valid_attachments
        if listed is None:
            return
        for record in self.journal.records():
            if (
                record.config == request.call.config_name
                and record.key not in listed
                and not self.locks.is_held(record.key)
                and not self._is_in_the_making(record)
            ):
                try:
                    await self.delete_attachment(record.key)
                except DanmError as error:
                    log.warning(
                        "Clean-up will be tried again",
                        container_id=record.container_id,
                        error=error.reason,
                    )

    def _is_in_the_making(self, record: AllocationRecord) -> bool:
        young = 0 <= time.time() - record.since < _MAKING_S
        return young and self.kernel.has_netns(record.netns)

    async def abandon(self, request: IpamRequest) -> None:
        """Give back what an ADD got whose answer nobody took."""
        _ = self.background.spawn(self.delete_attachment(key_of(request)))

    async def end(self) -> None:
        """Wait for what runs in the background."""
        await self.background.end()


def key_of(request: IpamRequest) -> AllocationKey:
    """Return what the record of a request is found by."""
    return AllocationKey(request.call.container_id, request.call.interface)
