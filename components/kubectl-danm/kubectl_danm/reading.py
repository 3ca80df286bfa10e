"""Reads objects as the commands need them, and says what it was not allowed to see."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Final, TypeVar

from danm_api import labels
from danm_api.codec.danm_node import decode_danm_node
from danm_api.codec.danmep import decode_danmep
from danm_api.codec.danmnet import decode_danmnet
from danm_api.codec.meta import describe
from danm_api.codec.observed_event import decode_event
from danm_api.codec.pod import decode_pod
from danm_api.errors import ApiError, DanmError, NotFoundError, PodNotFoundError
from danm_api.kube.api import (
    DANMEPS,
    DANMNETS,
    DANMNODES,
    EVENTS,
    PODS,
    KubeApi,
    RawObject,
    Resource,
)
from danm_api.kube.relisting import begin_anew
from danm_api.model.danm_node import DanmNode
from danm_api.model.danmep import DanmEp
from danm_api.model.danmnet import DanmNet
from danm_api.model.observed_event import ObservedEvent
from danm_api.model.pod import Pod
from danm_api.names import NetworkName, PodUid
from kubectl_danm.view.refusals import explain, is_refusal

T = TypeVar("T")

# Events about one object, of which there are few.
_ABOUT: Final = "regarding.kind={kind},regarding.name={name}"


class Notes:
    """What an answer lacks, and why."""

    def __init__(self) -> None:
        """Begin with nothing missing."""
        self._notes: list[str] = []

    def add(self, note: str) -> None:
        """Take in a sentence, once."""
        if note not in self._notes:
            self._notes.append(note)

    def all(self) -> tuple[str, ...]:
        """Return the sentences in their order."""
        return tuple(self._notes)

    async def optional(self, what: str, reading: Awaitable[T], *, otherwise: T) -> T:
        """Return what a reading finds, or ``otherwise`` and a note if it is not allowed.

        Raises:
            DanmError: It fails for another reason.
        """
        try:
            return await reading
        except ApiError as error:
            if not is_refusal(error):
                raise
            self.add(f"{what} could not be looked at. {explain(error)}")
            return otherwise


async def read_all(
    api: KubeApi,
    resource: Resource,
    decode: Callable[[RawObject], T],
    notes: Notes,
    *,
    namespace: str | None,
    label_selector: str = "",
    field_selector: str = "",
    keep: Callable[[T], bool] = lambda _: True,
) -> list[T]:
    """Return the objects that are to be kept; one that cannot be read becomes a note.

    They are read page by page, so that what is not kept is never all in memory.

    Raises:
        DanmError: The API server does not answer, or does not allow it.
    """

    async def read() -> tuple[list[T], list[str]]:
        found: list[T] = []
        broken: list[str] = []
        pages = api.pages(
            resource,
            namespace=namespace,
            label_selector=label_selector,
            field_selector=field_selector,
        )
        async with aclosing(pages):
            async for page in pages:
                for raw in page.items:
                    try:
                        decoded = decode(raw)
                    except (DanmError, ValueError, KeyError) as error:
                        broken.append(f"{describe(raw)} cannot be read and is left out: {error}")
                        continue
                    if keep(decoded):
                        found.append(decoded)
        return found, broken

    found, broken = await begin_anew(read)
    for note in broken:
        notes.add(note)
    return found


async def networks(api: KubeApi, notes: Notes, *, namespace: str | None) -> list[DanmNet]:
    """Return the DanmNets of a namespace, or of all."""
    return await read_all(api, DANMNETS, decode_danmnet, notes, namespace=namespace)


async def network(api: KubeApi, namespace: str, name: str) -> DanmNet:
    """Return one DanmNet.

    Raises:
        NotFoundError: There is none of the name; says which there are.
    """
    try:
        return decode_danmnet(await api.get(DANMNETS, name, namespace=namespace))
    except NotFoundError as error:
        there = [net.name for net in await networks(api, Notes(), namespace=namespace)]
        raise NotFoundError(
            f"There is no DanmNet {name} in namespace {namespace}; {_offer(there)}"
        ) from error


async def network_if_any(api: KubeApi, namespace: str, name: str) -> DanmNet | None:
    """Return one DanmNet, or None if there is none of the name."""
    try:
        return decode_danmnet(await api.get(DANMNETS, name, namespace=namespace))
    except NotFoundError:
        return None


def _offer(names: list[NetworkName]) -> str:
    """Say which names would do."""
    if not names:
        return "there is none at all there: name another one by -n"
    return f"there are {', '.join(sorted(names))}; name another namespace by -n"


async def nodes(api: KubeApi, notes: Notes) -> list[DanmNode]:
    """Return all DanmNodes."""
    return await read_all(api, DANMNODES, decode_danm_node, notes, namespace=None)


async def pod(api: KubeApi, namespace: str, name: str) -> Pod:
    """Return one Pod.

    Raises:
        PodNotFoundError: There is none of the name.
    """
    try:
        return decode_pod(await api.get(PODS, name, namespace=namespace))
    except NotFoundError as error:
        raise PodNotFoundError(
            f"There is no Pod {name} in namespace {namespace}; kubectl -n {namespace} get pods"
            " lists those that there are, and -n names another namespace"
        ) from error


async def pods(api: KubeApi, notes: Notes, *, namespace: str) -> list[Pod]:
    """Return the Pods of a namespace."""
    return await read_all(api, PODS, decode_pod, notes, namespace=namespace)


async def endpoints_of_pod(
    api: KubeApi, notes: Notes, *, namespace: str, uid: PodUid
) -> list[DanmEp]:
    """Return the interfaces of a Pod, by the uid that its node knows it by."""
    return await read_all(
        api,
        DANMEPS,
        decode_danmep,
        notes,
        namespace=namespace,
        label_selector=f"{labels.POD_UID}={uid}",
    )


async def endpoints(api: KubeApi, notes: Notes, *, namespace: str | None) -> list[DanmEp]:
    """Return the interfaces of a namespace, or of all."""
    return await read_all(api, DANMEPS, decode_danmep, notes, namespace=namespace)


async def events_about(
    api: KubeApi, notes: Notes, *, kind: str, namespace: str, name: str
) -> list[ObservedEvent]:
    """Return the Events about an object of a namespace."""
    return await read_all(
        api,
        EVENTS,
        decode_event,
        notes,
        namespace=namespace,
        field_selector=_ABOUT.format(kind=kind, name=name),
    )
