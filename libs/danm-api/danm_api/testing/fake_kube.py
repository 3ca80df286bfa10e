"""The Kubernetes API server in memory, as faithful as DANM's tests need it.

One counter gives every write its resourceVersion. Stale writes conflict, the ``status`` of
DanmNets and DanmNodes is a subresource, finalizers hold deleted objects, watches replay history and
are refused with 410 after ``compact``. tests/kube_api_apiserver_test.py runs the same promises on a
real server. What a test may do beyond the API:

    fake.add(PODS, {...})                      seed an object as it is, status included
    fake.fail_next("replace", DANMIPBLOCKS, ApiUnavailableError(...), took_effect=True)
    gate = fake.hold_next("replace", DANMIPBLOCKS)    a stalled writer; see Gate
    fake.compact(); fake.end_watches(); fake.bookmark()
    fake.review_token = lambda spec: {"authenticated": True, "user": {"username": "..."}}
"""

import asyncio
from bisect import bisect_right
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from danm_api.errors import ApiError, ConflictError, DanmError, InvalidObjectError, NotFoundError
from danm_api.kube.api import (
    SUBJECT_ACCESS_REVIEWS,
    TOKEN_REVIEWS,
    JsonPatch,
    MergePatch,
    ObjectList,
    PatchType,
    RawObject,
    Resource,
    WatchEvent,
    WatchType,
)
from danm_api.testing.fake_plans import Gate, Method, Plan, Plans, leave
from danm_api.testing.object_rules import (
    Change,
    copy_json,
    new_object,
    patched,
    selection,
    title,
    updated,
    watch_event,
)

Review = Callable[[RawObject], RawObject]

_Key = tuple[str, str]  # namespace ("" when cluster-scoped), name

_CONFLICT_REASON: Final = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


@dataclass(kw_only=True, slots=True)
class _Kind:
    """All objects of one resource, and their history."""

    objects: dict[_Key, RawObject] = field(default_factory=dict)
    history: list[Change] = field(default_factory=list)


class FakeKube:
    """A ``KubeApi`` in memory.

    Attributes:
        review_token: Answers TokenReviews: spec -> status. Nobody is authenticated by default.
        review_access: Answers SubjectAccessReviews: spec -> status. All is allowed by default.
        calls: How often each (method, plural) was called: for tests of cost, not of behaviour.
    """

    def __init__(self, *, now: Callable[[], datetime] = lambda: datetime.now(tz=UTC)) -> None:
        """Start empty; ``now`` gives creation and deletion times."""
        self.review_token: Review = lambda _: {"authenticated": False}
        self.review_access: Review = lambda _: {"allowed": True}
        self.calls: Counter[tuple[Method, str]] = Counter()
        self._now = now
        self._version = 1
        self._compacted = 0
        self._kinds: dict[Resource, _Kind] = {}
        self._plans = Plans()
        self._news = asyncio.Event()
        self._bookmarks = 0
        self._ended_watches = 0

    # What a test does.

    def add(self, resource: Resource, body: RawObject) -> RawObject:
        """Store an object as it is given, status, uid and deletionTimestamp included."""
        raw = self._prepare(resource, body, body.get("metadata", {}).get("namespace"))
        if "status" in body:
            raw["status"] = copy_json(body["status"])
        return copy_json(self._commit(resource, old=None, new=raw))

    def stored(
        self, resource: Resource, name: str, *, namespace: str | None = None
    ) -> RawObject | None:
        """Return what is stored, without counting as a call."""
        raw = self._kind(resource).objects.get((namespace or "", name))
        return None if raw is None else copy_json(raw)

    def all_stored(self, resource: Resource) -> list[RawObject]:
        """Return all objects of a kind, without counting as a call."""
        return [copy_json(raw) for raw in self._kind(resource).objects.values()]

    def mark_deleted(
        self, resource: Resource, name: str, *, namespace: str | None = None
    ) -> RawObject:
        """Set the deletionTimestamp, as the graceful deletion of a Pod does, and keep the object.

        Raises:
            NotFoundError: No such object.
        """
        old = self._find(resource, name, namespace)
        new = copy_json(old)
        new["metadata"]["deletionTimestamp"] = self._timestamp()
        return copy_json(self._commit(resource, old=old, new=new))

    def fail_next(
        self,
        method: Method,
        resource: Resource | None,
        error: DanmError,
        *,
        times: int = 1,
        took_effect: bool = False,
    ) -> None:
        """Let the next calls fail; ``took_effect``: the write is done and its answer lost.

        ``resource`` None stands for any resource.
        """
        self._plans.add(
            Plan(
                method=method, resource=resource, error=error, times=times, took_effect=took_effect
            )
        )

    def hold_next(
        self, method: Method, resource: Resource | None, *, took_effect: bool = False
    ) -> Gate:
        """Hold the next call before (or, with ``took_effect``, after) its effect."""
        gate = Gate()
        self._plans.add(
            Plan(method=method, resource=resource, gate=gate, times=1, took_effect=took_effect)
        )
        return gate

    def compact(self) -> None:
        """Forget all history: watches that run or resume from an earlier version get a 410."""
        self._version += 1
        self._compacted = self._version
        for kind in self._kinds.values():
            kind.history.clear()
        self._wake()

    def end_watches(self) -> None:
        """End all running watches without an error, as servers do from time to time."""
        self._ended_watches += 1
        self._wake()

    def bookmark(self) -> None:
        """Send a bookmark with the present version to all running watches."""
        self._bookmarks += 1
        self._wake()

    # KubeApi.

    async def get(
        self, resource: Resource, name: str, *, namespace: str | None = None
    ) -> RawObject:
        """Read one object."""
        after = await self._enter("get", resource)
        raw = copy_json(self._find(resource, name, namespace))
        await leave(after)
        return raw

    async def list(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
    ) -> ObjectList:
        """Read objects, ordered by namespace and name."""
        after = await self._enter("list", resource)
        selects = selection(namespace, label_selector, field_selector)
        objects = sorted(self._kind(resource).objects.items())
        result = ObjectList(
            items=[copy_json(raw) for _, raw in objects if selects(raw)],
            resource_version=str(self._version),
        )
        await leave(after)
        return result

    async def watch(
        self,
        resource: Resource,
        *,
        resource_version: str,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncGenerator[WatchEvent, None]:
        """Yield changes after ``resource_version`` until ``end_watches`` or ``compact``."""
        after = await self._enter("watch", resource)
        await leave(after)
        selects = selection(namespace, label_selector, field_selector)
        position = int(resource_version)
        ended, bookmarks = self._ended_watches, self._bookmarks
        while True:
            news = self._news
            if position < self._compacted:
                raise ApiError(
                    f"the watch of {resource.plural} cannot go on from version {position}: too "
                    "old resource version; list again",
                    status=410,
                )
            history = self._kind(resource).history
            start = bisect_right(history, position, key=lambda change: change.version)
            for change in history[start:]:
                position = change.version
                event = watch_event(change, selects)
                if event is not None:
                    yield event
            if bookmarks != self._bookmarks:
                bookmarks = self._bookmarks
                position = max(position, self._version)
                yield self._bookmark_event(resource)
            if ended != self._ended_watches:
                return
            await news.wait()

    async def create(
        self, resource: Resource, body: RawObject, *, namespace: str | None = None
    ) -> RawObject:
        """Store a new object, or answer a review."""
        after = await self._enter("create", resource)
        if resource in (TOKEN_REVIEWS, SUBJECT_ACCESS_REVIEWS):
            review = self.review_token if resource == TOKEN_REVIEWS else self.review_access
            result = {**copy_json(body), "status": review(copy_json(body)["spec"])}
        else:
            new = self._prepare(resource, body, namespace)
            result = copy_json(self._commit(resource, old=None, new=new))
        await leave(after)
        return result

    async def replace(
        self,
        resource: Resource,
        body: RawObject,
        *,
        namespace: str | None = None,
        subresource: str = "",
    ) -> RawObject:
        """Write an object over its stored form of the same resourceVersion."""
        after = await self._enter("replace", resource)
        metadata = body.get("metadata", {})
        old = self._find(resource, metadata.get("name", ""), namespace)
        if not metadata.get("resourceVersion"):
            raise InvalidObjectError(
                f"{title(resource, old)}: metadata.resourceVersion: must be specified for an "
                "update"
            )
        result = self._update(resource, old, copy_json(body), subresource)
        await leave(after)
        return result

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: MergePatch | JsonPatch,
        *,
        namespace: str | None = None,
        patch_type: PatchType = PatchType.MERGE,
        subresource: str = "",
    ) -> RawObject:
        """Patch an object; guarded only when the patch sets or tests the resourceVersion."""
        after = await self._enter("patch", resource)
        old = self._find(resource, name, namespace)
        result = self._update(resource, old, patched(resource, old, patch), subresource)
        await leave(after)
        return result

    async def delete(
        self,
        resource: Resource,
        name: str,
        *,
        namespace: str | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> None:
        """Delete an object, or mark it while finalizers hold it."""
        after = await self._enter("delete", resource)
        old = self._find(resource, name, namespace)
        metadata = old["metadata"]
        for expected, actual in ((uid, "uid"), (resource_version, "resourceVersion")):
            if expected is not None and expected != metadata[actual]:
                raise ConflictError(
                    f"{title(resource, old)}: precondition failed: {actual} {expected} was "
                    f"expected and {metadata[actual]} is stored"
                )
        if not metadata.get("finalizers"):
            self._commit(resource, old=old, new=None)
        elif "deletionTimestamp" not in metadata:
            self.mark_deleted(resource, name, namespace=namespace)
        await leave(after)

    # Inside.

    def _kind(self, resource: Resource) -> _Kind:
        return self._kinds.setdefault(resource, _Kind())

    def _timestamp(self) -> str:
        return self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _enter(self, method: Method, resource: Resource) -> Plan | None:
        """Count the call, let others run, and carry out its plan; return a plan for its end."""
        self.calls[method, resource.plural] += 1
        # Every real call suspends its caller: races that this opens are the code's own.
        await asyncio.sleep(0)
        return await self._plans.enter(method, resource)

    def _find(self, resource: Resource, name: str, namespace: str | None) -> RawObject:
        raw = self._kind(resource).objects.get((namespace or "", name))
        if raw is None:
            place = f" in namespace {namespace}" if namespace else ""
            raise NotFoundError(f'{resource.plural} "{name}"{place} not found')
        return raw

    def _prepare(self, resource: Resource, body: RawObject, namespace: str | None) -> RawObject:
        raw = new_object(resource, body, namespace, timestamp=self._timestamp())
        name = raw["metadata"]["name"]
        if (namespace or "", name) in self._kind(resource).objects:
            raise ConflictError(f'{resource.plural} "{name}" already exists')
        return raw

    def _update(
        self, resource: Resource, old: RawObject, body: RawObject, subresource: str
    ) -> RawObject:
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
            self._commit(resource, old=old, new=None)
            return new
        # The API server writes nothing, and no watch hears of it, when nothing changes.
        return copy_json(old if new == old else self._commit(resource, old=old, new=new))

    def _commit(
        self, resource: Resource, *, old: RawObject | None, new: RawObject | None
    ) -> RawObject:
        """Make one change: the only place that writes. Stored objects are never changed later."""
        self._version += 1
        present = new or old or {}
        metadata = {**present["metadata"], "resourceVersion": str(self._version)}
        stored = {**present, "metadata": metadata}
        key = (metadata.get("namespace", ""), metadata["name"])
        kind = self._kind(resource)
        if new is None:
            del kind.objects[key]
            kind.history.append(Change(version=self._version, old=stored, new=None))
        else:
            kind.objects[key] = stored
            kind.history.append(Change(version=self._version, old=old, new=stored))
        self._wake()
        return stored

    def _bookmark_event(self, resource: Resource) -> WatchEvent:
        return WatchEvent(
            type=WatchType.BOOKMARK,
            object={
                "apiVersion": resource.api_version,
                "kind": resource.kind,
                "metadata": {"resourceVersion": str(self._version)},
            },
        )
