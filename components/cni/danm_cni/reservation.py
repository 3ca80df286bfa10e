"""What comes before a sandbox's interfaces: the intent in the journal, and addresses (SPEC C3)."""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from danm_api.codec.attachment import encode_ip_request
from danm_api.codec.danmep import endpoint_object_name
from danm_api.errors import AddressTakenError, DanmError
from danm_api.ipam_api import AttachmentAnswer, AttachmentRequest, ReserveAnswer
from danm_api.model.pod import Pod
from danm_api.names import ContainerId, InterfaceName
from danm_api.telemetry import get_logger
from danm_cni.as_planned import is_answer_as_planned, not_as_planned
from danm_cni.edges import AddressService, InterfaceMaker, NetworkSource, PodSource
from danm_cni.failpoints import Effect, effect
from danm_cni.interface_records import interface_record
from danm_cni.interface_setup import LinkFacts
from danm_cni.journal import InterfaceRecord, Journal, SandboxRecord, SandboxState
from danm_cni.plan import PlannedAttachment
from danm_cni.progress import Progress
from danm_cni.removal import SandboxRemoval, owner_of
from danm_cni.request import CniRequest
from danm_cni.steps import Step, step

log = get_logger(__name__)

# How long a static address that somebody holds is waited for: a Pod's end takes its grace period,
# and the runtime tries again anyway.
_TAKEN_PATIENCE_S: Final = 5.0
_TAKEN_POLL_S: Final = 0.25
# So much before the ADD's own deadline ipam-svc is given up: its client tells what it tried.
_TELL_S: Final = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserved:
    """What a sandbox's attachments got.

    Attributes:
        answers: By interface; of those alone that asked.
        attempt: Of the request that got it.
    """

    answers: Mapping[InterfaceName, AttachmentAnswer] = field(default_factory=dict)
    attempt: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxReservation:
    """Writes what will be made before it is, and gets its addresses."""

    journal: Journal
    addresses: AddressService
    pods: PodSource
    removal: SandboxRemoval
    networks: NetworkSource
    kernel: InterfaceMaker

    async def intend(
        self, request: CniRequest, pod: Pod, interfaces: tuple[InterfaceRecord, ...]
    ) -> None:
        """Make durable what will be made: from now on it can be undone."""
        intent = SandboxRecord(
            container_id=request.container_id,
            namespace=pod.namespace,
            pod=pod.name,
            pod_uid=pod.runtime_uid,
            netns=request.netns or "",
            netns_identity=self.kernel.identity(request.netns or ""),
            state=SandboxState.ADDING,
            interfaces=interfaces,
            environment=dict(request.environment),
            request_interface=request.interface,
            config_name=request.config_name,
        )
        with effect(Effect.WRITE_INTENT):
            await self.journal.put(intent)

    async def intend_planned(
        self,
        request: CniRequest,
        pod: Pod,
        planned: Sequence[PlannedAttachment],
        parents: Mapping[str, LinkFacts],
        devices: Mapping[InterfaceName, str],
        held: Sequence[SandboxRecord],
    ) -> None:
        """Make durable which interfaces will be made.

        Args:
            request: The runtime's.
            pod: Whose sandbox it is.
            planned: Its attachments.
            parents: By name.
            devices: By interface.
            held: Earlier sandboxes of the Pod; those whose addresses the new one stands for are
                forgotten.
        """
        records = tuple(
            interface_record(
                each,
                endpoint=endpoint_object_name(
                    pod.runtime_uid, request.container_id, each.interface
                ),
                parent=parents.get(each.parent),
                device=devices.get(each.interface, ""),
            )
            for each in planned
        )
        await self.intend(request, pod, records)
        # The new record now stands for the addresses of the old ones: while ipam-svc is away, a
        # Pod that is tried again and again has one record and not hundreds.
        for old in held:
            if old.container_id != request.container_id and _covers(records, old):
                with effect(Effect.FORGET_OLDER):
                    await self.journal.forget(ContainerId(old.container_id))

    async def reserve(
        self,
        container_id: ContainerId,
        pod: Pod,
        planned: Sequence[PlannedAttachment],
        progress: Progress,
        *,
        fresh: bool = True,
    ) -> Reserved:
        """Get the addresses that a sandbox's attachments ask for; ``record`` makes them durable.

        Args:
            container_id: The sandbox's.
            pod: Whose sandbox it is.
            planned: Its attachments.
            progress: Kept up to date.
            fresh: No earlier sandbox of the Pod holds anything.

        Raises:
            ConflictError: They are of another DanmNet than was planned with.
            DanmError: None is got, or ipam-svc does not answer in time.
        """
        wanted = [
            AttachmentRequest(
                network=each.network.name,
                interface=each.interface,
                ip=encode_ip_request(each.attachment.ip),
                ip6=encode_ip_request(each.attachment.ip6),
            )
            for each in planned
            if each.asks_for_addresses
        ]
        if not wanted:
            return Reserved()
        with step(Step.RESERVE, progress), progress.failing():
            answer = await self._reserve_in_time(container_id, pod, wanted, progress, fresh=fresh)
        by_interface = {InterfaceName(each.interface): each for each in answer.attachments}
        await self._require_as_planned(planned, by_interface, progress)
        return Reserved(answers=by_interface, attempt=answer.attempt)

    async def record(
        self, container_id: ContainerId, reserved: Reserved, progress: Progress
    ) -> None:
        """Make durable what was reserved, before any interface has it."""
        if not reserved.answers:
            return
        answers = reserved.answers
        with step(Step.JOURNAL, progress), effect(Effect.WRITE_ADDRESSES):
            await self.journal.change_all(
                container_id,
                lambda each: _with_answer(
                    each, answers.get(InterfaceName(each.interface)), reserved.attempt
                ),
            )

    async def _reserve_in_time(
        self,
        container_id: ContainerId,
        pod: Pod,
        wanted: Sequence[AttachmentRequest],
        progress: Progress,
        *,
        fresh: bool,
    ) -> ReserveAnswer:
        """Reserve; a static address whose holder may be about to go is waited for.

        The successor of a terminating Pod starts before its predecessor's DEL (DESIGN, "When an
        address is released").
        """
        ask_until_s = progress.deadline_s - _TELL_S
        # The last time must leave ipam-svc some time, or the error would be that it did not answer.
        give_up_s = min(time.monotonic() + _TAKEN_PATIENCE_S, ask_until_s - 2 * _TAKEN_POLL_S)
        may_be_own = True
        while True:
            try:
                with effect(Effect.RESERVE):
                    return await self.addresses.reserve(
                        owner_of(self.journal.existing(container_id)),
                        wanted,
                        deadline_s=ask_until_s,
                        note_attempt=lambda attempt: self.journal.remember_attempt(
                            container_id, [each.interface for each in wanted], attempt
                        ),
                        # A static Pod comes again when somebody has deleted its mirror.
                        fresh=self.pods.is_first_use(pod) and fresh,
                    )
            except AddressTakenError:
                if may_be_own:
                    may_be_own = False
                    if await self._let_go(container_id, pod):
                        continue
                if time.monotonic() >= give_up_s:
                    raise
            with progress.waiting("the holder of a static address has to release it"):
                await asyncio.sleep(_TAKEN_POLL_S)

    async def _let_go(self, container_id: ContainerId, pod: Pod) -> bool:
        """Give back what earlier sandboxes of a Pod hold under names that it has no more.

        To ipam-svc an interface that has got another name, or another place, is another owner: it
        would wait for itself for ever.

        Returns:
            Whether there was anything.
        """
        wanted = _reserved(self.journal.existing(container_id).interfaces)
        found = False
        for old in self.journal.of_pod(pod.runtime_uid):
            if old.state is not SandboxState.HELD or _reserved(old.interfaces) <= wanted:
                continue
            try:
                await self.removal.release_beyond(old, wanted)
            except DanmError as error:
                log.warning("Older addresses will be released later", error=error.reason)
            else:
                found = True
        return found

    async def _require_as_planned(
        self,
        planned: Sequence[PlannedAttachment],
        answers: Mapping[InterfaceName, AttachmentAnswer],
        progress: Progress,
    ) -> None:
        """Refuse addresses of a DanmNet that is not the one that was planned with.

        It was edited, or deleted and made anew, and danmd's watch has not shown that, as one that
        has died silently: the interface would be on the wire of before. What is read now is what
        the next ADD plans with.

        Raises:
            ConflictError: One is another one.
        """
        others = {
            each.network.name: each.network
            for each in planned
            if each.interface in answers and not is_answer_as_planned(each, answers[each.interface])
        }
        if not others:
            return
        with step(Step.PLAN, progress):
            for each in others.values():
                await self.networks.read(each.namespace, each.name)
        raise not_as_planned(others.values())


def _reserved(interfaces: Iterable[InterfaceRecord]) -> frozenset[tuple[str, str]]:
    """Return the networks and names of interfaces that have, or get, addresses."""
    return frozenset((each.network, each.interface) for each in interfaces if each.reserved)


def _covers(records: Sequence[InterfaceRecord], old: SandboxRecord) -> bool:
    """Say whether the new interfaces stand for every address that an old sandbox holds."""
    return _reserved(old.interfaces) <= _reserved(records)


def _with_answer(
    record: InterfaceRecord, answer: AttachmentAnswer | None, attempt: int
) -> InterfaceRecord:
    if answer is None:
        return record
    return msgspec.structs.replace(
        record, ip=answer.ip, ip6=answer.ip6, mac=record.mac or answer.mac, attempt=attempt
    )
