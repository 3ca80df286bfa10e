"""Every operation of the HTTP API: what it takes, what it gives, how it is refused.

``http_api`` serves these paths, ``openapi`` tells of them; a test keeps both in step.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import msgspec

from danm_api.ipam_api import (
    MAX_NAME_LENGTH,
    NAMESPACE_RESERVATIONS_PATH,
    NETWORK_RESERVATIONS_PATH,
    NETWORK_USAGE_PATH,
    NODE_RESERVATIONS_PATH,
    OBJECT_NAME_PATTERN,
    RELEASE_PATH,
    RESERVE_PATH,
    AttachmentAnswer,
    AttachmentRequest,
    ExternalOwnerMessage,
    FamilyUsage,
    NetworkUsage,
    PodOwnerMessage,
    ReleaseAnswer,
    ReleaseRequest,
    Reservation,
    ReservationList,
    ReserveAnswer,
    ReserveRequest,
)

OPENAPI_PATH: Final = "/openapi.json"
PAGE_PATH: Final = "/openapi.html"
METRICS_PATH: Final = "/metrics"

# What each status means; docs/specification.md and the problem document say which rule it was.
REFUSALS: Final[Mapping[int, str]] = {
    400: "The request cannot be read or breaks a rule; `violations` has every field at fault.",
    401: "There is no token, or it proves nothing.",
    403: "The caller may not: a verb is missing, or the Pod is another node's.",
    404: "There is no such DanmNet, Pod or path.",
    408: "The body did not arrive in time.",
    409: "The pool is exhausted, the address is another owner's, or a later attempt of this owner"
    " is known (`currentAttempt`).",
    413: "The body is too large.",
    422: "The DanmNet, or the annotation of the Pod, breaks a rule.",
    429: "This caller asks more than its share.",
    431: "A header, or the path with its query, is too long.",
    500: "A bug of the service; its log says more.",
    502: "The API server refused what it was asked on the way.",
    503: "Try again: a queue is full, a time is over, the DanmNet is not ready, or the API server"
    " does not answer.",
}
_ALWAYS: Final = (400, 401, 403, 429, 431, 500, 502, 503)
_WITH_BODY: Final = (*_ALWAYS, 408, 413)

_PARAMETERS: Final = {
    "namespace": ("The DanmNet's namespace.", "office"),
    "network": ("The DanmNet's name.", "lan"),
    "node": ("The node's name.", "node-1"),
}

_PRINTER: Final = ExternalOwnerMessage(
    namespace="office",
    name="printer",
    reason="third floor",
    expires=datetime(2030, 1, 1, tzinfo=UTC),
)
_WEB: Final = PodOwnerMessage(
    namespace="office", name="web-0", uid="7d1f4e52-9c1d-4a53-8a54-0d2a63c0b1aa"
)
_ATTEMPT: Final = 1767225600000
_UID: Final = "0b7c1c5e-40a1-4f0c-9a4e-7f4c8f6f2a11"
_MAC: Final = "fa:16:3e:00:00:07"
_HELD: Final = Reservation(
    network="lan",
    network_uid=_UID,
    address="10.0.0.7",
    owner=_PRINTER,
    interface="",
    node="",
    attempt=_ATTEMPT,
    since=datetime(2026, 1, 1, tzinfo=UTC),
    mac=_MAC,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation.

    Attributes:
        name: Its identifier, for generated clients.
        request: The type of its body; None without one.
        answer: The type of a good answer; None for one that is no message.
        media_type: Of a good answer that is no message.
        on_demand: Media types that such an answer may have as well, for those who accept them.
        security: The scheme of the document by which callers prove who they are.
        queries: Whether it takes the parameters of ``ReservationQuery``.
        tagged: Whether its answers carry an ETag.
        refusals: The statuses of ``REFUSALS`` that it may be answered with.
    """

    name: str
    tag: str
    method: str
    path: str
    summary: str
    description: str
    done: str
    request: type[msgspec.Struct] | None = None
    answer: type[msgspec.Struct] | None = None
    media_type: str = "application/json"
    on_demand: tuple[str, ...] = ()
    security: str = "token"
    queries: bool = False
    tagged: bool = False
    refusals: tuple[int, ...] = _ALWAYS
    requests: Mapping[str, msgspec.Struct] = field(default_factory=dict)
    answers: Mapping[str, msgspec.Struct] = field(default_factory=dict)

    def path_parameters(self) -> list[tuple[str, str, str, int, str]]:
        """Return name, description, pattern, longest length and example of each."""
        names = [step[1:-1] for step in self.path.split("/") if step.startswith("{")]
        return [
            (name, what, f"^{OBJECT_NAME_PATTERN}$", MAX_NAME_LENGTH, example)
            for name in names
            for what, example in [_PARAMETERS[name]]
        ]


def _document(name: str, path: str, media_type: str, summary: str) -> Operation:
    return Operation(
        name=name,
        tag="document",
        method="GET",
        path=path,
        summary=summary,
        description="For everybody with a token.",
        done="The document.",
        media_type=media_type,
        # Nothing of the cluster is looked at.
        refusals=(401, 429, 431, 500, 502, 503),
    )


OPERATIONS: Final = (
    Operation(
        name="reserve",
        tag="reservations",
        method="POST",
        path=RESERVE_PATH,
        summary="Reserve all attachments of an owner: all or nothing.",
        description="Needs the verb create. Asking again for the same owner, with a larger attempt,"
        " gives the same addresses; for an external owner it also renews the expiry.",
        done="All is held, under the attempt that the answer carries.",
        request=ReserveRequest,
        answer=ReserveAnswer,
        refusals=tuple(sorted((*_WITH_BODY, 404, 409, 422))),
        requests={
            "external": ReserveRequest(
                owner=_PRINTER,
                attempt=_ATTEMPT,
                attachments=[AttachmentRequest(network="lan", interface="", ip="dynamic")],
            ),
            "pod": ReserveRequest(
                owner=_WEB,
                node="node-1",
                attempt=_ATTEMPT,
                attachments=[
                    AttachmentRequest(network="lan", interface="eth0", ip="dynamic"),
                    AttachmentRequest(network="san", interface="eth1", ip6="2001:db8::7/64"),
                ],
            ),
        },
        answers={
            "external": ReserveAnswer(
                attempt=_ATTEMPT,
                attachments=[
                    AttachmentAnswer(
                        network="lan",
                        network_uid=_UID,
                        interface="",
                        mac=_MAC,
                        ip="10.0.0.7/24",
                    )
                ],
            )
        },
    ),
    Operation(
        name="release",
        tag="reservations",
        method="POST",
        path=RELEASE_PATH,
        summary="Give back what an owner holds under exactly one attempt.",
        description="Needs the verb delete. What is not held any more, and networks that are gone,"
        " are no error, so it may be repeated.",
        done="What is in `released` is free; what is in `kept` is held by another attempt or node.",
        request=ReleaseRequest,
        answer=ReleaseAnswer,
        refusals=tuple(sorted(_WITH_BODY)),
        requests={
            "external": ReleaseRequest(owner=_PRINTER, attempt=_ATTEMPT, networks=["lan"]),
        },
        answers={"external": ReleaseAnswer(released=[_HELD])},
    ),
    Operation(
        name="listNetwork",
        tag="lists",
        method="GET",
        path=NETWORK_RESERVATIONS_PATH,
        summary="List the entries of a network, in the order of addresses.",
        description="Needs the verb list; get with `address`, `owner` or `ownerUid`.",
        done="A page of 1000 entries or fewer.",
        answer=ReservationList,
        queries=True,
        refusals=tuple(sorted((*_ALWAYS, 404))),
        answers={"one": ReservationList(items=[_HELD])},
    ),
    Operation(
        name="listNamespace",
        tag="lists",
        method="GET",
        path=NAMESPACE_RESERVATIONS_PATH,
        summary="List the entries of all networks of a namespace.",
        description="In the order of networks and addresses. Needs the verb list; get with"
        " `address`, `owner` or `ownerUid`.",
        done="A page of 1000 entries or fewer.",
        answer=ReservationList,
        queries=True,
        refusals=tuple(sorted((*_ALWAYS, 404))),
        answers={"one": ReservationList(items=[_HELD])},
    ),
    Operation(
        name="listNode",
        tag="lists",
        method="GET",
        path=NODE_RESERVATIONS_PATH,
        summary="List the entries of a node; send If-None-Match to hear of changes only.",
        description="Needs the verb list in all namespaces; a node's danmd lists its own node only."
        " Without `limit` all entries are in one answer.",
        done="The entries.",
        answer=ReservationList,
        queries=True,
        tagged=True,
        refusals=tuple(sorted((*_ALWAYS, 404))),
        answers={
            "one": ReservationList(
                items=[msgspec.structs.replace(_HELD, owner=_WEB, interface="eth0", node="node-1")]
            )
        },
    ),
    Operation(
        name="usage",
        tag="lists",
        method="GET",
        path=NETWORK_USAGE_PATH,
        summary="Say how full a network is.",
        description="Needs the verb get.",
        done="Its addresses in numbers and in words.",
        answer=NetworkUsage,
        refusals=tuple(sorted((*_ALWAYS, 404, 422))),
        answers={
            "one": NetworkUsage(
                network="lan",
                network_uid=_UID,
                ipv4=FamilyUsage(total=254, used=9, free=245, ranges="10.0.0.1-10.0.0.9"),
            )
        },
    ),
    _document("document", OPENAPI_PATH, "application/json", "This document."),
    _document("page", PAGE_PATH, "text/html", "This document as a page to read."),
    Operation(
        name="metrics",
        tag="metrics",
        method="GET",
        path=METRICS_PATH,
        summary="This replica's metrics, for Prometheus.",
        description="Needs a token for the API server, as Prometheus has, and the verb get on the"
        f" nonResourceURL `{METRICS_PATH}`. Each replica counts for itself.",
        done="The metrics in Prometheus' text format, or in OpenMetrics', which has exemplars.",
        media_type="text/plain",
        on_demand=("application/openmetrics-text",),
        security="apiServerToken",
        refusals=(401, 403, 429, 431, 500, 502, 503),
    ),
)
