"""All sandboxes of the node: what the runtime asks, in order, in time and undone when it fails.

How they end is in ``sandbox_ending``.

Work on one container id is serialised, and so is work on the sandboxes of one Pod; everything else
runs side by side (DESIGN, "An ADD", step 4).
"""

import asyncio
import time
from collections.abc import Collection
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from danm_api.errors import (
    DanmError,
    DeadlineExceededError,
    InvalidNetworkError,
    SeveralErrors,
)
from danm_api.model.pod import Pod
from danm_api.names import ContainerId, PodUid
from danm_api.telemetry import get_logger
from danm_cni.addition import SandboxAddition
from danm_cni.background import Background
from danm_cni.capabilities import unserved, unserved_message
from danm_cni.cni_errors import CniCode, CniRequestError
from danm_cni.collection import DelegateCollection
from danm_cni.concurrency import Admission, KeyedLocks
from danm_cni.edges import EventSink, PodSource
from danm_cni.failpoints import Effect, effect
from danm_cni.interface_records import given_capabilities
from danm_cni.journal import Journal, SandboxRecord, SandboxState
from danm_cni.network_status import StatusAnnotations
from danm_cni.progress import Progress, reason_of
from danm_cni.reassertion import Reassertion
from danm_cni.removal import SandboxRemoval
from danm_cni.request import CniRequest, PodIdentity
from danm_cni.result import answer_in_version, previous_result
from danm_cni.sandbox_ending import SandboxEnding, pod_key
from danm_cni.steps import Step, step
from danm_cni.tombstones import Tombstones
from danm_cni.verification import SandboxVerification

log = get_logger(__name__)

# Beyond this an undo goes on in the background; the executable waits 5 s after the deadline.
_UNDO_TIMEOUT_S: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandboxes:
    """Answers ADD, CHECK and GC, and tells again what was forgotten.

    Attributes:
        ending: Answers DEL.
    """

    journal: Journal
    pods: PodSource
    events: EventSink
    addition: SandboxAddition
    removal: SandboxRemoval
    ending: SandboxEnding
    reassertion: Reassertion
    verification: SandboxVerification
    collection: DelegateCollection
    tombstones: Tombstones
    admission: Admission
    locks: KeyedLocks
    background: Background
    statuses: StatusAnnotations

    async def add(self, request: CniRequest, *, deadline_s: float) -> bytes:
        """Make all interfaces of a Pod, or none (SPEC C3, C5).

        Returns:
            The result, in the request's version.

        Raises:
            DanmError: What went wrong, all of it; nothing is left, or will be left soon.
        """
        identity = _require_pod(request)
        self._refuse_own_call(request)
        self.journal.note_add(request.container_id)
        progress = Progress(Step.TURN.doing, deadline_s=deadline_s)
        task = asyncio.create_task(self._add_in_turn(request, identity, progress))
        self.background.keep(task)
        await asyncio.wait({task}, timeout=deadline_s + _UNDO_TIMEOUT_S - time.monotonic())
        if not task.done():
            # It goes on undoing, and nobody else touches the Pod's sandboxes until it has.
            task.add_done_callback(_take_note)
            raise _too_late(identity, progress)
        return task.result()

    def _refuse_own_call(self, request: CniRequest) -> None:
        """Refuse an ADD that comes out of an ADD of the same container (SPEC E2).

        It would wait for itself. Runtimes ask one thing of a container after the other.

        Raises:
            InvalidNetworkError: The fallback or a static type calls danm.
        """
        record = self.journal.get(request.container_id)
        if record is None or not record.runs_plugins or not self.locks.is_held(record.container_id):
            return
        plugins = dict.fromkeys(call.type for each in record.interfaces for call in each.calls)
        raise InvalidNetworkError(
            f"{record.namespace}/{record.pod}: danm is called while the plugins that it calls for "
            f"this Pod run ({', '.join(plugins)}), as by a meta-plugin whose default network is "
            "danm; name another network to it, or another --fallback-config to danmd"
        )

    async def _add_in_turn(
        self, request: CniRequest, identity: PodIdentity, progress: Progress
    ) -> bytes:
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(progress.deadline_s - time.monotonic()):
                    with step(Step.TURN, progress):
                        await stack.enter_async_context(self.admission.slot())
                        await stack.enter_async_context(self.locks.hold(request.container_id))
                    with step(Step.POD, progress):
                        pod = await self.pods.find(identity)
                    with step(Step.POD_TURN, progress):
                        await stack.enter_async_context(self.locks.hold(pod_key(pod.runtime_uid)))
            except TimeoutError as error:
                raise _too_late(identity, progress) from error
            try:
                return await self._add(request, pod, progress)
            except DanmError as error:
                # The answer does not wait for it: the API server may be what is away.
                _ = self.background.spawn(self.events.attachment_failed(pod, error.reason))
                raise

    async def _add(self, request: CniRequest, pod: Pod, progress: Progress) -> bytes:
        container_id = request.container_id
        if self.tombstones.has(container_id):
            raise CniRequestError(
                f"container {container_id} has been deleted already; the runtime makes a new one",
                code=CniCode.CONTAINER_UNKNOWN,
            )
        known = self.journal.get(container_id)
        if known is not None:
            _refuse_other_interface(known, request)
            if _is_repeated(known, request):
                return answer_in_version(known.result, request)
        held: Collection[SandboxRecord] = ()
        try:
            async with asyncio.timeout(progress.deadline_s - time.monotonic()):
                with step(Step.OLDER_SANDBOX, progress):
                    held = await self._vacate_older(pod)
                result = await self.addition.run(request, pod, held=tuple(held), progress=progress)
        except TimeoutError as error:
            log.warning("Out of time", container_id=container_id, took_ms=progress.took_ms())
            too_late = _too_late(_identity(pod), progress)
            progress.turn_back(f"the time was over while {progress.describe()}")
            await self._undo(container_id, progress, keep_addresses=bool(held))
            raise too_late from error
        except BaseException as error:
            progress.turn_back(reason_of(error))
            await self._undo(container_id, progress, keep_addresses=bool(held))
            raise
        if held:
            _ = self.background.spawn(self._release_held(pod.runtime_uid))
        record = self.journal.existing(container_id)
        self.statuses.changed(record)
        self._tell_unserved(request, pod, record)
        log.info(
            "Added sandbox",
            container_id=container_id,
            namespace=pod.namespace,
            pod=pod.name,
            took_ms=progress.took_ms(),
        )
        return result

    def _tell_unserved(self, request: CniRequest, pod: Pod, record: SandboxRecord) -> None:
        """Tell the Pod's owner what was asked for and no plugin has done (SPEC C7).

        Of the fallback a runtime would not tell it either (SPEC B2).
        """
        asked = [each for each in record.interfaces if each.interface == request.interface]
        missing = unserved(
            request.runtime_config,
            given=given_capabilities(record.interfaces),
            given_asked=given_capabilities(asked),
            is_own=any(each.is_of_own_backend for each in asked),
        )
        if not missing or not record.interfaces or record.is_fallback:
            return
        networks = {each.network for each in record.interfaces}
        message = unserved_message(_identity(pod), missing, networks)
        log.warning("Asked for what no plugin does", pod=pod.name, capabilities=list(missing))
        _ = self.background.spawn(self.events.capability_unserved(pod, message))

    async def _vacate_older(self, pod: Pod) -> Collection[SandboxRecord]:
        """Keep only the addresses of the Pod's older sandboxes.

        An IPVLAN parent refuses an address that another child holds.
        """
        for record in self.journal.of_pod(pod.runtime_uid):
            if record.state is not SandboxState.HELD:
                await self.removal.vacate(record)
        return self.journal.of_pod(pod.runtime_uid)

    async def _undo(
        self, container_id: ContainerId, progress: Progress, *, keep_addresses: bool
    ) -> None:
        """Undo what an ADD did; what does not work now is left to the upkeep."""
        record = self.journal.get(container_id)
        if record is None:
            return
        try:
            with step(Step.UNDO, progress):
                await self.removal.undo(record, keep_addresses=keep_addresses)
        except DanmError as error:
            log.warning("Undo will be tried again", container_id=container_id, error=error.reason)

    async def _release_held(self, uid: PodUid) -> None:
        """Release what an older sandbox held beyond what the new one took over."""
        async with self.locks.hold(pod_key(uid)):
            for record in self.journal.of_pod(uid):
                if record.state is SandboxState.HELD:
                    await self.removal.release(record)

    async def reassert(
        self,
        container_id: ContainerId,
        *,
        addresses: Collection[str] = (),
        endpoints: Collection[str] = (),
    ) -> None:
        """Tell again what was forgotten of a sandbox.

        Args:
            container_id: The sandbox's.
            addresses: Those that ipam-svc does not know of, without prefix lengths.
            endpoints: Names of DanmEps that the watch does not show.

        Raises:
            DanmError: It does not work yet.
        """
        if self.locks.is_held(container_id):
            return
        async with self.locks.hold(container_id):
            known = self.journal.get(container_id)
            if known is None:
                return
            async with self.locks.hold(pod_key(PodUid(known.pod_uid))):
                # The Pod's next ADD may have emptied it meanwhile, and forgotten it.
                record = self.journal.get(container_id)
                if record is None or record.state is not SandboxState.ADDED:
                    return
                if endpoints:
                    await self.reassertion.restore(container_id, endpoints)
                try:
                    await self.reassertion.claim(container_id, addresses)
                finally:
                    left = self.journal.existing(container_id)
                    if len(left.interfaces) < len(record.interfaces):
                        self.statuses.changed(left)

    async def adopt(self, record: SandboxRecord) -> None:
        """Take over what the API server knows of a sandbox and the journal does not."""
        async with self.locks.hold(record.container_id):
            if self.journal.get(ContainerId(record.container_id)) is None:
                with effect(Effect.WRITE_ADOPTED):
                    await self.journal.put(record)
                log.warning("Adopted sandbox", container_id=record.container_id, pod=record.pod)

    async def check(self, request: CniRequest, *, deadline_s: float) -> None:
        """Compare a sandbox with its record (SPEC C6).

        Raises:
            CniRequestError: danmd has no such sandbox, or prevResult is unreadable.
            DanmError: Something is missing, as the node or a delegate says.
        """
        record = self.journal.get(request.container_id)
        if record is None or record.state is not SandboxState.ADDED:
            raise CniRequestError(
                f"danmd has not added container {request.container_id}",
                code=CniCode.CONTAINER_UNKNOWN,
            )
        await self.verification.check(record, deadline_s=deadline_s, final=previous_result(request))

    async def collect(self, request: CniRequest) -> None:
        """Remove the sandboxes that the runtime does not list any more (SPEC C6).

        Then delegates are asked to forget what is gone. Whatever fails, the rest is done. Of a
        runtime that does not say what it has (as cnitool) nothing is concluded.

        Raises:
            DanmError: What could not be removed yet.
        """
        if request.valid_attachments is None:
            return
        errors: list[DanmError] = []
        for part in (self.ending.remove_unlisted, self.collection.collect):
            try:
                await part(request)
            except DanmError as error:
                errors.append(error)
        if errors:
            raise errors[0] if len(errors) == 1 else SeveralErrors(errors)


def _take_note(task: "asyncio.Task[bytes]") -> None:
    """Say how an ADD ended after its answer was due."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("Ended late", error=str(error))


def _require_pod(request: CniRequest) -> PodIdentity:
    if request.pod is None:
        raise CniRequestError(
            "CNI_ARGS names no Pod: danm needs K8S_POD_NAMESPACE and K8S_POD_NAME, which "
            "Kubernetes' runtimes give",
            code=CniCode.INVALID_ENVIRONMENT,
        )
    return request.pod


def _identity(pod: Pod) -> PodIdentity:
    return PodIdentity(namespace=pod.namespace, name=pod.name, uid=pod.runtime_uid)


def _is_repeated(known: SandboxRecord, request: CniRequest) -> bool:
    return (
        known.state is SandboxState.ADDED
        and bool(known.result)
        and known.netns == request.netns
        and known.request_interface == request.interface
    )


def _refuse_other_interface(known: SandboxRecord, request: CniRequest) -> None:
    """Refuse to make again what is there.

    Source: CNI specification 1.1.0, section 2.

    Raises:
        CniRequestError: The container has its interfaces by an ADD of another CNI_IFNAME.
    """
    if known.netns == request.netns and known.is_of_other(request.interface):
        raise CniRequestError(
            f"the variable CNI_IFNAME is {request.interface!r}, and container "
            f"{request.container_id} has all interfaces of its Pod since its ADD of "
            f"{known.request_interface}: one configuration of danm is enough for a container",
            code=CniCode.INVALID_ENVIRONMENT,
        )


def _too_late(identity: PodIdentity, progress: Progress) -> DeadlineExceededError:
    return DeadlineExceededError(
        f"{identity}: the time for the ADD was over while {progress.describe()}; what was done is "
        "undone, and the runtime will try again"
    )
