"""From the API server's bytes to objects, pages and events. Pure.

All functions raise msgspec.DecodeError for what they cannot read.
"""

from typing import Final

import msgspec

from danm_api.kube.api import ObjectList, RawObject, Resource, WatchEvent, WatchType
from danm_api.kube.api_errors import Status, error_of_status


class _ListMetadata(msgspec.Struct, frozen=True, rename={"next_page": "continue"}):
    resourceVersion: str = ""  # noqa: N815  (the wire's name)
    next_page: str = ""


class _Page(msgspec.Struct, frozen=True):
    metadata: _ListMetadata
    items: list[RawObject] | None = None


class _Event(msgspec.Struct, frozen=True):
    type: str
    object: msgspec.Raw


class _EventMetadata(msgspec.Struct, frozen=True):
    """What an object must have for a watch to go on after it."""

    resourceVersion: str  # noqa: N815  (the wire's name)


_PAGE_DECODER: Final = msgspec.json.Decoder(_Page)
_EVENT_DECODER: Final = msgspec.json.Decoder(_Event)
_OBJECT_DECODER: Final = msgspec.json.Decoder(RawObject)
_STATUS_DECODER: Final = msgspec.json.Decoder(Status)


def decode_object(body: bytes | msgspec.Raw) -> RawObject:
    """Return one object."""
    return _OBJECT_DECODER.decode(body)


def decode_page(resource: Resource, body: bytes) -> tuple[ObjectList, str]:
    """Return one page of a list and the token of the next, empty after the last.

    Lists of built-in kinds leave out what each object is: it is added.
    """
    page = _PAGE_DECODER.decode(body)
    items = page.items or []
    for item in items:
        item.setdefault("apiVersion", resource.api_version)
        item.setdefault("kind", resource.kind)
    listed = ObjectList(items=items, resource_version=page.metadata.resourceVersion)
    return listed, page.metadata.next_page


def decode_event(request: str, line: bytes) -> WatchEvent:
    """Return one event of a watch.

    Raises:
        DanmError: It is an ERROR event: what it means.
    """
    event = _EVENT_DECODER.decode(line)
    if event.type == "ERROR":
        status = _STATUS_DECODER.decode(event.object)
        raise error_of_status(request, status.code, status)
    changed = _OBJECT_DECODER.decode(event.object)
    msgspec.convert(changed.get("metadata"), _EventMetadata)
    return WatchEvent(type=msgspec.convert(event.type, WatchType), object=changed)
