"""A Pod's networks: what it asks for, what it has, how it is routed, and what went wrong. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from danm_api.codec.attachment import DYNAMIC, NONE, decode_annotation
from danm_api.errors import DanmError, InvalidAttachmentError
from danm_api.model.addresses import Route
from danm_api.model.attachment import (
    Attachment,
    Dynamic,
    IPv4Request,
    IPv6Request,
    NoAddress,
    StaticIPv4,
    StaticIPv6,
)
from danm_api.model.danmep import DanmEp
from danm_api.model.danmnet import BuiltInType, DanmNet
from danm_api.model.observed_event import ObservedEvent
from danm_api.model.pod import Pod
from danm_api.names import DEFAULT_NETWORK, INTERFACES_ANNOTATION
from danm_api.validation import parent_link_name
from kubectl_danm.view.events import EventView, latest_warnings, warnings_section
from kubectl_danm.view.networks import spec_of
from kubectl_danm.view.report import Cell, Report, Row, Section, Tone


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteView:
    """A route of an interface.

    Attributes:
        table: ``main``, or the number of the network's policy table. Empty where the network that
            names the number is not to be seen.
    """

    to: str
    via: str
    table: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceView:
    """One interface, as its DanmEp has it.

    Attributes:
        made_by: ``danmd``, or ``CNI plugin`` and its name.
        link: What it hangs on, on the node; empty where the network does not say.
        routes: What its DanmNet and its Pod ask for.
    """

    name: str
    network: str
    ipv4: str
    ipv6: str
    mac: str
    made_by: str
    link: str
    danmep: str
    container_id: str
    routes: tuple[RouteView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedView:
    """One entry of the annotation."""

    index: int
    network: str
    ip: str
    ip6: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PodDocument:
    """The answer for programs."""

    namespace: str
    name: str
    uid: str
    node: str
    phase: str
    ready: bool
    asks: tuple[AskedView, ...]
    interfaces: tuple[InterfaceView, ...]
    problems: tuple[str, ...]
    errors: tuple[EventView, ...]


def view_pod(
    pod: Pod,
    endpoints: Iterable[DanmEp],
    networks: Mapping[str, DanmNet],
    events: Iterable[ObservedEvent],
) -> PodDocument:
    """Return what is known of a Pod's networks.

    Args:
        pod: The Pod.
        endpoints: DanmEps of its UID.
        networks: By name, the DanmNets of its namespace that it asks for or is on.
        events: Events about the Pod and about these networks.
    """
    # An interface counts for a Pod of its own node only (DESIGN, "A rooted node").
    mine = sorted(
        (each for each in endpoints if each.node == pod.node), key=lambda each: each.interface.name
    )
    asked, fault = _asked(pod)
    problems = [fault] if fault else []
    problems += _missing(pod, asked, mine, networks)
    return PodDocument(
        namespace=pod.namespace,
        name=pod.name,
        uid=pod.uid,
        node=pod.node or "",
        phase=pod.phase.value,
        ready=pod.ready,
        asks=tuple(
            AskedView(
                index=each.index,
                network=each.network,
                ip=_request(each.ip),
                ip6=_request(each.ip6),
            )
            for each in asked
        ),
        interfaces=tuple(_interface(each, networks.get(each.network)) for each in mine),
        problems=tuple(problems),
        # Of a static Pod kubelet tells by the uid that it knows, and others by that of the object.
        errors=latest_warnings(
            events, {pod.uid, pod.runtime_uid, *(net.uid for net in networks.values())}
        ),
    )


def networks_of(pod: Pod, endpoints: Iterable[DanmEp]) -> set[str]:
    """Return the names of the DanmNets that a Pod asks for or is on."""
    asked, _ = _asked(pod)
    names = {str(each.network) for each in asked} or {str(DEFAULT_NETWORK)}
    return names | {str(each.network) for each in endpoints}


def _asked(pod: Pod) -> tuple[tuple[Attachment, ...], str]:
    """Return what the annotation asks for, or why it cannot be read."""
    text = pod.annotations.get(INTERFACES_ANNOTATION)
    try:
        return decode_annotation(text, pod=f"{pod.namespace}/{pod.name}"), ""
    except InvalidAttachmentError as error:
        return (), error.reason


def _missing(
    pod: Pod, asked: Sequence[Attachment], mine: Sequence[DanmEp], networks: Mapping[str, DanmNet]
) -> Iterator[str]:
    """Yield what the Pod asks for and does not have."""
    if pod.host_network:
        if asked:
            yield "it uses its node's network (hostNetwork), so its annotation counts for nothing"
        return
    left = [str(each.network) for each in mine]
    for attachment in asked:
        name = str(attachment.network)
        if name in left:
            left.remove(name)
            continue
        entry = f"entry [{attachment.index}] of its annotation asks for DanmNet {name}"
        net = networks.get(name)
        if net is None:
            yield f"{entry}, which is not to be seen in namespace {pod.namespace}: create it"
            continue
        try:
            net.spec_in_force()
        except DanmError as error:
            yield f"{entry}: {error.reason}"
            continue
        yield f"{entry}, and it has no interface there{_why_none(pod)}"


def _why_none(pod: Pod) -> str:
    if pod.node is None:
        return ": it is bound to no node yet"
    if pod.ended:
        return ": it has ended"
    return f" (yet): the errors below, or the log of danmd on {pod.node}, say why"


def _request(request: IPv4Request | IPv6Request) -> str:
    match request:
        case Dynamic():
            return DYNAMIC
        case NoAddress():
            return NONE
        case StaticIPv4(interface=interface):
            return str(interface)
        case StaticIPv6(interface=interface6):
            return str(interface6)


def _interface(endpoint: DanmEp, net: DanmNet | None) -> InterfaceView:
    spec = None if net is None else spec_of(net)
    interface = endpoint.interface
    main: tuple[Route, ...] = () if spec is None else (*spec.routes, *spec.routes6)
    policy: tuple[Route, ...] = (*interface.policy_routes, *interface.policy_routes6)
    table = "" if spec is None or spec.routing_table is None else str(spec.routing_table)
    return InterfaceView(
        name=interface.name,
        network=endpoint.network,
        ipv4="" if interface.address is None else str(interface.address),
        ipv6="" if interface.address_ipv6 is None else str(interface.address_ipv6),
        mac=interface.mac_address or "",
        made_by=_made_by(endpoint.network_type),
        link="" if spec is None else parent_link_name(spec) or "",
        danmep=endpoint.name,
        container_id=endpoint.container_id,
        routes=(
            *(_route(each, "main") for each in main if _applies(each, endpoint)),
            *(_route(each, table) for each in policy),
        ),
    )


def _applies(route: Route, endpoint: DanmEp) -> bool:
    """Say whether an interface has an address of a route's family: it is not made otherwise."""
    address = endpoint.interface.address, endpoint.interface.address_ipv6
    return any(each is not None and each.version == route.gateway.version for each in address)


def _route(route: Route, table: str) -> RouteView:
    return RouteView(to=str(route.destination), via=str(route.gateway), table=table)


def _made_by(network_type: str) -> str:
    kind = network_type.lower() or BuiltInType.IPVLAN.value
    return "danmd" if kind == BuiltInType.IPVLAN.value else f"CNI plugin {network_type}"


def report_pod(found: PodDocument, *, notes: tuple[str, ...] = ()) -> Report:
    """Return the answer in all forms."""
    routes = tuple(
        (Cell(each.name), Cell(route.to), Cell(route.via), Cell(route.table or "?"))
        for each in found.interfaces
        for route in each.routes
    )
    return Report(
        document=found,
        names=(f"pod/{found.name}", *(f"danmep.danm.k8s.io/{e.danmep}" for e in found.interfaces)),
        sections=(
            Section(
                title=f"Pod {found.namespace}/{found.name} on {found.node or 'no node'},"
                f" {found.phase}, {'ready' if found.ready else 'not ready'}",
                columns=("INTERFACE", "NETWORK", "IPV4", "IPV6", "MAC", "MADE BY", "LINK"),
                rows=tuple(_row(each) for each in found.interfaces),
                empty="no interface of DANM",
            ),
            Section(title="Routes", columns=("INTERFACE", "TO", "VIA", "TABLE"), rows=routes),
            Section(
                title="Problems",
                columns=("WHAT",),
                rows=tuple((Cell(each, Tone.BAD),) for each in found.problems),
            ),
            warnings_section(found.errors),
        ),
        notes=notes,
    )


def _row(view: InterfaceView) -> Row:
    return (
        Cell(view.name, Tone.STRONG),
        Cell(view.network),
        Cell(view.ipv4 or "-", Tone.GOOD),
        Cell(view.ipv6 or "-", Tone.GOOD),
        Cell(view.mac or "-"),
        Cell(view.made_by),
        Cell(view.link or "-"),
    )
