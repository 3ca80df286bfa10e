"""The objects of ``FakeKube`` and their history: every write, in one order."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from danm_api.errors import ConflictError, InvalidObjectError, NotFoundError
from danm_api.kube.api import RawObject, Resource
from danm_api.testing.object_rules import Change, new_object, title, updated

_Key = tuple[str, str]  # namespace ("" when cluster-scoped), name

_CONFLICT_REASON: Final = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


@dataclass(kw_only=True, slots=True)
class _Kind:
    """All objects of one resource, and their history."""

    objects: dict[_Key, RawObject] = field(default_factory=dict)
    history: list[Change] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, slots=True)
class Backup:
    """All that was stored at one moment."""

    version: int
    kinds: dict[Resource, _Kind]


class LastFinalizerGone(Exception):  # noqa: N818  (no error: the write was right)
    """A write takes the last finalizer of a deleted object away.

    Attributes:
        last: The object as it was written.
    """

    def __init__(self, last: RawObject) -> None:
        """Carry the object."""
        super().__init__()
        self.last = last


class ObjectStore:
    """What etcd and the API server's registry are to a real one; hands out stored objects.

    Whoever gets a stored object copies it before changing it or giving it away.

    Attributes:
        version: The resourceVersion of the last write.
        compacted: The oldest version from which a watch may go on.
    """

    def __init__(self, *, now: Callable[[], datetime], on_change: Callable[[], None]) -> None:
        """Start empty; ``on_change`` is called after each write."""
        self.version = 1
        self.compacted = 0
        self._now = now
        self._on_change = on_change
        self._kinds: dict[Resource, _Kind] = {}

    def objects(self, resource: Resource) -> list[RawObject]:
        """Return the objects of a kind, ordered by namespace and name."""
        return [raw for _, raw in sorted(self._kind(resource).objects.items())]

    def history(self, resource: Resource) -> list[Change]:
        """Return the writes of a kind since the last compaction."""
        return self._kind(resource).history

    def compact(self) -> None:
        """Forget the history, and count on, so that every version known so far is too old."""
        self.version += 1
        self.compacted = self.version
        for kind in self._kinds.values():
            kind.history.clear()

    def backup(self) -> Backup:
        """Return all that is stored."""
        kinds = {
            resource: _Kind(objects=dict(kind.objects), history=list(kind.history))
            for resource, kind in self._kinds.items()
        }
        return Backup(version=self.version, kinds=kinds)

    def restore(self, backup: Backup) -> None:
        """Go back to what was stored then."""
        self.version = backup.version
        self._kinds = {
            resource: _Kind(objects=dict(kind.objects), history=list(kind.history))
            for resource, kind in backup.kinds.items()
        }

    def find(self, resource: Resource, name: str, namespace: str | None) -> RawObject:
        """Return an object.

        Raises:
            NotFoundError: No such object.
        """
        raw = self._kind(resource).objects.get((namespace or "", name))
        if raw is None:
            place = f" in namespace {namespace}" if namespace else ""
            raise NotFoundError(f'{resource.plural} "{name}"{place} not found')
        return raw

    def prepare(self, resource: Resource, body: RawObject, namespace: str | None) -> RawObject:
        """Return a new object, complete, to ``commit``.

        Raises:
            ConflictError: The name is taken.
        """
        raw = new_object(resource, body, namespace, timestamp=self.timestamp())
        name = raw["metadata"]["name"]
        if (namespace or "", name) in self._kind(resource).objects:
            raise ConflictError(f'{resource.plural} "{name}" already exists')
        return raw

    def update(
        self, resource: Resource, old: RawObject, body: RawObject, subresource: str
    ) -> RawObject:
        """Write ``body`` over ``old``, and return what is stored then.

        Raises:
            ConflictError: ``body`` is of another version or another object.
            InvalidObjectError: It adds a finalizer to an object that is being deleted.
            LastFinalizerGone: Nothing is written: the object has to be removed (``remove``).
        """
        metadata = body.get("metadata", {})
        if metadata.get("resourceVersion", old["metadata"]["resourceVersion"]) != (
            old["metadata"]["resourceVersion"]
        ) or metadata.get("uid", old["metadata"]["uid"]) != (old["metadata"]["uid"]):
            raise ConflictError(f"{title(resource, old)}: {_CONFLICT_REASON}")
        new = updated(resource, old, body, subresource)
        added = set(new["metadata"].get("finalizers") or ()) - set(
            old["metadata"].get("finalizers") or ()
        )
        terminating = "deletionTimestamp" in old["metadata"]
        if terminating and added:
            raise InvalidObjectError(
                f"{title(resource, old)}: no new finalizers can be added while it is being deleted"
            )
        had_finalizers = bool(old["metadata"].get("finalizers"))
        if terminating and had_finalizers and not new["metadata"].get("finalizers"):
            raise LastFinalizerGone(new)
        # The API server writes nothing, and no watch hears of it, when nothing changes.
        return old if new == old else self.commit(resource, old=old, new=new)

    def remove(self, resource: Resource, last: RawObject, *, uid: str | None) -> None:
        """Remove an object whose last finalizer was taken away, whatever was written since.

        Args:
            resource: Its kind.
            last: How it was when the finalizer went.
            uid: None removes whatever has its name by now.

        Raises:
            ConflictError: What has its name is another object.
        """
        metadata = last["metadata"]
        try:
            present = self.find(resource, metadata["name"], metadata.get("namespace"))
        except NotFoundError:
            return
        if uid not in (None, present["metadata"]["uid"]):
            raise ConflictError(f"{title(resource, last)}: precondition failed: another uid")
        self.commit(resource, old=present, new=None)

    def commit(
        self, resource: Resource, *, old: RawObject | None, new: RawObject | None
    ) -> RawObject:
        """Make one change: the only place that writes. Stored objects are never changed later."""
        self.version += 1
        present = new or old or {}
        metadata = {**present["metadata"], "resourceVersion": str(self.version)}
        stored = {**present, "metadata": metadata}
        key = (metadata.get("namespace", ""), metadata["name"])
        kind = self._kind(resource)
        if new is None:
            del kind.objects[key]
            kind.history.append(Change(version=self.version, old=stored, new=None))
        else:
            kind.objects[key] = stored
            kind.history.append(Change(version=self.version, old=old, new=stored))
        self._on_change()
        return stored

    def timestamp(self) -> str:
        """Return the time as creation and deletion times are written."""
        return self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _kind(self, resource: Resource) -> _Kind:
        return self._kinds.setdefault(resource, _Kind())
