"""Requests as the service works with them: the messages of the HTTP API, parsed. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import assert_never

from danm_api.codec.attachment import decode_ipv4_request, decode_ipv6_request
from danm_api.errors import InvalidAttachmentError, InvalidRequestError, Violation
from danm_api.ipam_api import (
    AttachmentRequest,
    ContainerOwnerMessage,
    ExternalOwnerMessage,
    OwnerMessage,
    PodOwnerMessage,
    ReleaseRequest,
    Reservation,
    ReserveRequest,
)
from danm_api.model.attachment import IPv4Request, IPv6Request
from danm_api.model.ip_block import ContainerOwner, ExternalOwner, Held, Owner, PodOwner
from danm_api.names import InterfaceName, Namespace, NetworkName, NetworkUid, NodeName, PodUid

# A Pod has a handful of interfaces; this bounds the work of one request.
MAX_ATTACHMENTS = 64
# Longer than any caller of CNI waits; this bounds how long a request occupies the service.
MAX_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderedAttachment:
    """What one interface is to get.

    Attributes:
        index: Its position in the request.
    """

    index: int
    network: NetworkName
    owner: Owner
    ip: IPv4Request
    ip6: IPv6Request


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveOrder:
    """All attachments of one owner: all or nothing."""

    namespace: Namespace
    node: NodeName
    attempt: int
    attachments: tuple[OrderedAttachment, ...]
    timeout_s: float
    via_fakeipam: bool
    fresh: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseOrder:
    """What an owner gives back.

    Attributes:
        owner: With any interface's name.
        interfaces: Empty means every interface.
    """

    namespace: Namespace
    node: NodeName
    attempt: int
    owner: Owner
    networks: tuple[NetworkName, ...]
    interfaces: frozenset[InterfaceName]
    timeout_s: float


def reserve_order(request: ReserveRequest) -> ReserveOrder:
    """Parse a request for addresses.

    Raises:
        InvalidRequestError: A field at fault is named in its violations.
    """
    violations = list(_check_attachments(request))
    attachments: list[OrderedAttachment] = []
    for index, wanted in enumerate(request.attachments):
        field = f"attachments[{index}]"
        try:
            ip = decode_ipv4_request(wanted.ip, field=f"{field}.ip")
            ip6 = decode_ipv6_request(wanted.ip6, field=f"{field}.ip6")
        except InvalidAttachmentError as error:
            violations += error.violations
            continue
        attachments.append(
            OrderedAttachment(
                index=index,
                network=NetworkName(wanted.network),
                owner=owner_of(request.owner, InterfaceName(wanted.interface)),
                ip=ip,
                ip6=ip6,
            )
        )
    _refuse(violations)
    return ReserveOrder(
        namespace=Namespace(request.owner.namespace),
        node=NodeName(request.node),
        attempt=request.attempt,
        attachments=tuple(attachments),
        timeout_s=min(request.timeout_s, MAX_TIMEOUT_S),
        via_fakeipam=request.via_fakeipam,
        fresh=request.fresh,
    )


def release_order(request: ReleaseRequest) -> ReleaseOrder:
    """Parse a request to give addresses back.

    Raises:
        InvalidRequestError: A field at fault is named in its violations.
    """
    violations = [*_check_owner(request.owner, node=request.node)]
    if len(request.networks) > MAX_ATTACHMENTS:
        violations.append(_violation("networks", f"names more than {MAX_ATTACHMENTS} networks"))
    _refuse(violations)
    return ReleaseOrder(
        namespace=Namespace(request.owner.namespace),
        node=NodeName(request.node),
        attempt=request.attempt,
        owner=owner_of(request.owner, InterfaceName("")),
        networks=tuple(NetworkName(name) for name in sorted(set(request.networks))),
        interfaces=frozenset(InterfaceName(name) for name in request.interfaces),
        timeout_s=min(request.timeout_s, MAX_TIMEOUT_S),
    )


def owner_of(message: OwnerMessage, interface: InterfaceName) -> Owner:
    """Return the owner of one interface."""
    match message:
        case PodOwnerMessage():
            return PodOwner(
                namespace=Namespace(message.namespace),
                name=message.name,
                uid=PodUid(message.uid),
                interface=interface,
            )
        case ContainerOwnerMessage():
            return ContainerOwner(
                namespace=Namespace(message.namespace),
                container_id=message.container_id,
                interface=interface,
            )
        case ExternalOwnerMessage():
            return ExternalOwner(
                namespace=Namespace(message.namespace),
                name=message.name,
                reason=message.reason,
                expires=message.expires,
            )
    assert_never(message)


def reservation_of(network: NetworkName, network_uid: NetworkUid, held: Held) -> Reservation:
    """Return an entry as look-up and list show it."""
    interface = "" if isinstance(held.owner, ExternalOwner) else held.owner.interface
    return Reservation(
        network=network,
        network_uid=network_uid,
        address=str(held.address),
        owner=_owner_message(held.owner),
        interface=interface,
        node=held.node,
        attempt=held.attempt,
        since=held.since,
        mac=held.mac,
    )


def _owner_message(owner: Owner) -> OwnerMessage:
    match owner:
        case PodOwner():
            return PodOwnerMessage(namespace=owner.namespace, name=owner.name, uid=owner.uid)
        case ContainerOwner():
            return ContainerOwnerMessage(namespace=owner.namespace, container_id=owner.container_id)
        case ExternalOwner():
            return ExternalOwnerMessage(
                namespace=owner.namespace,
                name=owner.name,
                reason=owner.reason,
                expires=owner.expires,
            )
    assert_never(owner)


def _check_attachments(request: ReserveRequest) -> Iterable[Violation]:
    yield from _check_owner(request.owner, node=request.node)
    if not request.attachments:
        yield _violation("attachments", "is empty; name at least one network")
    if len(request.attachments) > MAX_ATTACHMENTS:
        yield _violation("attachments", f"has more than {MAX_ATTACHMENTS} entries")
    seen: set[str] = set()
    external = isinstance(request.owner, ExternalOwnerMessage)
    for index, wanted in enumerate(request.attachments):
        yield from _check_attachment(index, wanted, external=external)
        # An interface has one attachment; an external owner has one address on a network.
        name = wanted.network if external else wanted.interface
        if name in seen:
            what = "network" if external else "interface"
            yield _violation(f"attachments[{index}].{what}", f"{name} is named twice")
        seen.add(name)


def _check_attachment(
    index: int, wanted: AttachmentRequest, *, external: bool
) -> Iterable[Violation]:
    if not wanted.network:
        yield _violation(f"attachments[{index}].network", "is empty; name a DanmNet")
    if external and wanted.interface:
        yield _violation(f"attachments[{index}].interface", "must be empty for an external owner")
    if not external and not wanted.interface:
        yield _violation(f"attachments[{index}].interface", "is empty; name the interface")


def _check_owner(owner: OwnerMessage, *, node: str) -> Iterable[Violation]:
    if not owner.namespace:
        yield _violation("owner.namespace", "is empty")
    match owner:
        case PodOwnerMessage():
            if not owner.uid or not owner.name:
                yield _violation("owner", "needs the Pod's name and uid")
        case ContainerOwnerMessage():
            if not owner.container_id:
                yield _violation("owner.containerId", "is empty")
        case ExternalOwnerMessage():
            if not owner.name:
                yield _violation("owner.name", "is empty; choose a name")
            if owner.expires is not None and owner.expires.tzinfo is None:
                yield _violation("owner.expires", "needs a time zone, such as a closing Z")
    external = isinstance(owner, ExternalOwnerMessage)
    if external and node:
        yield _violation("node", "must be empty for an external owner")
    if not external and not node:
        yield _violation("node", "is empty; name the node of the Pod or container")


def _violation(field: str, message: str) -> Violation:
    return Violation(field=field, rule="I2", message=message)


def _refuse(violations: list[Violation]) -> None:
    if violations:
        reason = "the request is not valid: " + "; ".join(map(str, violations))
        raise InvalidRequestError(reason, violations=violations)
