"""Requests as the service works with them: the messages of the HTTP API, parsed. Pure."""

from dataclasses import dataclass
from datetime import UTC
from typing import assert_never

from danm_api.codec.attachment import decode_ipv4_request, decode_ipv6_request
from danm_api.errors import InvalidAttachmentError
from danm_api.ipam_api import (
    MAX_TIMEOUT_S,
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
from ipam_svc.address_space import VERSIONS, Version
from ipam_svc.request_rules import check_release, check_reserve, refusal


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
        families: Of an external owner: what its reserve can have taken.
    """

    namespace: Namespace
    node: NodeName
    attempt: int
    owner: Owner
    networks: tuple[NetworkName, ...]
    interfaces: frozenset[InterfaceName]
    timeout_s: float
    families: frozenset[Version]


def reserve_order(request: ReserveRequest) -> ReserveOrder:
    """Parse a request for addresses.

    Raises:
        InvalidRequestError: A field at fault is named in its violations.
    """
    violations = list(check_reserve(request))
    if violations:
        raise refusal(violations)
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
    if violations:
        raise refusal(violations)
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
    violations = check_release(request)
    if violations:
        raise refusal(violations)
    return ReleaseOrder(
        namespace=Namespace(request.owner.namespace),
        node=NodeName(request.node),
        attempt=request.attempt,
        owner=owner_of(request.owner, InterfaceName("")),
        networks=tuple(NetworkName(name) for name in sorted(set(request.networks))),
        interfaces=frozenset(InterfaceName(name) for name in request.interfaces),
        timeout_s=min(request.timeout_s, MAX_TIMEOUT_S),
        families=frozenset(
            version for version in VERSIONS if not request.families or version in request.families
        ),
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
                expires=None if message.expires is None else message.expires.astimezone(UTC),
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
