"""The wire form of Events (events.k8s.io/v1), which DANM only writes. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from danm_api.codec.lease import encode_micro_time
from danm_api.codec.meta import RawObject, decode_metadata
from danm_api.names import API_VERSION

# Limits of the API server's validation (note, action and reason of events.k8s.io/v1).
MAX_NOTE_LENGTH: Final = 1024
"""Bytes."""
_MAX_REASON_LENGTH: Final = 128
_ELLIPSIS: Final = "..."

# Events of cluster-scoped objects live here: the API server insists.
_CLUSTER_SCOPED_NAMESPACE: Final = "default"


class EventType(StrEnum):
    """How a person should take an Event."""

    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectReference:
    """The object that an Event is about; ``namespace`` is empty for cluster-scoped kinds."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str

    @property
    def event_namespace(self) -> str:
        """Return where Events about the object live."""
        return self.namespace or _CLUSTER_SCOPED_NAMESPACE


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened to an object.

    Attributes:
        name: The Event's own name, unique in its namespace.
        regarding: The object.
        type: Normal or Warning.
        reason: One CamelCase word for programs.
        note: A sentence for people; cut to what the API server takes.
        component: Who reports, such as ``danm.k8s.io/svcwatcher``.
        instance: Which of them: the Pod or node.
        time: When it happened first.
    """

    name: str
    regarding: ObjectReference
    type: EventType
    reason: str
    note: str
    component: str
    instance: str
    time: datetime


def reference_to(raw: RawObject) -> ObjectReference:
    """Return the reference to an object in its JSON form.

    Raises:
        InvalidObjectError: It has no usable metadata.
    """
    metadata = decode_metadata(raw)
    return ObjectReference(
        api_version=str(raw.get("apiVersion", "")),
        kind=str(raw.get("kind", "")),
        namespace=metadata.namespace,
        name=metadata.name,
        uid=metadata.uid,
    )


def reference_to_network(*, namespace: str, name: str, uid: str) -> ObjectReference:
    """Return the reference to a DanmNet; ``uid`` is empty where it is not known."""
    return ObjectReference(
        api_version=API_VERSION, kind="DanmNet", namespace=namespace, name=name, uid=uid
    )


def encode_event(event: Event) -> RawObject:
    """Return the JSON form to create."""
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": event.name, "namespace": event.regarding.event_namespace},
        "eventTime": encode_micro_time(event.time),
        "type": event.type.value,
        "reason": event.reason[:_MAX_REASON_LENGTH],
        # The API wants an action; DANM's Events tell states, whose reason says it all.
        "action": event.reason[:_MAX_REASON_LENGTH],
        "note": _shortened(event.note),
        "reportingController": event.component,
        "reportingInstance": event.instance[:_MAX_REASON_LENGTH],
        "regarding": {
            "apiVersion": event.regarding.api_version,
            "kind": event.regarding.kind,
            "namespace": event.regarding.namespace,
            "name": event.regarding.name,
            "uid": event.regarding.uid,
        },
    }


def encode_series_patch(count: int, last_observed: datetime) -> RawObject:
    """Return the merge patch that says how often an Event has happened; ``count`` from 2 on."""
    return {"series": {"count": count, "lastObservedTime": encode_micro_time(last_observed)}}


def _shortened(note: str) -> str:
    """Cut to bytes, since the API server counts bytes."""
    if len(note.encode()) <= MAX_NOTE_LENGTH:
        return note
    room = MAX_NOTE_LENGTH - len(_ELLIPSIS)
    return note.encode()[:room].decode(errors="ignore") + _ELLIPSIS
