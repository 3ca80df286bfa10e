"""The rules of the API server that concern one object, for ``FakeKube``.

Pure: objects go in and new objects come out; nothing is changed in place.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from uuid import uuid4

import msgspec

from danm_api.errors import ApiError, InvalidObjectError
from danm_api.kube.api import (
    DANMNETS,
    DANMNODES,
    Answer,
    JsonPatch,
    MergePatch,
    RawObject,
    Resource,
    WatchEvent,
    WatchType,
)
from danm_api.names import GROUP
from danm_api.testing.patches import apply_json_patch, merge
from danm_api.testing.selectors import Predicate, matcher

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One write: ``old`` is None for a creation, ``new`` for a deletion."""

    version: int
    old: RawObject | None
    new: RawObject | None


def new_object(
    resource: Resource, body: RawObject, namespace: str | None, *, timestamp: str
) -> RawObject:
    """Return ``body`` as the server completes it at its creation, without its resourceVersion.

    Raises:
        ApiError: With status 400 when the namespaces do not match.
        InvalidObjectError: It has no name.
    """
    raw = copy_json(body)
    metadata = raw.setdefault("metadata", {})
    if resource.namespaced is not bool(namespace) or (
        metadata.get("namespace", namespace) != namespace
    ):
        raise ApiError(
            f"{resource.kind}: the namespace of the object does not match the request's",
            status=400,
        )
    if "name" not in metadata:
        if not metadata.get("generateName"):
            raise InvalidObjectError(f"{resource.kind}: name or generateName is required")
        metadata["name"] = f"{metadata['generateName']}{uuid4().hex[:5]}"
    if namespace:
        metadata["namespace"] = namespace
    raw.setdefault("apiVersion", resource.api_version)
    raw.setdefault("kind", resource.kind)
    metadata.setdefault("uid", str(uuid4()))
    metadata.setdefault("creationTimestamp", timestamp)
    if has_generation(resource):
        metadata["generation"] = 1
    if has_status_subresource(resource):
        raw.pop("status", None)
    return raw


def copy_json(value: T) -> T:
    """Copy by way of JSON, which refuses what could not travel to a real server."""
    copied: T = msgspec.json.decode(msgspec.json.encode(value))
    return copied


def answered(raw: RawObject, answer: Answer) -> RawObject:
    """Return what a writer is answered: an object as stored, or its metadata."""
    if answer is Answer.OBJECT:
        return copy_json(raw)
    return {
        "apiVersion": "meta.k8s.io/v1",
        "kind": "PartialObjectMetadata",
        "metadata": copy_json(raw["metadata"]),
    }


def title(resource: Resource, raw: RawObject) -> str:
    """Name an object as the API server's messages do."""
    return f'{resource.plural} "{raw["metadata"]["name"]}"'


def has_status_subresource(resource: Resource) -> bool:
    """Say whether ``status`` is written apart, as deploy/crds says.

    Pods, Nodes and Services have the subresource as well, but here their status is written with
    the rest, so that tests seed and change them in one step.
    """
    return resource in (DANMNETS, DANMNODES)


def has_generation(resource: Resource) -> bool:
    """Say whether changes of what is wanted are counted: in all custom resources."""
    return resource.group == GROUP


def selection(namespace: str | None, label_selector: str, field_selector: str) -> Predicate:
    """Return the predicate of a list or watch.

    Raises:
        ApiError: With status 400 when a selector does not parse.
    """
    try:
        matches = matcher(label_selector=label_selector, field_selector=field_selector)
    except ValueError as error:
        raise ApiError(str(error), status=400) from error

    def selects(raw: RawObject) -> bool:
        in_namespace = namespace is None or raw["metadata"].get("namespace") == namespace
        return in_namespace and matches(raw)

    return selects


def watch_event(change: Change, selects: Predicate) -> WatchEvent | None:
    """Say what a watch with a selector sees: leaving the selection looks like a deletion."""
    was = change.old is not None and selects(change.old)
    if change.new is not None and selects(change.new):
        kind = WatchType.MODIFIED if was else WatchType.ADDED
        return WatchEvent(type=kind, object=copy_json(change.new))
    if was:
        last = change.new or change.old or {}
        return WatchEvent(type=WatchType.DELETED, object=copy_json(last))
    return None


def patched(resource: Resource, old: RawObject, patch: MergePatch | JsonPatch) -> RawObject:
    """Return ``old`` after a patch of either form.

    Raises:
        InvalidObjectError: A JSON patch does not apply.
    """
    if not isinstance(patch, list):
        merged: RawObject = merge(old, copy_json(patch))
        return merged
    try:
        return apply_json_patch(old, copy_json(patch))
    except ValueError as error:
        raise InvalidObjectError(f"{title(resource, old)}: {error}") from error


_TENANTS: Final = ("labels", "annotations")


def updated(resource: Resource, old: RawObject, body: RawObject, subresource: str) -> RawObject:
    """Return ``old`` with what ``body`` may change through this (sub)resource."""
    if subresource == "status":
        new = {key: value for key, value in old.items() if key != "status"}
        if "status" in body:
            new["status"] = body["status"]
        if not resource.group:
            # Of a Pod labels and annotations are written this way, too; of our kinds they are not.
            kept = {key: old["metadata"].get(key) for key in _TENANTS}
            given = {key: body.get("metadata", {}).get(key, kept[key]) for key in _TENANTS}
            present = {key: value for key, value in given.items() if value is not None}
            new["metadata"] = {**old["metadata"], **present}
        return new
    new = dict(body)
    new["metadata"] = {**body.get("metadata", {})}
    if has_status_subresource(resource):
        new.pop("status", None)
        if "status" in old:
            new["status"] = old["status"]
    new.setdefault("apiVersion", old["apiVersion"])
    new.setdefault("kind", old["kind"])
    # The server's own fields are not the writer's.
    for key in ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp"):
        new["metadata"].pop(key, None)
        if key in old["metadata"]:
            new["metadata"][key] = old["metadata"][key]
    new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
    if has_generation(resource):
        new["metadata"]["generation"] = old["metadata"]["generation"]
        if _desired(resource, new) != _desired(resource, old):
            new["metadata"]["generation"] += 1
    return new


def _desired(resource: Resource, raw: Mapping[str, Any]) -> dict[str, Any]:
    apart = ("metadata", "status") if has_status_subresource(resource) else ("metadata",)
    return {key: value for key, value in raw.items() if key not in apart}
