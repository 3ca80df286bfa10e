"""The Pods of this node, from a watch; what it has not shown yet is fetched (DESIGN, step 2)."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from danm_api.codec.event import MAX_NOTE_LENGTH
from danm_api.codec.pod import decode_pod
from danm_api.errors import DanmError, NotFoundError, PodNotFoundError
from danm_api.kube.api import PODS, KubeApi
from danm_api.kube.events import EventRecorder, EventType, ObjectReference
from danm_api.kube.informer import Change, Informer, ObjectKey
from danm_api.model.pod import Pod
from danm_api.names import NodeName, PodUid
from danm_api.telemetry import get_logger
from danm_cni.journal import SandboxRecord
from danm_cni.request import PodIdentity

log = get_logger(__name__)

# More than a node's Pods that come, and go again, while its watch is late.
_MAX_EARLY: Final = 1024

# Between the errors of one ADD, and the clauses of an error.
_PARTS_END: Final = "; "


class FirstUses:
    """Which Pods nothing was reserved for yet: those that came while this danmd watched.

    No other danmd can have reserved for a Pod of this node that this one saw come.
    """

    def __init__(self) -> None:
        """Know of no Pod."""
        self._unused: set[PodUid] = set()
        # Those that were used and that the watch did not show: it may yet, or never again, and of
        # the latter nothing is heard any more. So the oldest go.
        self._early: OrderedDict[PodUid, None] = OrderedDict()

    def __len__(self) -> int:
        """Return how many Pods are known."""
        return len(self._unused) + len(self._early)

    def came(self, uid: PodUid) -> None:
        """Note that the watch shows a Pod that it did not show before."""
        if uid in self._early:
            del self._early[uid]
        else:
            self._unused.add(uid)

    def went(self, uid: PodUid) -> None:
        """Note that the watch does not show a Pod any more."""
        self._unused.discard(uid)

    def take(self, uid: PodUid, *, is_shown: bool) -> bool:
        """Say whether nothing was reserved for a Pod before; true at most once for each Pod."""
        is_first = uid in self._unused
        self._unused.discard(uid)
        if not is_shown:
            self._early[uid] = None
            self._early.move_to_end(uid)
            if len(self._early) > _MAX_EARLY:
                self._early.popitem(last=False)
        return is_first


class NodePods:
    """Reads the Pods of one node."""

    def __init__(self, api: KubeApi, node: NodeName) -> None:
        """Watch by the node's name."""
        self._api = api
        self.informer: Informer[Pod] = Informer(
            api, PODS, decode_pod, field_selector=f"spec.nodeName={node}"
        )
        self._first_uses = FirstUses()
        self.informer.subscribe(self._changed)

    def _changed(self, change: Change[Pod]) -> None:
        old, new = change.old, change.new
        if old is None and new is not None and self.informer.synced:
            self._first_uses.came(new.runtime_uid)
        if old is not None and (new is None or new.runtime_uid != old.runtime_uid):
            self._first_uses.went(old.runtime_uid)

    def is_first_use(self, pod: Pod) -> bool:
        """Say whether nothing was reserved for a Pod before; true at most once for each Pod."""
        seen = self._seen(pod.namespace, pod.name)
        is_shown = seen is not None and seen.runtime_uid == pod.runtime_uid
        return self._first_uses.take(pod.runtime_uid, is_shown=is_shown)

    async def find(self, identity: PodIdentity) -> Pod:
        """Return a Pod; one that was not seen yet is fetched.

        Raises:
            PodNotFoundError: No such Pod, or another one of that name.
        """
        seen = self._seen(identity.namespace, identity.name)
        if seen is not None and _is(seen, identity):
            return seen
        try:
            raw = await self._api.get(PODS, identity.name, namespace=identity.namespace)
        except NotFoundError as error:
            raise PodNotFoundError(
                f"{identity} does not exist any more; the runtime has nothing to do for it"
            ) from error
        pod = decode_pod(raw)
        if not _is(pod, identity):
            raise PodNotFoundError(
                f"{identity} has the uid {pod.runtime_uid} now, and the runtime asks for "
                f"{identity.uid}: it was replaced by another Pod of that name"
            )
        return pod

    async def wants_addresses(self, record: SandboxRecord, *, anew: bool = False) -> bool:
        """Say whether a Pod keeps its addresses after its sandbox is gone.

        Source: DESIGN, "When an address is released". Unknown counts as yes.

        Args:
            record: A sandbox of it.
            anew: Believe no watch that shows it alive: one that has died silently goes on to.
        """
        pod = self._seen(record.namespace, record.pod)
        if pod is None or pod.runtime_uid != record.pod_uid or (anew and _keeps(pod, record)):
            try:
                raw = await self._api.get(PODS, record.pod, namespace=record.namespace)
            except NotFoundError:
                return False
            except DanmError as error:
                log.warning("Pod cannot be read", pod=record.pod, error=error.reason)
                return True
            pod = decode_pod(raw)
        return _keeps(pod, record)

    def _seen(self, namespace: str, name: str) -> Pod | None:
        return self.informer.get(ObjectKey(namespace=namespace, name=name))


def _keeps(pod: Pod, record: SandboxRecord) -> bool:
    return pod.runtime_uid == record.pod_uid and not pod.deleting and not pod.ended


def _is(pod: Pod, identity: PodIdentity) -> bool:
    return identity.uid is None or pod.runtime_uid == identity.uid


def notes_of(message: str) -> Sequence[str]:
    """Return a message in parts that an Event holds; pure.

    It is parted between errors, or the clauses of one, so that nothing is cut off that is not
    longer than an Event by itself.
    """
    notes: list[str] = []
    for part in message.split(_PARTS_END):
        longer = f"{notes[-1]}{_PARTS_END}{part}" if notes else part
        if notes and len(longer.encode()) <= MAX_NOTE_LENGTH:
            notes[-1] = longer
        else:
            notes.append(part)
    return notes


class PodEvents:
    """Events on Pods whose networks could not be made, and on DanmNets."""

    def __init__(self, recorder: EventRecorder) -> None:
        """Write through a recorder, which bounds and aggregates."""
        self._recorder = recorder

    async def attachment_failed(self, pod: Pod, message: str) -> None:
        """Tell the Pod's owner, in as many Events as hold all attachments; never raises."""
        for note in notes_of(message):
            await self._record(pod, "FailedAttachment", note)

    async def address_lost(self, pod: Pod, message: str) -> None:
        """Tell the Pod's owner that an interface was taken down; never raises."""
        await self._record(pod, "AddressLost", message)

    async def capability_unserved(self, pod: Pod, message: str) -> None:
        """Tell the Pod's owner that it lacks something that it asks for; never raises."""
        await self._record(pod, "UnservedCapability", message)

    async def on_network(
        self,
        network: ObjectReference,
        *,
        reason: str,
        message: str,
        type: EventType,  # noqa: A002  (the API's word)
    ) -> None:
        """Tell a DanmNet's owner what happened to its addresses; never raises."""
        await self._recorder.record(network, reason=reason, message=message, type=type)

    async def _record(self, pod: Pod, reason: str, message: str) -> None:
        regarding = ObjectReference(
            api_version="v1", kind="Pod", namespace=pod.namespace, name=pod.name, uid=pod.uid
        )
        await self._recorder.record(regarding, reason=reason, message=message)
