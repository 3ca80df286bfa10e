"""How sandboxes end: when the runtime asks for it, later, or unasked (SPEC C4; DESIGN, P5).

Who ends one holds the locks of its container and of its Pod, as its ADD does.
"""

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

import msgspec

from danm_api.names import ContainerId, PodUid
from danm_cni.background import Background
from danm_cni.concurrency import KeyedLocks, all_of
from danm_cni.edges import EndpointStore, InterfaceMaker, PodSource
from danm_cni.failpoints import Effect, effect
from danm_cni.fallback import Fallback
from danm_cni.journal import Journal, SandboxRecord, SandboxState
from danm_cni.removal import SandboxRemoval, adopted_record
from danm_cni.request import CniRequest
from danm_cni.steps import Step, step
from danm_cni.tombstones import Tombstones

# So much before its deadline a DEL is answered, whatever is left to do.
_ANSWER_MARGIN_S: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxEnding:
    """Answers DEL, and removes what no runtime knows any more."""

    journal: Journal
    kernel: InterfaceMaker
    endpoints: EndpointStore
    pods: PodSource
    fallback: Fallback
    removal: SandboxRemoval
    tombstones: Tombstones
    locks: KeyedLocks
    background: Background

    async def delete(self, request: CniRequest, *, deadline_s: float, informed: bool) -> None:
        """Remove a sandbox, now or, when that takes too long, later (SPEC C4; DESIGN, P5).

        Args:
            request: The runtime's.
            deadline_s: When the runtime is to have its answer.
            informed: The watches have shown what there is, so an unknown container is unknown.

        Raises:
            DanmError: Of a fallback's plugin, for a container that danmd never added.
            OSError: The disk does not even take the intent.
        """
        container_id = request.container_id
        if not informed and self._is_unknown(container_id):
            await self._leave_for_later(request)
            return
        was_unknown = self._is_unknown(container_id)
        task = self.background.spawn(self._delete(request))
        remaining_s = deadline_s - _ANSWER_MARGIN_S - time.monotonic()
        await asyncio.wait({task}, timeout=max(remaining_s, 0.0))
        if task.done():
            error = task.exception()
            if error is None:
                return
            if self._is_unknown(container_id):
                raise error
        record = self.journal.get(container_id)
        # Forgotten meanwhile: its interfaces, DanmEps and addresses are gone, or marked.
        is_done = record is None and not was_unknown
        if not is_done and (record is None or record.state is not SandboxState.REMOVING):
            await self._leave_for_later(request)

    async def _leave_for_later(self, request: CniRequest) -> None:
        with effect(Effect.LEAVE_DEL):
            await self.tombstones.put(request)

    def _is_unknown(self, container_id: ContainerId) -> bool:
        return self.journal.get(container_id) is None

    async def _delete(self, request: CniRequest) -> None:
        async with AsyncExitStack() as stack:
            with step(Step.TURN):
                await stack.enter_async_context(self.locks.hold(request.container_id))
            known = self.journal.get(request.container_id)
            record = known or adopted_record(self.endpoints.of_container(request.container_id))
            if record is None:
                if not self.journal.saw_add(request.container_id):
                    with step(Step.FALLBACK):
                        await self.fallback.delete_unknown(request)
                return
            if record.state is SandboxState.HELD or record.is_of_other(request.interface):
                return
            with step(Step.POD_TURN):
                pod_lock = self.locks.hold(pod_key(PodUid(record.pod_uid)))
                await stack.enter_async_context(pod_lock)
            if known is not None:
                # The Pod's next ADD may have emptied it meanwhile, and forgotten it.
                record = self.journal.get(request.container_id)
            if record is not None and record.state is not SandboxState.HELD:
                await self.removal.remove(record)

    async def abandon(self, request: CniRequest) -> None:
        """Remove what an ADD made whose answer nobody took."""
        _ = self.background.spawn(self._delete(request))

    async def finish(self, container_id: ContainerId, *, anew: bool = False) -> None:
        """Go on with what is left of a sandbox; whoever holds its locks does it already.

        Args:
            container_id: The sandbox's.
            anew: Ask the API server whether addresses are still held for a Pod that lives.

        Raises:
            DanmError: It does not work yet.
        """
        if self.locks.is_held(container_id):
            return
        # Before the locks: the Pod's next ADD does not wait for it. A Pod that has ended stays so.
        ended = anew and await self._is_held_for_nobody(container_id)
        async with self.locks.hold(container_id):
            known = self.journal.get(container_id)
            if known is None:
                return
            async with self.locks.hold(pod_key(PodUid(known.pod_uid))):
                # The Pod's next ADD may have emptied it meanwhile, and forgotten it.
                record = self.journal.get(container_id)
                if record is None:
                    return
                match record.state:
                    case SandboxState.HELD:
                        if (
                            ended
                            or self._is_followed(record)
                            or not await self.pods.wants_addresses(record)
                        ):
                            await self.removal.release(record)
                    case SandboxState.ADDING | SandboxState.REMOVING:
                        await self.removal.remove(record)
                    case SandboxState.ADDED:
                        identity = record.netns_identity
                        if not self.kernel.has_netns(record.netns, identity=identity):
                            await self.removal.remove(msgspec.structs.replace(record, unasked=True))

    async def _is_held_for_nobody(self, container_id: ContainerId) -> bool:
        record = self.journal.get(container_id)
        return (
            record is not None
            and record.state is SandboxState.HELD
            and not await self.pods.wants_addresses(record, anew=True)
        )

    def _is_followed(self, held: SandboxRecord) -> bool:
        """Say whether the Pod's next sandbox is made: it has taken over what it wants.

        Giving the rest back is the end of that ADD, and may have failed, or died with danmd.
        """
        others = self.journal.of_pod(PodUid(held.pod_uid))
        return any(each.state is SandboxState.ADDED and not each.adopted for each in others)

    async def finish_tombstone(self, request: CniRequest) -> bool:
        """Do a DEL that was left for later, and say whether it is done.

        Not while somebody else works on the container: perhaps an earlier try that still waits for
        a plugin.

        Raises:
            DanmError: It does not work yet.
        """
        if self.locks.is_held(request.container_id):
            return False
        await self._delete(request)
        return True

    async def remove_unlisted(self, request: CniRequest) -> None:
        """Remove the sandboxes of a network configuration that a GC does not list.

        Raises:
            DanmError: What could not be removed yet.
            SeveralErrors: More than one.
        """
        listed = {container_id for container_id, _ in request.valid_attachments or ()}
        await all_of(
            self._remove_added(each)
            for each in self.journal.records()
            if each.container_id not in listed and each.config_name in ("", request.config_name)
        )

    async def _remove_added(self, record: SandboxRecord) -> None:
        async with (
            self.locks.hold(record.container_id),
            self.locks.hold(pod_key(PodUid(record.pod_uid))),
        ):
            present = self.journal.get(ContainerId(record.container_id))
            if present is not None and present.state is SandboxState.ADDED:
                await self.removal.remove(present)


def pod_key(uid: PodUid) -> tuple[str, PodUid]:
    """Container ids are keys as they are; a Pod's is marked as another kind of key."""
    return ("pod", uid)
