"""The messages and paths of ipam-svc's HTTP API, version 1. Pure.

These frozen structs are the wire form (camelCase keys) and what code works with: they hold text
where the network's own rules must judge it (addresses of a request), and the service turns them
into the model's types at its edge.
"""

from datetime import datetime
from typing import Final

import msgspec

PREFIX: Final = "/apis/ipam.danm.k8s.io/v1"
RESERVE_PATH: Final = f"{PREFIX}/reserve"
RELEASE_PATH: Final = f"{PREFIX}/release"
# GET; {namespace} and {network} or {node} are filled in by the functions below.
NETWORK_RESERVATIONS_PATH: Final = (
    f"{PREFIX}/namespaces/{{namespace}}/networks/{{network}}/reservations"
)
NETWORK_USAGE_PATH: Final = f"{PREFIX}/namespaces/{{namespace}}/networks/{{network}}/usage"
NODE_RESERVATIONS_PATH: Final = f"{PREFIX}/nodes/{{node}}/reservations"

# TokenReview's audience: a token for the API server is no token for ipam-svc, and the other way
# round.
AUDIENCE: Final = "ipam.danm.k8s.io"

# Objects in the system namespace.
TRUST_CONFIG_MAP: Final = "danm-ipam-trust"
TRUST_KEY: Final = "ca.crt"
CA_SECRET: Final = "danm-ipam-ca"
SERVICE_NAME: Final = "danm-ipam"


class _Message(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Base of all messages; unknown fields of a later release are ignored."""


class PodOwnerMessage(_Message, frozen=True, kw_only=True, tag_field="kind", tag="Pod"):
    """A Pod; each attachment adds its interface's name (SPEC G7)."""

    namespace: str
    name: str
    uid: str


class ContainerOwnerMessage(_Message, frozen=True, kw_only=True, tag_field="kind", tag="Container"):
    """A container that is no Pod (SPEC F2)."""

    namespace: str
    container_id: str


class ExternalOwnerMessage(_Message, frozen=True, kw_only=True, tag_field="kind", tag="External"):
    """Somebody outside of Pods (SPEC I3)."""

    namespace: str
    name: str
    reason: str = ""
    expires: datetime | None = None


OwnerMessage = PodOwnerMessage | ContainerOwnerMessage | ExternalOwnerMessage


class AttachmentRequest(_Message, frozen=True, kw_only=True):
    """The addresses wanted for one interface.

    Attributes:
        network: A DanmNet in the owner's namespace.
        interface: The interface's name in the Pod; for an external owner "".
        ip: "dynamic", "none", or an address with prefix length.
        ip6: The same for IPv6.
    """

    network: str
    interface: str
    ip: str = "none"
    ip6: str = "none"


class ReserveRequest(_Message, frozen=True, kw_only=True):
    """All attachments of one owner: all or nothing.

    Attributes:
        node: The node of a Pod or container; empty for external owners.
        attempt: Larger than of every earlier send for the owner (DESIGN, "Attempts fence").
        timeout_s: How long the caller will wait for the answer.
        via_fakeipam: The request comes from fakeipam, so the networks must admit it (SPEC F2).
        fresh: The caller never sent a reserve for this owner before, so there is nothing that a
            consistent read could find; it saves that read. When in doubt leave it False.
    """

    owner: OwnerMessage
    attempt: int
    attachments: list[AttachmentRequest]
    node: str = ""
    timeout_s: float = 5.0
    via_fakeipam: bool = False
    fresh: bool = False


class AttachmentAnswer(_Message, frozen=True, kw_only=True):
    """The addresses that one interface holds.

    Attributes:
        ip: Address with prefix length, or None.
        ip6: Address with prefix length, or None.
        mac: SPEC G6.
        network_uid: Which DanmNet of that name it was.
    """

    network: str
    network_uid: str
    interface: str
    mac: str
    ip: str | None = None
    ip6: str | None = None


class ReserveAnswer(_Message, frozen=True, kw_only=True):
    """In the order of the request's attachments."""

    attempt: int
    attachments: list[AttachmentAnswer]


class ReleaseRequest(_Message, frozen=True, kw_only=True):
    """Give back what an owner holds under exactly this attempt.

    Attributes:
        networks: The networks to look at; DanmNets that are gone are no error.
        interfaces: Only these; empty means every interface of the owner.
    """

    owner: OwnerMessage
    attempt: int
    networks: list[str]
    interfaces: list[str] = []
    node: str = ""
    timeout_s: float = 5.0


class Reservation(_Message, frozen=True, kw_only=True):
    """One entry of the record, as look-up and list show it."""

    network: str
    network_uid: str
    address: str
    owner: OwnerMessage
    interface: str
    node: str
    attempt: int
    since: datetime
    mac: str


class ReleaseAnswer(_Message, frozen=True, kw_only=True):
    """What was freed, and what stayed because another attempt or another node holds it."""

    released: list[Reservation]
    kept: list[Reservation] = []


class ReservationList(_Message, frozen=True, kw_only=True):
    """Entries of a network or of a node.

    Attributes:
        next: Token of the next page; empty at the end.
    """

    items: list[Reservation]
    next: str = ""


class FamilyUsage(_Message, frozen=True, kw_only=True):
    """SPEC A4; ``ranges`` is readable."""

    total: int
    used: int
    free: int
    ranges: str


class NetworkUsage(_Message, frozen=True, kw_only=True):
    """How full a network is."""

    network: str
    network_uid: str
    ipv4: FamilyUsage | None = None
    ipv6: FamilyUsage | None = None


class FieldViolation(_Message, frozen=True, kw_only=True):
    """One broken rule of a refused request."""

    field: str
    rule: str
    message: str


class Problem(_Message, frozen=True, kw_only=True):
    """An RFC 9457 problem document (application/problem+json).

    Attributes:
        type: ``urn:danm:error:<name of the error class in danm_api.errors>``.
        detail: The error's reason.
        current_attempt: Of a StaleAttemptError.
        retry_after_s: When it is worth asking again, of an OverloadedError.
    """

    type: str
    title: str
    status: int
    detail: str
    transient: bool = False
    violations: list[FieldViolation] = []
    current_attempt: int | None = None
    retry_after_s: float | None = None


def network_reservations_path(namespace: str, network: str) -> str:
    """Return the path of a network's reservations."""
    return NETWORK_RESERVATIONS_PATH.format(namespace=namespace, network=network)


def network_usage_path(namespace: str, network: str) -> str:
    """Return the path of a network's usage."""
    return NETWORK_USAGE_PATH.format(namespace=namespace, network=network)


def node_reservations_path(node: str) -> str:
    """Return the path of a node's reservations."""
    return NODE_RESERVATIONS_PATH.format(node=node)
