"""From a Pod's annotation and the DanmNets of its namespace to what must be made. Pure.

The whole plan is checked before anything is touched, and all that is wrong is told at once
(SPEC B1 to B5, D3, E2, G3, G4).
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from danm_api.codec.attachment import decode_annotation
from danm_api.errors import (
    DanmError,
    HostLinkMissingError,
    InvalidAttachmentError,
    InvalidNetworkError,
    LinkSetupError,
    NetworkNotFoundError,
    NetworkNotReadyError,
    SeveralErrors,
)
from danm_api.ipam_api import MAX_ATTACHMENTS
from danm_api.model.addresses import IPAddress, IPNetwork, Route
from danm_api.model.attachment import Attachment, Dynamic, NoAddress
from danm_api.model.danmnet import BuiltInType, DanmNet, NetworkSpec, StaticDelegate, Vxlan
from danm_api.names import (
    DEFAULT_NETWORK,
    INTERFACES_ANNOTATION,
    InterfaceName,
    NetworkName,
)
from danm_api.validation import (
    check_attachment,
    host_link_name,
    interface_name_fault,
    parent_link_name,
)
from danm_cni.cni_errors import CniCode, CniRequestError
from danm_cni.request import PodIdentity

# The runtime asks for the Pod's IP on the interface of this name (SPEC B4).
PRIMARY_INTERFACE: Final = InterfaceName("eth0")

# Two interfaces may route one destination; the kernel takes the second route only with another
# metric. The first attachment keeps the kernel's own default, so that nothing changes for most.
_METRIC_STEP: Final = 100

NetworkLookup = Callable[[NetworkName], DanmNet | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRoute:
    """A route of one interface.

    Attributes:
        table: None for the main table.
        metric: None for the kernel's default.
    """

    destination: IPNetwork
    gateway: IPAddress
    table: int | None = None
    metric: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedAttachment:
    """One interface to make.

    Attributes:
        spec: The network's spec in force, which everything follows (SPEC N5).
        parent: The host's link that it hangs on; empty for static types.
        routes: Of the main table and of the network's own.
        asks_for_addresses: Its addresses come from ipam-svc.
        mac: What the runtime asks for; None for DANM's choice.
    """

    attachment: Attachment
    network: DanmNet
    spec: NetworkSpec
    interface: InterfaceName
    parent: str
    routes: tuple[PlannedRoute, ...] = ()
    asks_for_addresses: bool = False
    mac: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UseFallback:
    """The Pod asks for nothing and its namespace has no default network (SPEC B2)."""


def requested_attachments(
    pod: PodIdentity, annotation: str | None, networks: NetworkLookup
) -> tuple[Attachment, ...] | UseFallback:
    """Return what a Pod asks for, its namespace's default network included.

    Raises:
        InvalidAttachmentError: The annotation cannot be read (SPEC B3), or asks for too much.
        NetworkNotReadyError: The default network exists but is not usable yet.
        InvalidNetworkError: The default network exists but is not valid.
    """
    attachments = decode_annotation(annotation, pod=f"{pod.namespace}/{pod.name}")
    if len(attachments) > MAX_ATTACHMENTS:
        raise InvalidAttachmentError(
            f"{pod}: annotation {INTERFACES_ANNOTATION} has {len(attachments)} entries, and a Pod "
            f"may have {MAX_ATTACHMENTS}; leave out what it does not need"
        )
    if attachments:
        return attachments
    default = networks(DEFAULT_NETWORK)
    if default is None:
        return UseFallback()
    return (_default_attachment(default.spec_in_force()),)


def _default_attachment(spec: NetworkSpec) -> Attachment:
    """SPEC B2: dynamic addresses where the network has a pool of them."""
    wants_ipv6 = spec.net6 is not None and (spec.pool6 is not None or spec.cidr is None)
    return Attachment(
        index=0,
        network=DEFAULT_NETWORK,
        ip=Dynamic() if spec.cidr is not None else NoAddress(),
        ip6=Dynamic() if wants_ipv6 else NoAddress(),
    )


def plan_attachments(
    pod: PodIdentity,
    attachments: Sequence[Attachment],
    networks: NetworkLookup,
    *,
    asked: InterfaceName = PRIMARY_INTERFACE,
    present: frozenset[str] = frozenset(),
    allowed_static_types: frozenset[str] | None = None,
) -> tuple[PlannedAttachment, ...]:
    """Plan all interfaces of a Pod.

    Args:
        pod: Names the Pod in errors.
        attachments: In the order of the annotation.
        networks: The DanmNets of the Pod's namespace.
        asked: CNI_IFNAME.
        present: Interfaces that the plugins before danm in its list have made.
        allowed_static_types: The administrator's list (SPEC E2); None allows all.

    Raises:
        SeveralErrors: Everything that is wrong with the plan.
    """
    planned: list[PlannedAttachment] = []
    errors: list[DanmError] = []
    for attachment in attachments:
        try:
            one = _plan_one(pod, attachment, networks, allowed_static_types)
        except DanmError as error:
            errors.append(error)
            continue
        errors.extend(_errors_of_one(pod, one))
        planned.append(one)
    if len(planned) == len(attachments):
        errors.extend(_errors_of_all(pod, planned, present))
        errors.extend(
            _errors_of_name(pod, asked, {*present, *(each.interface for each in planned)})
        )
    if errors:
        raise SeveralErrors(errors)
    return _with_metrics(planned)


def _plan_one(
    pod: PodIdentity,
    attachment: Attachment,
    networks: NetworkLookup,
    allowed_static_types: frozenset[str] | None,
) -> PlannedAttachment:
    network = networks(attachment.network)
    if network is None:
        raise NetworkNotFoundError(
            f"{pod}, entry {attachment.index}: namespace {pod.namespace} has no DanmNet "
            f"{attachment.network!r}; create it, or name one of 'kubectl -n {pod.namespace} "
            "get danmnets'"
        )
    if network.deleting:
        raise NetworkNotReadyError(
            f"{pod}, entry {attachment.index}: DanmNet {network.namespace}/{network.name} is being "
            "deleted and takes no new Pods; name another one, or create it anew once it is gone"
        )
    spec = network.spec_in_force()
    match spec.network_type:
        case StaticDelegate(name=name):
            if allowed_static_types is not None and name not in allowed_static_types:
                allowed = ", ".join(sorted(allowed_static_types)) or "none"
                raise InvalidNetworkError(
                    f"DanmNet {network.namespace}/{network.name}: the administrator does not allow "
                    f"NetworkType {name!r} (allowed: {allowed})"
                )
            parent = ""
        case BuiltInType.SRIOV if isinstance(spec.segment, Vxlan):
            # A validator of before has let it pass; the plugin would attach the Pod to the
            # untagged wire, where others are.
            raise InvalidNetworkError(
                f"DanmNet {network.namespace}/{network.name}: vxlan cannot be had with sriov; set "
                f"vlan instead, or NetworkType to {BuiltInType.IPVLAN} or {BuiltInType.MACVLAN}"
            )
        case _ if spec.device_pool:
            # The device says where it hangs (SPEC E1).
            parent = ""
        case _:
            parent = _parent(network, spec)
    return PlannedAttachment(
        attachment=attachment,
        network=network,
        spec=spec,
        interface=InterfaceName(spec.container_prefix or f"eth{attachment.index}"),
        parent=parent,
        routes=tuple(_routes(attachment, spec)),
        asks_for_addresses=not isinstance(spec.network_type, StaticDelegate)
        and not _without_address(attachment),
    )


def _parent(network: DanmNet, spec: NetworkSpec) -> str:
    parent = parent_link_name(spec)
    if not parent:
        raise InvalidNetworkError(
            f"DanmNet {network.namespace}/{network.name} has no Options.host_device, so there is "
            "no link on the node to attach Pods to; name one"
        )
    return parent


def _routes(attachment: Attachment, spec: NetworkSpec) -> Iterator[PlannedRoute]:
    """Yield the routes whose family the attachment has an address of, or may have."""
    static = isinstance(spec.network_type, StaticDelegate)
    main: list[Route] = []
    policy: list[Route] = []
    if static or not isinstance(attachment.ip, NoAddress):
        main.extend(spec.routes)
        policy.extend(attachment.policy_routes)
    if static or not isinstance(attachment.ip6, NoAddress):
        main.extend(spec.routes6)
        policy.extend(attachment.policy_routes6)
    for route in main:
        yield PlannedRoute(destination=route.destination, gateway=route.gateway)
    for route in policy:
        yield PlannedRoute(
            destination=route.destination, gateway=route.gateway, table=spec.routing_table
        )


def _without_address(attachment: Attachment) -> bool:
    return isinstance(attachment.ip, NoAddress) and isinstance(attachment.ip6, NoAddress)


def _errors_of_one(pod: PodIdentity, planned: PlannedAttachment) -> Iterator[DanmError]:
    where = f"{pod}, entry {planned.attachment.index}"
    spec = planned.spec
    fault = interface_name_fault(planned.interface)
    if fault is not None:
        yield InvalidAttachmentError(
            f"{where}: container_prefix of DanmNet {planned.network.namespace}/"
            f"{planned.network.name}: {fault}"
        )
    if isinstance(spec.network_type, StaticDelegate):
        # What is asked of a static type is ignored, even where fakeipam is admitted (SPEC G).
        spec = replace(spec, fakeipam=False)
    # Whether others share the wire only ipam-svc has to know: it judges static addresses again.
    for violation in check_attachment(spec, planned.attachment, shares_wire=False):
        yield InvalidAttachmentError(f"{pod}: {violation}", violations=[violation])


def _errors_of_all(
    pod: PodIdentity, planned: Sequence[PlannedAttachment], present: frozenset[str]
) -> Iterator[DanmError]:
    """SPEC B4."""
    for each in planned:
        if each.interface in present:
            yield InvalidAttachmentError(
                f"{pod}, entry {each.attachment.index}: the Pod has an interface "
                f"{each.interface!r} already, made by a plugin before danm in the node's CNI "
                f"configuration; give DanmNet {each.network.namespace}/{each.network.name} "
                "another container_prefix"
            )
    counts = Counter(each.interface for each in planned)
    for name, count in counts.items():
        if count > 1:
            entries = ", ".join(
                f"{each.attachment.index} ({each.network.name})"
                for each in planned
                if each.interface == name
            )
            yield InvalidAttachmentError(
                f"{pod}: entries {entries} would all have the interface name {name!r}; give their "
                "DanmNets different container_prefix values"
            )
    primary = next((each for each in planned if each.interface == PRIMARY_INTERFACE), None)
    if primary is None and PRIMARY_INTERFACE not in present:
        names = ", ".join(each.interface for each in planned)
        yield InvalidAttachmentError(
            f"{pod}: no entry gives an interface named eth0 (there are: {names}), and the "
            "container runtime takes the Pod's address from eth0; put a network without "
            "container_prefix, or with container_prefix eth0, first"
        )
    elif (
        primary is not None
        and not isinstance(primary.spec.network_type, StaticDelegate)
        and _without_address(primary.attachment)
    ):
        yield InvalidAttachmentError(
            f"{pod}, entry {primary.attachment.index}: eth0 has no address, and the container "
            "runtime takes the Pod's address from eth0; ask for an ip or ip6 there"
        )


def _errors_of_name(
    pod: PodIdentity, asked: InterfaceName, names: Collection[str]
) -> Iterator[DanmError]:
    """CNI specification 1.1.0, section 2: a plugin that cannot use CNI_IFNAME returns an error."""
    if asked not in names and asked != PRIMARY_INTERFACE:
        yield CniRequestError(
            f"{pod}: the variable CNI_IFNAME is {asked!r}, and the Pod's annotation gives the "
            f"interfaces {', '.join(sorted(names))}; give a DanmNet the container_prefix {asked}",
            code=CniCode.INVALID_ENVIRONMENT,
        )


def _with_metrics(planned: Sequence[PlannedAttachment]) -> tuple[PlannedAttachment, ...]:
    """Give a destination that several interfaces route a metric on all but the first."""
    seen: set[IPNetwork] = set()
    result = []
    for position, each in enumerate(planned):
        routes = tuple(
            (
                replace(route, metric=position * _METRIC_STEP)
                if route.table is None and route.destination in seen
                else route
            )
            for route in each.routes
        )
        seen.update(route.destination for route in each.routes if route.table is None)
        result.append(replace(each, routes=routes))
    return tuple(result)


def require_parents(
    pod: PodIdentity, planned: Sequence[PlannedAttachment], present: Mapping[str, int | None]
) -> None:
    """Find parents that are missing, or too small, before anything is reserved.

    Args:
        pod: Names the Pod in errors.
        planned: All attachments.
        present: The names of the node's links, with their MTU.

    Raises:
        SeveralErrors: Links that are not there (HostLinkMissingError when netwatcher makes them),
            or that a macvlan network's MTU is too large for.
    """
    errors: list[DanmError] = [
        _missing(pod, each) for each in planned if each.parent and each.parent not in present
    ]
    errors += [
        LinkSetupError(
            f"{pod}, entry {each.attachment.index}: mtu {each.spec.mtu} of DanmNet "
            f"{each.network.namespace}/{each.network.name} is more than the {mtu} of this node's "
            f"link {each.parent!r}, which macvlan does not allow; lower Options.mtu, or raise the "
            "link's"
        )
        for each in planned
        if each.spec.network_type is BuiltInType.MACVLAN
        and each.spec.mtu is not None
        and (mtu := present.get(each.parent)) is not None
        and each.spec.mtu > mtu
    ]
    if errors:
        raise SeveralErrors(errors)


def _missing(pod: PodIdentity, planned: PlannedAttachment) -> LinkSetupError:
    kind = LinkSetupError if host_link_name(planned.spec) is None else HostLinkMissingError
    return kind(
        f"{pod}, entry {planned.attachment.index}: this node has no link {planned.parent!r} for "
        f"DanmNet {planned.network.namespace}/{planned.network.name}; netwatcher makes the links "
        "of a vlan or vxlan on host_device (see 'kubectl get danmnodes'), other links are the "
        "node's own: correct Options.host_device"
    )
