"""Why a Pod's address is an endpoint of a Service, or why not. Pure.

Selection and endpoints are computed by the functions that svcwatcher decides with
(``danm_api.membership``); here is only said why the rest is left out, and whether what is written
is what they ask for.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from danm_api.codec.attachment import decode_annotation
from danm_api.errors import InvalidAttachmentError
from danm_api.membership.endpoints import (
    Identity,
    Member,
    family_of,
    identity_of,
    may_be_published,
    membership,
)
from danm_api.membership.selection import NotOurs, Refusal, Selection, select
from danm_api.membership.views import (
    InterfaceView,
    PodView,
    id_of,
    owner_of,
    view_of_interface,
    view_of_pod,
)
from danm_api.model.addresses import IPAddress
from danm_api.model.danmep import DanmEp
from danm_api.model.danmnet import DanmNet
from danm_api.model.endpoint_slice import Endpoint, EndpointSlice
from danm_api.model.pod import Pod
from danm_api.model.service import Service
from danm_api.names import INTERFACES_ANNOTATION


class State(StrEnum):
    """What a Pod's address is to a Service."""

    READY = "ready"
    NOT_READY = "not ready"
    TERMINATING = "terminating"
    OUT = "out"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointView:
    """One Pod, or one of its addresses.

    Attributes:
        address: Empty where there is none that could be meant.
        interface: The DanmEp's name; empty where there is none.
        why: A sentence.
        written: Whether the EndpointSlices say the same.
    """

    pod: str
    node: str
    address: str
    interface: str
    state: State
    why: str
    written: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceView:
    """One Service.

    Attributes:
        network: Empty when its annotations cannot be read.
        selector: ``key=value`` of each label that is asked for.
        ready: How many addresses are ready endpoints.
        not_ready: How many are endpoints that are not ready, or terminating.
        out: How many Pods or addresses are left out.
        problems: Sentences on the Service as a whole, with the way out.
    """

    namespace: str
    name: str
    network: str
    selector: tuple[str, ...]
    families: tuple[str, ...]
    ready: int
    not_ready: int
    out: int
    problems: tuple[str, ...]
    endpoints: tuple[EndpointView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What of a namespace decides about its Services.

    Attributes:
        slices: Those that svcwatcher has written.
    """

    pods: Sequence[Pod]
    endpoints: Sequence[DanmEp]
    networks: Mapping[str, DanmNet]
    slices: Sequence[EndpointSlice]


# A Service that svcwatcher has just seen is written within a second; this is what to look at else.
_NOT_WRITTEN: Final = (
    "svcwatcher has not written it (yet): does it run (kubectl -n danm-system get pods)?"
)


def is_ours(service: Service) -> bool:
    """Say whether a Service carries DANM's annotations."""
    return not isinstance(select(service), NotOurs)


def view_service(service: Service, around: Surroundings) -> ServiceView:
    """Return why each Pod that could be meant is, or is not, an endpoint.

    Could be meant: it has the labels that are asked for, or an interface on the network.
    """
    verdict = select(service)
    mine = [each for each in around.slices if each.service == service.name]
    match verdict:
        case NotOurs():
            why = (
                "it is being deleted"
                if service.deleting
                else "it carries none of DANM's annotations, so its endpoints are Kubernetes' own;"
                " danm.k8s.io/selector and danm.k8s.io/network make it DANM's"
            )
            return _summary(service, None, (why,), ())
        case Refusal(reason=reason):
            return _summary(service, None, (reason,), ())
        case Selection():
            rows = tuple(_rows(service, verdict, around, mine))
            problems = tuple(_problems(service, verdict, around, mine, rows))
            return _summary(service, verdict, problems, rows)


def _summary(
    service: Service,
    selection: Selection | None,
    problems: tuple[str, ...],
    rows: tuple[EndpointView, ...],
) -> ServiceView:
    states = [each.state for each in rows]
    return ServiceView(
        namespace=service.namespace,
        name=service.name,
        network="" if selection is None else selection.network,
        selector=() if selection is None else tuple(f"{k}={v}" for k, v in selection.labels),
        families=tuple(each.value for each in service.families),
        ready=states.count(State.READY),
        not_ready=states.count(State.NOT_READY) + states.count(State.TERMINATING),
        out=states.count(State.OUT),
        problems=problems,
        endpoints=rows,
    )


def _problems(
    service: Service,
    selection: Selection,
    around: Surroundings,
    slices: Collection[EndpointSlice],
    rows: Collection[EndpointView],
) -> Iterator[str]:
    where = f"DanmNet {selection.namespace}/{selection.network}"
    net = around.networks.get(selection.network)
    if net is None:
        yield f"{where} is not to be seen: create it, or correct the annotation"
    elif net.deleting:
        yield f"{where} is being deleted and gives no address to new Pods"
    if not rows:
        labels = ", ".join(f"{key}={value}" for key, value in selection.labels)
        yield f"no Pod of namespace {service.namespace} has the labels {labels}"
    if not slices:
        yield f"there is no EndpointSlice of svcwatcher for it: {_NOT_WRITTEN}"
    addresses = {each.address for each in rows if each.state is not State.OUT}
    stale = sorted(
        {str(e.address) for s in slices for e in s.endpoints if str(e.address) not in addresses}
    )
    if stale:
        yield (
            f"its EndpointSlices still have {', '.join(stale)}, which no Pod stands for: does"
            " svcwatcher run (kubectl -n danm-system get pods)?"
        )


def _rows(
    service: Service,
    selection: Selection,
    around: Surroundings,
    slices: Collection[EndpointSlice],
) -> Iterator[EndpointView]:
    written = {identity_of(each): each for slice_ in slices for each in slice_.endpoints}
    by_owner: dict[object, list[InterfaceView]] = {}
    for endpoint in around.endpoints:
        view = view_of_interface(endpoint)
        if view.network == selection.network:
            by_owner.setdefault(owner_of(view), []).append(view)
    for pod in sorted(around.pods, key=lambda each: each.name):
        view_of = view_of_pod(pod)
        on_network = by_owner.get(id_of(view_of), [])
        if selection.admits(view_of.labels):
            yield from _of_selected(service, selection, pod, on_network, around, written)
        elif on_network:
            yield _out(pod, _other_labels(selection, view_of), interface=on_network[0].name)


def _other_labels(selection: Selection, pod: PodView) -> str:
    """Say which label keeps a Pod out."""
    key, value = next((k, v) for k, v in selection.labels if pod.labels.get(k) != v)
    has = pod.labels.get(key)
    if has is None:
        return f"selector: it lacks the label {key}={value}"
    return f"selector: its label {key} is {has!r}, and {value!r} is asked for"


def _of_selected(
    service: Service,
    selection: Selection,
    pod: Pod,
    interfaces: Sequence[InterfaceView],
    around: Surroundings,
    written: Mapping[Identity, Endpoint],
) -> Iterator[EndpointView]:
    if pod.ended:
        yield _out(pod, f"ended: its phase is {pod.phase.value}")
        return
    if not interfaces:
        yield _out(pod, _why_no_interface(selection, pod, around))
        return
    view = view_of_pod(pod)
    for interface in interfaces:
        found = membership(service, selection, [Member(pod=view, interface=interface)])
        endpoints = {each.address: each for each in found.endpoints}
        if not interface.addresses:
            why = "no address: its interface has none, or its DanmEp is being deleted"
            yield _out(pod, why, interface=interface.name)
        for address in interface.addresses:
            endpoint = endpoints.get(address)
            if endpoint is None:
                why = _why_not_published(service, address)
                yield _out(pod, why, interface=interface.name, address=address)
            else:
                yield _in(pod, interface, endpoint, selection, written)


def _in(
    pod: Pod,
    interface: InterfaceView,
    endpoint: Endpoint,
    selection: Selection,
    written: Mapping[Identity, Endpoint],
) -> EndpointView:
    state, why = _state(endpoint, pod, selection)
    is_written = written.get(identity_of(endpoint)) == endpoint
    return EndpointView(
        pod=pod.name,
        node=pod.node or "",
        address=str(endpoint.address),
        interface=interface.name,
        state=state,
        why=why if is_written else f"{why}; {_NOT_WRITTEN}",
        written=is_written,
    )


def _state(endpoint: Endpoint, pod: Pod, selection: Selection) -> tuple[State, str]:
    if endpoint.ready:
        if selection.tolerate_unready and (not pod.ready or pod.deleting):
            return State.READY, "readiness: the Service publishes addresses that are not ready"
        return State.READY, "selected, on the network, and ready"
    if endpoint.terminating:
        return State.TERMINATING, "terminating: the Pod is being deleted"
    return State.NOT_READY, "readiness: the Pod's condition Ready is not True"


def _out(
    pod: Pod, why: str, *, interface: str = "", address: IPAddress | None = None
) -> EndpointView:
    return EndpointView(
        pod=pod.name,
        node=pod.node or "",
        address="" if address is None else str(address),
        interface=interface,
        state=State.OUT,
        why=why,
        written=True,
    )


def _why_not_published(service: Service, address: IPAddress) -> str:
    if not may_be_published(address):
        return (
            "address: Kubernetes takes no loopback, link-local or multicast address as an endpoint;"
            " give the DanmNet another cidr"
        )
    families = ", ".join(each.value for each in service.families)
    return f"family: the Service is for {families}, and this is {family_of(address).value}"


def _why_no_interface(selection: Selection, pod: Pod, around: Surroundings) -> str:
    """Say why a selected Pod has no interface on the network."""
    network = selection.network
    if pod.node is None:
        return "node: it is bound to none yet"
    mine = [
        each
        for each in around.endpoints
        if each.namespace == pod.namespace and each.pod_uid == pod.runtime_uid
    ]
    foreign = [each for each in mine if each.network == network and each.node != pod.node]
    if foreign:
        return (
            f"node: DanmEp {foreign[0].name} is of node {foreign[0].node}, and the Pod runs on"
            f" {pod.node}; an interface counts for Pods of its own node only"
        )
    asked = _asked_networks(pod)
    if asked is None:
        return "network: its annotation cannot be read (kubectl danm pod tells more)"
    if network in asked:
        return (
            f"no DanmEp: it asks for DanmNet {network} and has no interface there (yet); kubectl"
            f" danm pod {pod.name} tells why"
        )
    has = ", ".join(sorted({str(each.network) for each in mine})) or "none of DANM's"
    return (
        f"network: it does not ask for DanmNet {network} in {INTERFACES_ANNOTATION}; its networks:"
        f" {has}"
    )


def _asked_networks(pod: Pod) -> set[str] | None:
    try:
        asked = decode_annotation(
            pod.annotations.get(INTERFACES_ANNOTATION), pod=f"{pod.namespace}/{pod.name}"
        )
    except InvalidAttachmentError:
        return None
    return {str(each.network) for each in asked}


def all_of(services: Iterable[Service], around: Surroundings) -> tuple[ServiceView, ...]:
    """Return all Services that carry DANM's annotations, by name."""
    ours = sorted((each for each in services if is_ours(each)), key=lambda each: each.name)
    return tuple(view_service(each, around) for each in ours)
