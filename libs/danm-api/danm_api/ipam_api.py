"""The messages and paths of ipam-svc's HTTP API, version 1. Pure.

These frozen structs are the wire form (camelCase keys) and what code works with: they hold text
where the network's own rules must judge it (addresses of a request), and the service turns them
into the model's types at its edge.
"""

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

PREFIX: Final = "/apis/ipam.danm.k8s.io/v1"
RESERVE_PATH: Final = f"{PREFIX}/reserve"
RELEASE_PATH: Final = f"{PREFIX}/release"
# GET; {namespace} and {network} or {node} are filled in by the functions below.
NETWORK_RESERVATIONS_PATH: Final = (
    f"{PREFIX}/namespaces/{{namespace}}/networks/{{network}}/reservations"
)
NAMESPACE_RESERVATIONS_PATH: Final = f"{PREFIX}/namespaces/{{namespace}}/reservations"
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


# Bounds of what callers send. They are told in the OpenAPI document and judged by the service,
# which names every field at fault; decoding alone would stop at the first one.
MAX_ATTACHMENTS: Final = 64
# Numbers beyond this lose digits in JSON parsers that know doubles only.
MAX_ATTEMPT: Final = 2**53 - 1
MAX_NAME_LENGTH: Final = 253
MAX_REASON_LENGTH: Final = 256
# A text form of an address with its prefix length has 43 characters at most.
MAX_ADDRESS_LENGTH: Final = 64
MAX_PAGE: Final = 1000
MAX_TIMEOUT_S: Final = 30.0
# Kubernetes: names of objects are DNS-1123 subdomains.
_LABEL: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
OBJECT_NAME_PATTERN: Final = rf"{_LABEL}(\.{_LABEL})*"
# Names of external owners, Pods' UIDs, ids of containers.
PLAIN_PATTERN: Final = "[A-Za-z0-9]([-A-Za-z0-9._:/@]*[A-Za-z0-9])?"


def _texts(*examples: str, pattern: str = "", most: int = 0, least: int = 0) -> Meta:
    """Return what the OpenAPI document tells of a text beside its type."""
    schema: dict[str, Any] = {}
    if pattern:
        schema["pattern"] = f"^{pattern}$"
    if least:
        schema["minLength"] = least
    if most:
        schema["maxLength"] = most
    return Meta(examples=list(examples) or None, extra_json_schema=schema or None)


def _numbers(*examples: float, **schema: object) -> Meta:
    return Meta(examples=list(examples) or None, extra_json_schema=dict(schema) or None)


def _lists(**schema: object) -> Meta:
    return Meta(extra_json_schema=dict(schema))


_MOST: Final = MAX_NAME_LENGTH
_NamespaceText = Annotated[str, _texts("office", pattern=OBJECT_NAME_PATTERN, most=_MOST, least=1)]
_NetworkText = Annotated[str, _texts("lan", pattern=OBJECT_NAME_PATTERN, most=_MOST, least=1)]
_PodText = Annotated[str, _texts("web-0", pattern=OBJECT_NAME_PATTERN, most=_MOST, least=1)]
_UidText = Annotated[
    str,
    _texts("7d1f4e52-9c1d-4a53-8a54-0d2a63c0b1aa", pattern=PLAIN_PATTERN, most=_MOST, least=1),
]
_ContainerText = Annotated[str, _texts("8f2c1a", pattern=PLAIN_PATTERN, most=_MOST, least=1)]
_OwnerText = Annotated[str, _texts("printer", pattern=PLAIN_PATTERN, most=_MOST, least=1)]
# Empty for external owners.
_NodeText = Annotated[str, _texts("node-1", pattern=rf"({OBJECT_NAME_PATTERN})?", most=_MOST)]
_InterfaceText = Annotated[str, _texts("eth0", most=15)]
_ReasonText = Annotated[str, _texts("third floor", most=MAX_REASON_LENGTH)]
_Address4Text = Annotated[str, _texts("dynamic", "10.0.0.7/24", "none", most=MAX_ADDRESS_LENGTH)]
_Address6Text = Annotated[str, _texts("dynamic", "2001:db8::7/64", "none", most=MAX_ADDRESS_LENGTH)]
_Attempt = Annotated[int, _numbers(1767225600000, minimum=1, maximum=MAX_ATTEMPT)]
_Family = Annotated[int, _numbers(4, enum=[4, 6])]
_Timeout = Annotated[float, _numbers(5.0, exclusiveMinimum=0)]


class _Message(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Base of all messages; unknown fields of a later release are ignored."""


class PodOwnerMessage(_Message, frozen=True, kw_only=True, tag_field="kind", tag="Pod"):
    """A Pod; each attachment adds its interface's name (SPEC G7)."""

    namespace: _NamespaceText
    name: _PodText
    uid: _UidText


class ContainerOwnerMessage(_Message, frozen=True, kw_only=True, tag_field="kind", tag="Container"):
    """A container that is no Pod (SPEC F2)."""

    namespace: _NamespaceText
    container_id: _ContainerText


class ExternalOwnerMessage(_Message, frozen=True, kw_only=True, tag_field="kind", tag="External"):
    """Somebody outside of Pods (SPEC I3).

    Attributes:
        name: An owner is the same owner by its namespace and name.
        reason: For people who look at the record.
        expires: When the address comes back by itself, at the earliest 10 s later, since clocks
            differ; without it never. A later reserve of the same owner renews it: what the newest
            attempt says holds.
    """

    namespace: _NamespaceText
    name: _OwnerText
    reason: _ReasonText = ""
    expires: Annotated[
        datetime | None,
        Meta(examples=["2030-01-01T00:00:00Z"], extra_json_schema={"format": "date-time"}),
    ] = None


OWNER_KINDS: Final = ("Pod", "Container", "External")
OwnerMessage = PodOwnerMessage | ContainerOwnerMessage | ExternalOwnerMessage


class AttachmentRequest(_Message, frozen=True, kw_only=True):
    """The addresses wanted for one interface.

    Attributes:
        network: A DanmNet in the owner's namespace.
        interface: The interface's name in the Pod; for an external owner "".
        ip: "dynamic", "none", or an address with prefix length.
        ip6: The same for IPv6.
    """

    network: _NetworkText
    interface: _InterfaceText
    ip: _Address4Text = "none"
    ip6: _Address6Text = "none"


class ReserveRequest(_Message, frozen=True, kw_only=True):
    """All attachments of one owner: all or nothing.

    Attributes:
        owner: Who will hold the addresses.
        node: The node of a Pod or container; empty for external owners.
        attempt: Larger than of every earlier send for the owner (DESIGN, "Attempts fence").
        attachments: What each interface wants. An external owner has one address of each family
            on a network.
        timeout_s: How long the caller will wait for the answer; 30 s at most.
        via_fakeipam: The request comes from fakeipam, so the networks must admit it (SPEC F2).
        fresh: The caller never sent a reserve for this owner before, so there is nothing that a
            consistent read could find; it saves that read. When in doubt leave it False.
    """

    owner: OwnerMessage
    attempt: _Attempt
    attachments: Annotated[list[AttachmentRequest], _lists(minItems=1, maxItems=MAX_ATTACHMENTS)]
    node: _NodeText = ""
    timeout_s: _Timeout = 5.0
    via_fakeipam: bool = False
    fresh: bool = False


class AttachmentAnswer(_Message, frozen=True, kw_only=True):
    """The addresses that one interface holds.

    Attributes:
        ip: Address with prefix length, or None.
        ip6: Address with prefix length, or None.
        mac: SPEC G6.
        network_uid: Which DanmNet of that name it was.
        wire: What that DanmNet's Pods hang on by the spec that the request was judged by, such as
            ``ens4/vlan/300``: for whoever makes a Pod's interface to compare. None for an external
            owner, and of a release that does not tell.
    """

    network: str
    network_uid: str
    interface: str
    mac: str
    ip: str | None = None
    ip6: str | None = None
    wire: str | None = None


class ReserveAnswer(_Message, frozen=True, kw_only=True):
    """In the order of the request's attachments."""

    attempt: int
    attachments: list[AttachmentAnswer]


class ReleaseRequest(_Message, frozen=True, kw_only=True):
    """Give back what an owner holds under exactly this attempt.

    Attributes:
        owner: Who holds the addresses.
        attempt: The one that the reserve's answer carried.
        networks: The networks to look at; DanmNets that are gone are no error.
        interfaces: Only these; empty means every interface of the owner.
        node: The node of a Pod or container; empty for external owners.
        timeout_s: How long the caller will wait for the answer; 30 s at most.
        families: The IP versions, 4 and 6, that an external owner's reserve has asked for; empty
            means both. Where nothing of one is found, a write that may be late has to be kept from
            taking effect, which costs the more the larger the network is.
    """

    owner: OwnerMessage
    attempt: _Attempt
    networks: Annotated[list[_NetworkText], _lists(maxItems=MAX_ATTACHMENTS)]
    interfaces: Annotated[list[_InterfaceText], _lists(maxItems=MAX_ATTACHMENTS)] = []
    node: _NodeText = ""
    timeout_s: _Timeout = 5.0
    families: Annotated[list[_Family], _lists(maxItems=2)] = []


class Reservation(_Message, frozen=True, kw_only=True):
    """One entry of the record, as look-up and list show it.

    Attributes:
        network_uid: Which DanmNet of that name it is.
        address: Without prefix length.
        interface: Its name in the Pod; empty for an external owner.
        node: The node whose danmd alone may free it; empty for an external owner.
        attempt: The one that holds it.
        since: When it was taken.
        mac: SPEC G6.
    """

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
    """Entries of a network, of a namespace or of a node.

    Attributes:
        next: What the next page's ``continue`` is; empty at the end. Any replica takes it.
    """

    items: list[Reservation]
    next: str = ""


class ReservationQuery(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """Which entries a list shows, and how many of them: the parameters of its query.

    Without a filter all are shown. Several filters have to match at once.

    Attributes:
        address: Only the entry of this address.
        owner: Only owners of this name; for a container its id.
        owner_kind: Only owners of this kind.
        owner_namespace: Only owners of this namespace.
        owner_uid: Only the Pod with this UID.
        interface: Only interfaces of this name.
        node: Only entries of this node.
        attempt: Only entries of exactly this attempt.
        limit: At most so many entries; the answer's ``next`` leads to the others.
        continue_: The ``next`` of the page before. Entries that exist during the whole listing are
            shown exactly once, whichever replicas answer.
    """

    address: Annotated[str, _texts("10.0.0.7", most=MAX_ADDRESS_LENGTH)] = ""
    owner: Annotated[str, _texts("printer", most=_MOST)] = ""
    owner_kind: Annotated[str, Meta(extra_json_schema={"enum": ["", *OWNER_KINDS]})] = ""
    owner_namespace: Annotated[str, _texts("office", most=_MOST)] = ""
    owner_uid: Annotated[str, _texts(most=_MOST)] = ""
    interface: Annotated[str, _texts("eth0", most=15)] = ""
    node: Annotated[str, _texts("node-1", most=_MOST)] = ""
    attempt: Annotated[int | None, _numbers(minimum=1, maximum=MAX_ATTEMPT)] = None
    limit: Annotated[int | None, _numbers(100, minimum=1, maximum=MAX_PAGE)] = None
    continue_: Annotated[str, _texts(most=1024)] = msgspec.field(default="", name="continue")


class FamilyUsage(_Message, frozen=True, kw_only=True):
    """One family's addresses (SPEC A4).

    Attributes:
        total: What can be handed out dynamically, and what is used beside it.
        ranges: The used ones, readable: at most 100 ranges, then "and n more".
    """

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
    """One broken rule of a refused request.

    Attributes:
        field: The field at fault, such as ``attachments[0].ip``, or the parameter's name.
        rule: The rule of docs/specification.md.
        message: What is wrong and what to do.
        pointer: Where the field is in the request's body: a JSON pointer as a URI fragment, such
            as ``#/attachments/0/ip``. Empty for what is no part of the body.
        place: ``path`` or ``query`` for a parameter, otherwise empty.
    """

    field: str
    rule: str
    message: str
    pointer: str = ""
    place: str = ""


class Problem(_Message, frozen=True, kw_only=True):
    """An RFC 9457 problem document (application/problem+json).

    Attributes:
        type: ``urn:danm:error:<name of the error class in danm_api.errors>``.
        title: The status in words.
        status: The HTTP status.
        detail: The error's reason: the object, the rule and the way out.
        transient: The same request may succeed later without anybody changing it.
        violations: Every field at fault, of an InvalidRequestError; of an InvalidNetworkError the
            fields of the DanmNet.
        current_attempt: Of a StaleAttemptError.
        retry_after_s: When it is worth asking again, of an OverloadedError.
        nothing_taken: Of a refused reserve: nothing was taken under its attempt, nor will be, so it
            need not be released.
    """

    type: str
    title: str
    status: int
    detail: str
    transient: bool = False
    violations: list[FieldViolation] = []
    current_attempt: int | None = None
    retry_after_s: float | None = None
    nothing_taken: bool = False


def namespace_reservations_path(namespace: str) -> str:
    """Return the path of the reservations of all networks of a namespace."""
    return NAMESPACE_RESERVATIONS_PATH.format(namespace=namespace)


def network_reservations_path(namespace: str, network: str) -> str:
    """Return the path of a network's reservations."""
    return NETWORK_RESERVATIONS_PATH.format(namespace=namespace, network=network)


def network_usage_path(namespace: str, network: str) -> str:
    """Return the path of a network's usage."""
    return NETWORK_USAGE_PATH.format(namespace=namespace, network=network)


def node_reservations_path(node: str) -> str:
    """Return the path of a node's reservations."""
    return NODE_RESERVATIONS_PATH.format(node=node)
