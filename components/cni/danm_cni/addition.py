"""Making one sandbox's interfaces: plan, journal, addresses, DanmEps, interfaces (SPEC C3)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface

import msgspec

from danm_api.codec.cni import encode_result
from danm_api.ipam_api import AttachmentAnswer
from danm_api.model.cni import CniVersion
from danm_api.model.danmnet import BuiltInType, StaticDelegate
from danm_api.model.pod import Pod
from danm_api.names import ContainerId, InterfaceName, NodeName
from danm_cni.capabilities import with_identity
from danm_cni.concurrency import all_of, beside, running
from danm_cni.delegate_config import DynamicAddresses
from danm_cni.devices import assign_devices, wants_devices
from danm_cni.edges import DeviceSource
from danm_cni.endpoints import planned_endpoint
from danm_cni.failpoints import Effect, effect
from danm_cni.fallback import Fallback
from danm_cni.interface_setup import LinkFacts
from danm_cni.interfaces import ReadyAttachment, SandboxContext
from danm_cni.journal import (
    InterfaceKind,
    InterfaceRecord,
    Journal,
    SandboxRecord,
    SandboxState,
)
from danm_cni.making import InterfaceMaking
from danm_cni.plan import PlannedAttachment, UseFallback
from danm_cni.planning import Planner
from danm_cni.progress import Progress
from danm_cni.request import CniRequest, PodIdentity
from danm_cni.reservation import SandboxReservation
from danm_cni.result import (
    InterfaceResult,
    answer_in_version,
    merge,
    previous_result,
    require_primary_address,
)
from danm_cni.steps import Step, step


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxAddition:
    """Makes sandboxes; the caller holds their locks and undoes what failed."""

    node: NodeName
    journal: Journal
    planner: Planner
    reservation: SandboxReservation
    devices: DeviceSource
    making: InterfaceMaking
    fallback: Fallback

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
        identity = PodIdentity(namespace=pod.namespace, name=pod.name, uid=pod.runtime_uid)
        previous = previous_result(request)
        plan = await self.planner.run(request, identity, pod, previous=previous, progress=progress)
        if isinstance(plan, UseFallback):
            if previous is not None:
                # The plugins before danm are what the Pod has; that is handed on as it came.
                await self.reservation.intend(request, pod, ())
                await self._finish(
                    request.container_id, request.previous, outputs={}, progress=progress
                )
                return answer_in_version(request.previous, request)
            return await self._by_fallback(request, pod, identity, progress)
        parents = plan.parents
        planned = with_identity(
            identity,
            plan.attachments,
            request.runtime_config,
            asked=request.interface,
            parents=parents,
        )
        devices = await self._devices(identity, planned, progress)
        with step(Step.JOURNAL, progress):
            await self.reservation.intend_planned(request, pod, planned, parents, devices, held)
        context = SandboxContext(
            container_id=request.container_id,
            netns=request.netns or "",
            environment=request.environment,
            asked=request.interface,
            runtime_config=request.runtime_config,
            progress=progress,
        )

        def ready(each: PlannedAttachment, answer: AttachmentAnswer | None) -> ReadyAttachment:
            parent, device = parents.get(each.parent), devices.get(each.interface, "")
            return self._ready(request, pod, each, answer, parent, device)

        # Their plugins take longest, and wait for no address of danmd's.
        static = [
            self.making.make_static(context, ready(each, None), network_type)
            for each in planned
            if isinstance(network_type := each.spec.network_type, StaticDelegate)
        ]
        async with running(static) as plugins:
            reserving = self.reservation.reserve(
                context.container_id, pod, planned, progress, fresh=not held
            )
            reserved = await beside(reserving, plugins)
            others = self.making.make_others(
                context,
                [
                    ready(each, reserved.answers.get(each.interface))
                    for each in planned
                    if not isinstance(each.spec.network_type, StaticDelegate)
                ],
                record=lambda: self.reservation.record(context.container_id, reserved, progress),
            )
            made = await all_of([others, *plugins])
        parts = _in_order_of(planned, made)
        merged = merge(parts, netns=context.netns, previous=previous)
        require_primary_address(str(identity), merged)
        await self._finish(
            request.container_id,
            encode_result(merged, CniVersion.V1_1_0),
            outputs={each.interface: each.output for each in parts},
            progress=progress,
        )
        return encode_result(merged, request.version)

    async def _devices(
        self, identity: PodIdentity, planned: Sequence[PlannedAttachment], progress: Progress
    ) -> Mapping[InterfaceName, str]:
        if not wants_devices(planned):
            return {}
        with step(Step.DEVICES, progress):
            given = await self.devices.devices(identity.namespace, identity.name)
        return assign_devices(identity, planned, given)

    async def _by_fallback(
        self, request: CniRequest, pod: Pod, identity: PodIdentity, progress: Progress
    ) -> bytes:
        chain = self.fallback.chain(identity)
        record = InterfaceRecord(interface=request.interface, kind=InterfaceKind.DELEGATE)
        with step(Step.JOURNAL, progress):
            await self.reservation.intend(request, pod, (record,))
        async with self.making.plugin_turn(
            chain,
            environment=request.environment,
            runtime_config=request.runtime_config,
            progress=progress,
        ):
            with step(Step.FALLBACK, progress):
                output = await self.fallback.add(request, chain, progress)
        answer = answer_in_version(output, request)
        await self._finish(
            request.container_id,
            output,
            outputs={request.interface: output},
            progress=progress,
        )
        return answer

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
        mac = planned.mac or (answer.mac if answer else None)
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
        self,
        container_id: ContainerId,
        result: bytes,
        *,
        outputs: Mapping[str, bytes],
        progress: Progress,
    ) -> None:
        record = self.journal.existing(container_id)
        interfaces = tuple(
            msgspec.structs.replace(each, output=outputs[each.interface])
            for each in record.interfaces
        )
        added = msgspec.structs.replace(
            record, state=SandboxState.ADDED, interfaces=interfaces, result=result
        )
        with step(Step.JOURNAL, progress), effect(Effect.WRITE_ADDED):
            await self.journal.put(added)


def _in_order_of(
    planned: Sequence[PlannedAttachment], made: Iterable[Sequence[InterfaceResult]]
) -> list[InterfaceResult]:
    found = {part.interface: part for group in made for part in group}
    return [found[each.interface] for each in planned]
