"""Making one sandbox's interfaces: plan, journal, addresses, DanmEps, interfaces (SPEC C3)."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface

import msgspec

from danm_api.codec.cni import encode_result
from danm_api.errors import DanmError
from danm_api.ipam_api import AttachmentAnswer
from danm_api.model.cni import CniVersion
from danm_api.model.danmep import DanmEp
from danm_api.model.danmnet import BuiltInType, StaticDelegate
from danm_api.model.pod import Pod
from danm_api.names import ContainerId, InterfaceName, NodeName
from danm_cni.as_planned import is_as_planned, not_as_planned
from danm_cni.capabilities import with_identity
from danm_cni.concurrency import all_of, failures_of, raise_together, running
from danm_cni.delegate_addresses import DelegateAddresses
from danm_cni.delegate_config import DynamicAddresses
from danm_cni.devices import assign_devices, wants_devices
from danm_cni.edges import DeviceSource, EndpointStore, PluginRunner
from danm_cni.endpoints import planned_endpoint
from danm_cni.failpoints import Effect, effect
from danm_cni.fallback import Fallback
from danm_cni.interface_setup import LinkFacts
from danm_cni.interfaces import (
    DelegatedType,
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
from danm_cni.plan import PlannedAttachment, UseFallback
from danm_cni.planning import Planner
from danm_cni.progress import Progress
from danm_cni.request import CniRequest, PodIdentity, Verb
from danm_cni.reservation import Reserved, SandboxReservation
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
    interfaces: SandboxInterfaces
    endpoints: EndpointStore
    reservation: SandboxReservation
    devices: DeviceSource
    fallback: Fallback
    delegate_addresses: DelegateAddresses
    plugins: PluginRunner

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
            self._make_delegated(context, ready(each, None), each.spec.network_type)
            for each in planned
            if isinstance(each.spec.network_type, StaticDelegate)
        ]
        async with running(static) as plugins:
            try:
                reserved = await self.reservation.reserve(
                    context.container_id, pod, planned, progress, fresh=not held
                )
            except DanmError as error:
                raise_together([error, *failures_of(plugins)])
                raise
            others = self._make_others(context, planned, reserved, ready)
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

    async def _make_others(
        self,
        context: SandboxContext,
        planned: Sequence[PlannedAttachment],
        reserved: Reserved,
        ready: Callable[[PlannedAttachment, AttachmentAnswer | None], ReadyAttachment],
    ) -> Sequence[InterfaceResult]:
        """Make the interfaces of the built-in types.

        Args:
            context: The sandbox's.
            planned: All of its attachments.
            reserved: Their addresses.
            ready: Puts one and its addresses together.
        """
        own: list[ReadyAttachment] = []
        delegated: list[tuple[ReadyAttachment, DelegatedType]] = []
        for each in planned:
            answer = reserved.answers.get(each.interface)
            match each.spec.network_type:
                case BuiltInType.IPVLAN | BuiltInType.MACVLAN:
                    own.append(ready(each, answer))
                case BuiltInType.SRIOV as device_type:
                    delegated.append((ready(each, answer), device_type))
                case StaticDelegate():
                    pass
        # Beside the DanmEps, which say the same; no interface is made before both are there.
        recording = asyncio.create_task(self._record(context, reserved))
        making = [
            self._make_delegated(context, each, device_type, recording)
            for each, device_type in delegated
        ]
        if own:
            making.append(self._make_own(context, own, recording))
        made = await all_of([recording, *making])
        return [part for parts in made for part in parts]

    async def _record(
        self, context: SandboxContext, reserved: Reserved
    ) -> Sequence[InterfaceResult]:
        """Write the addresses to the journal, and make nothing."""
        await self.reservation.record(context.container_id, reserved)
        return ()

    async def _make_own(
        self,
        context: SandboxContext,
        group: Sequence[ReadyAttachment],
        recording: "_Recording",
    ) -> Sequence[InterfaceResult]:
        """Make links, all at once; their DanmEps say what will exist, before it does.

        Args:
            context: The sandbox's.
            group: What to make.
            recording: Ends when the journal has their addresses; its failure is told by another.
        """
        with step(Step.ENDPOINTS, context.progress):
            await all_of(self._tell(each.endpoint) for each in group)
            if not await _is_recorded(recording):
                return ()
        with step(Step.INTERFACES, context.progress):
            return await self._confirmed(self.interfaces.make_own(context, group), group)

    async def _make_delegated(
        self,
        context: SandboxContext,
        ready: ReadyAttachment,
        network_type: DelegatedType,
        recording: "_Recording | None" = None,
    ) -> Sequence[InterfaceResult]:
        """Have an interface made by its plugins; ``recording`` is None without addresses."""
        with step(Step.PLAN, context.progress):
            chain = self.interfaces.chain(ready, network_type)
        async with AsyncExitStack() as stack:
            interface = ready.planned.interface
            await stack.enter_async_context(
                self.delegate_addresses.ahead(
                    chain,
                    environment=context.environment_of(interface),
                    runtime_config=context.runtime_config_of(interface),
                    deadline_s=context.progress.deadline_s,
                )
            )
            with step(Step.ENDPOINTS, context.progress):
                await self._tell(ready.endpoint)
                if recording is not None and not await _is_recorded(recording):
                    return ()
            with step(Step.PLUGIN_TURN, context.progress):
                await stack.enter_async_context(self.plugins.turn(Verb.ADD))
            with step(Step.DELEGATE, context.progress):
                making = self.interfaces.make_delegated(context, ready, chain)
                return await self._confirmed(making, [ready])

    async def _confirmed(
        self,
        making: Awaitable[Sequence[InterfaceResult]],
        group: Sequence[ReadyAttachment],
    ) -> Sequence[InterfaceResult]:
        """Make interfaces; of those that ipam-svc was not asked for the DanmNet is read meanwhile.

        Nobody else has judged it, and danmd's watch may have died silently.
        """
        work = [making]
        planned = [each.planned for each in group]
        work += [self._confirm(each) for each in planned if not each.asks_for_addresses]
        return [part for made in await all_of(work) for part in made]

    async def _confirm(self, planned: PlannedAttachment) -> Sequence[InterfaceResult]:
        """Make nothing, and see to it that the DanmNet is the one that was planned with.

        Raises:
            ConflictError: It is another one by now, or another wire.
            DanmError: It cannot be used any more, or not be read.
        """
        network = planned.network
        present = await self.planner.networks.read(network.namespace, network.name)
        if not is_as_planned(planned, present):
            raise not_as_planned([network])
        return ()

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
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(
                self.delegate_addresses.ahead(
                    chain,
                    environment=request.environment,
                    runtime_config=request.runtime_config,
                    deadline_s=progress.deadline_s,
                )
            )
            with step(Step.PLUGIN_TURN, progress):
                await stack.enter_async_context(self.plugins.turn(Verb.ADD))
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

    async def _tell(self, endpoint: DanmEp) -> None:
        with effect(Effect.CREATE_ENDPOINT):
            await self.endpoints.create(endpoint)

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


_Recording = asyncio.Task[Sequence[InterfaceResult]]


async def _is_recorded(recording: "_Recording") -> bool:
    await asyncio.wait({recording})
    return not recording.cancelled() and recording.exception() is None


def _in_order_of(
    planned: Sequence[PlannedAttachment], made: Iterable[Sequence[InterfaceResult]]
) -> list[InterfaceResult]:
    found = {part.interface: part for group in made for part in group}
    return [found[each.interface] for each in planned]
