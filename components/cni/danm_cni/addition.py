"""Making one sandbox's interfaces: plan, journal, addresses, DanmEps, interfaces (SPEC C3)."""

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface
from typing import Final

import msgspec

from danm_api.codec.attachment import encode_ip_request
from danm_api.codec.cni import encode_result
from danm_api.codec.danmep import endpoint_object_name
from danm_api.errors import AddressTakenError
from danm_api.ipam_api import AttachmentAnswer, AttachmentRequest, ReserveAnswer
from danm_api.model.cni import CniResult, CniVersion
from danm_api.model.danmep import DanmEp
from danm_api.model.danmnet import BuiltInType
from danm_api.model.pod import Pod
from danm_api.names import INTERFACES_ANNOTATION, ContainerId, InterfaceName, NodeName
from danm_api.telemetry import span
from danm_cni.child_link import OWN_TYPES
from danm_cni.concurrency import all_of
from danm_cni.delegate import plugin_environment
from danm_cni.delegate_config import DynamicAddresses
from danm_cni.devices import assign_devices, wants_devices
from danm_cni.edges import (
    AddressService,
    DeviceSource,
    EndpointStore,
    InterfaceMaker,
    NetworkSource,
    PodSource,
)
from danm_cni.endpoints import planned_endpoint
from danm_cni.failpoints import Effect, effect
from danm_cni.fallback import Fallback
from danm_cni.interface_records import interface_record
from danm_cni.interface_setup import LinkFacts
from danm_cni.interfaces import (
    ReadyAttachment,
    SandboxContext,
    SandboxInterfaces,
)
from danm_cni.journal import (
    InterfaceKind,
    InterfaceRecord,
    Journal,
    SandboxRecord,
    SandboxState,
)
from danm_cni.plan import (
    PlannedAttachment,
    UseFallback,
    plan_attachments,
    requested_attachments,
    require_parents,
)
from danm_cni.progress import Progress
from danm_cni.removal import owner_of
from danm_cni.request import CniRequest, PodIdentity
from danm_cni.result import (
    InterfaceResult,
    answer_in_version,
    merge,
    previous_result,
    require_primary_address,
    sandbox_interfaces,
)

# How long a static address that somebody holds is waited for: a Pod's end takes its grace period,
# and the runtime tries again anyway.
_TAKEN_PATIENCE_S: Final = 5.0
_TAKEN_POLL_S: Final = 0.25
# So much before the ADD's own deadline ipam-svc is given up: its client tells what it tried.
_TELL_S: Final = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxAddition:
    """Makes sandboxes; the caller holds their locks and undoes what failed."""

    node: NodeName
    journal: Journal
    kernel: InterfaceMaker
    interfaces: SandboxInterfaces
    endpoints: EndpointStore
    addresses: AddressService
    pods: PodSource
    networks: NetworkSource
    devices: DeviceSource
    fallback: Fallback
    allowed_static_types: frozenset[str] | None = None

    async def run(
        self,
        request: CniRequest,
        pod: Pod,
        *,
        held: Sequence[SandboxRecord],
        progress: Progress,
    ) -> bytes:
        """Make everything that a Pod asks for.

        Args:
            request: The runtime's.
            pod: Whose sandbox it is.
            held: Earlier sandboxes of the Pod of which only addresses are left.
            progress: Kept up to date.

        Returns:
            The result in the request's version.

        Raises:
            DanmError: What was made stays, and the journal knows it.
        """
        progress.enter("planning")
        identity = PodIdentity(namespace=pod.namespace, name=pod.name, uid=pod.runtime_uid)
        previous = previous_result(request)
        planned = await self._plan(request, identity, pod, previous)
        if isinstance(planned, UseFallback):
            if previous is not None:
                # The plugins before danm are what the Pod has; that is handed on as it came.
                with effect(Effect.WRITE_INTENT):
                    await self.journal.put(_intent(request, pod, ()))
                await self._finish(request.container_id, request.previous, outputs={})
                return answer_in_version(request.previous, request)
            return await self._by_fallback(request, pod, identity, progress)
        parents = await self.kernel.parents([each.parent for each in planned if each.parent])
        require_parents(identity, planned, {name: facts.mtu for name, facts in parents.items()})
        devices = await self._devices(identity, planned, progress)
        progress.enter("writing the journal")
        await self._write_intent(request, pod, planned, parents, devices, held)
        progress.enter("waiting for addresses from ipam-svc")
        answers = await self._reserve(request.container_id, pod, planned, progress)
        progress.enter("writing DanmEps")
        ready = [
            self._ready(
                request,
                pod,
                each,
                answers.get(each.interface),
                parents.get(each.parent),
                devices.get(each.interface, ""),
            )
            for each in planned
        ]
        context = SandboxContext(
            container_id=request.container_id,
            netns=request.netns or "",
            environment=request.environment,
            runtime_config=request.runtime_config,
            progress=progress,
        )
        made = await all_of(self._make(context, group) for group in _groups(ready) if group)
        parts = _in_order_of(ready, made)
        merged = merge(parts, netns=context.netns, previous=previous)
        require_primary_address(str(identity), merged)
        await self._finish(
            request.container_id,
            encode_result(merged, CniVersion.V1_1_0),
            outputs={each.interface: each.output for each in parts},
        )
        return encode_result(merged, request.version)

    async def _make(
        self, context: SandboxContext, group: Sequence[ReadyAttachment]
    ) -> Sequence[InterfaceResult]:
        """Make interfaces; their DanmEps say what will exist, before it does."""
        with span("create DanmEps"):
            await all_of(self._tell(each.endpoint) for each in group)
        context.progress.enter("making the interfaces")
        with span("make interfaces"):
            return await self.interfaces.make(context, group)

    async def _plan(
        self, request: CniRequest, identity: PodIdentity, pod: Pod, previous: CniResult | None
    ) -> tuple[PlannedAttachment, ...] | UseFallback:
        attachments = requested_attachments(
            identity,
            pod.annotations.get(INTERFACES_ANNOTATION),
            lambda name: self.networks.get(pod.namespace, name),
        )
        if isinstance(attachments, UseFallback):
            return attachments
        await self.networks.refresh(pod.namespace, [each.network for each in attachments])
        return plan_attachments(
            identity,
            attachments,
            lambda name: self.networks.get(pod.namespace, name),
            asked=request.interface,
            present=frozenset() if previous is None else sandbox_interfaces(previous),
            allowed_static_types=self.allowed_static_types,
        )

    async def _devices(
        self, identity: PodIdentity, planned: Sequence[PlannedAttachment], progress: Progress
    ) -> Mapping[InterfaceName, str]:
        if not wants_devices(planned):
            return {}
        progress.enter("asking the kubelet for the Pod's devices")
        given = await self.devices.devices(identity.namespace, identity.name)
        return assign_devices(identity, planned, given)

    async def _by_fallback(
        self, request: CniRequest, pod: Pod, identity: PodIdentity, progress: Progress
    ) -> bytes:
        progress.enter("waiting for the fallback network's plugin")
        chain = self.fallback.chain(identity)
        record = InterfaceRecord(interface=request.interface, kind=InterfaceKind.DELEGATE)
        with effect(Effect.WRITE_INTENT):
            await self.journal.put(_intent(request, pod, (record,)))
        output = await self.fallback.add(request, chain, progress)
        answer = answer_in_version(output, request)
        await self._finish(request.container_id, output, outputs={request.interface: output})
        return answer

    async def _write_intent(
        self,
        request: CniRequest,
        pod: Pod,
        planned: Sequence[PlannedAttachment],
        parents: Mapping[str, LinkFacts],
        devices: Mapping[InterfaceName, str],
        held: Sequence[SandboxRecord],
    ) -> None:
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
        with effect(Effect.WRITE_INTENT):
            await self.journal.put(_intent(request, pod, records))
        # The new record now stands for the addresses of the old ones: while ipam-svc is away, a
        # Pod that is tried again and again has one record and not hundreds.
        for old in held:
            if old.container_id != request.container_id and _covers(records, old):
                with effect(Effect.FORGET_OLDER):
                    await self.journal.forget(ContainerId(old.container_id))

    async def _tell(self, endpoint: DanmEp) -> None:
        with effect(Effect.CREATE_ENDPOINT):
            await self.endpoints.create(endpoint)

    async def _reserve(
        self,
        container_id: ContainerId,
        pod: Pod,
        planned: Sequence[PlannedAttachment],
        progress: Progress,
    ) -> Mapping[InterfaceName, AttachmentAnswer]:
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
            return {}
        with span("reserve"):
            answer = await self._reserve_in_time(container_id, pod, wanted, progress)
        by_interface = {InterfaceName(each.interface): each for each in answer.attachments}
        record = self.journal.existing(container_id)
        interfaces = tuple(
            _with_answer(each, by_interface.get(InterfaceName(each.interface)), answer.attempt)
            for each in record.interfaces
        )
        with effect(Effect.WRITE_ADDRESSES):
            await self.journal.put(msgspec.structs.replace(record, interfaces=interfaces))
        return by_interface

    async def _reserve_in_time(
        self,
        container_id: ContainerId,
        pod: Pod,
        wanted: Sequence[AttachmentRequest],
        progress: Progress,
    ) -> ReserveAnswer:
        """Reserve; a static address whose holder may be about to go is waited for.

        The successor of a terminating Pod starts before its predecessor's DEL (DESIGN, "When an
        address is released").
        """
        ask_until_s = progress.deadline_s - _TELL_S
        # The last time must leave ipam-svc some time, or the error would be that it did not answer.
        give_up_s = min(time.monotonic() + _TAKEN_PATIENCE_S, ask_until_s - 2 * _TAKEN_POLL_S)
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
                        fresh=self.pods.is_first_use(pod),
                    )
            except AddressTakenError:
                if time.monotonic() >= give_up_s:
                    raise
            progress.enter("waiting for the static address to be released by its holder")
            await asyncio.sleep(_TAKEN_POLL_S)

    def _ready(
        self,
        request: CniRequest,
        pod: Pod,
        planned: PlannedAttachment,
        answer: AttachmentAnswer | None,
        parent: LinkFacts | None,
        device: str,
    ) -> ReadyAttachment:
        ip = IPv4Interface(answer.ip) if answer and answer.ip else None
        ip6 = IPv6Interface(answer.ip6) if answer and answer.ip6 else None
        mac = answer.mac if answer else None
        if planned.spec.network_type is BuiltInType.IPVLAN and parent is not None:
            # IPVLAN has no MAC of its own (SPEC G6).
            mac = parent.mac
        return ReadyAttachment(
            planned=planned,
            addresses=DynamicAddresses(ip=ip, ip6=ip6, mac=mac),
            device=device,
            endpoint=planned_endpoint(
                planned,
                pod=pod,
                node=self.node,
                container_id=request.container_id,
                netns=request.netns or "",
                ip=ip,
                ip6=ip6,
                mac=mac,
            ),
        )

    async def _finish(
        self, container_id: ContainerId, result: bytes, *, outputs: Mapping[str, bytes]
    ) -> None:
        record = self.journal.existing(container_id)
        interfaces = tuple(
            msgspec.structs.replace(each, output=outputs[each.interface])
            for each in record.interfaces
        )
        added = msgspec.structs.replace(
            record, state=SandboxState.ADDED, interfaces=interfaces, result=result
        )
        with effect(Effect.WRITE_ADDED):
            await self.journal.put(added)


def _groups(ready: Sequence[ReadyAttachment]) -> Iterator[Sequence[ReadyAttachment]]:
    """Yield what is to be made without waiting for the others' DanmEps.

    A delegate is a process, which uses another processor while danmd writes those of the others.
    """
    yield [each for each in ready if each.planned.spec.network_type in OWN_TYPES]
    for each in ready:
        if each.planned.spec.network_type not in OWN_TYPES:
            yield [each]


def _in_order_of(
    ready: Sequence[ReadyAttachment], made: Iterable[Sequence[InterfaceResult]]
) -> list[InterfaceResult]:
    found = {part.interface: part for group in made for part in group}
    return [found[each.planned.interface] for each in ready]


def _intent(
    request: CniRequest, pod: Pod, interfaces: tuple[InterfaceRecord, ...]
) -> SandboxRecord:
    return SandboxRecord(
        container_id=request.container_id,
        namespace=pod.namespace,
        pod=pod.name,
        pod_uid=pod.runtime_uid,
        netns=request.netns or "",
        state=SandboxState.ADDING,
        interfaces=interfaces,
        environment=plugin_environment(request.environment),
        request_interface=request.interface,
    )


def _covers(records: Sequence[InterfaceRecord], old: SandboxRecord) -> bool:
    """Say whether the new interfaces stand for every address that an old sandbox holds."""
    new = {(each.network, each.interface) for each in records if each.reserved}
    return all((each.network, each.interface) in new for each in old.interfaces if each.reserved)


def _with_answer(
    record: InterfaceRecord, answer: AttachmentAnswer | None, attempt: int
) -> InterfaceRecord:
    if answer is None:
        return record
    return msgspec.structs.replace(
        record, ip=answer.ip, ip6=answer.ip6, mac=record.mac or answer.mac, attempt=attempt
    )
