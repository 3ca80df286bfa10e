"""The Kubernetes API server in memory, as faithful as DANM's tests need it.

One counter gives every write its resourceVersion. Stale writes conflict, the ``status`` of
DanmNets and DanmNodes is a subresource, finalizers hold deleted objects, watches replay history and
are refused with 410 after ``compact``. tests/kube_api_apiserver_test.py runs the same promises on a
real server. What a test may do beyond the API:

    fake.add(PODS, {...})                      seed an object as it is, status included
    fake.fail_next("replace", DANMIPBLOCKS, ApiUnavailableError(...), took_effect=True)
    gate = fake.hold_next("replace", DANMIPBLOCKS)    a stalled writer; see Gate
    fake.compact(); fake.end_watches(); fake.bookmark()
    backup = fake.backup(); fake.restore(backup)
    fake.review_token = lambda spec: {"authenticated": True, "user": {"username": "..."}}
"""

import asyncio
from bisect import bisect_right
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime
from typing import Final

from danm_api.errors import (
    ApiError,
    ApiUnavailableError,
    ConflictError,
    InvalidObjectError,
    NotFoundError,
)
from danm_api.kube.api import (
    SUBJECT_ACCESS_REVIEWS,
    TOKEN_REVIEWS,
    Answer,
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
    answered,
    copy_json,
    patched,
    selection,
    title,
    watch_event,
)
from danm_api.testing.object_store import Backup, LastFinalizerGone, ObjectStore

Review = Callable[[RawObject], RawObject]


# So small that tests meet lists of several pages.
_PAGE_SIZE: Final = 2


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
        self._store = ObjectStore(now=now, on_change=self._wake)
        self._plans = Plans()
        self._news = asyncio.Event()
        self._bookmarks = 0
        self._ended_watches = 0
        self._restores = 0

    # What a test does.

    def add(self, resource: Resource, body: RawObject) -> RawObject:
        """Store an object as it is given, status, uid and deletionTimestamp included."""
        raw = self._store.prepare(resource, body, body.get("metadata", {}).get("namespace"))
        if "status" in body:
            raw["status"] = copy_json(body["status"])
        return copy_json(self._store.commit(resource, old=None, new=raw))

    def stored(
        self, resource: Resource, name: str, *, namespace: str | None = None
    ) -> RawObject | None:
        """Return what is stored, without counting as a call."""
        try:
            return copy_json(self._store.find(resource, name, namespace))
        except NotFoundError:
            return None

    def all_stored(self, resource: Resource) -> list[RawObject]:
        """Return all objects of a kind by namespace and name, without counting as a call."""
        return [copy_json(raw) for raw in self._store.objects(resource)]

    def mark_deleted(
        self, resource: Resource, name: str, *, namespace: str | None = None
    ) -> RawObject:
        """Set the deletionTimestamp, as the graceful deletion of a Pod does, and keep the object.

        Raises:
            NotFoundError: No such object.
        """
        old = self._store.find(resource, name, namespace)
        new = copy_json(old)
        new["metadata"]["deletionTimestamp"] = self._store.timestamp()
        return copy_json(self._store.commit(resource, old=old, new=new))

    def fail_next(
        self,
        method: Method,
        resource: Resource | None,
        error: Exception,
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

    def fail_no_more(self) -> None:
        """Forget which calls shall fail; what waits at a gate goes on waiting."""
        self._plans.forget_failures()

    def hold_next(
        self,
        method: Method,
        resource: Resource | None,
        *,
        took_effect: bool = False,
        error: Exception | None = None,
    ) -> Gate:
        """Hold the next call before (or, with ``took_effect``, after) its effect.

        Once the gate is open it goes on, or fails with the error.
        """
        gate = Gate()
        self._plans.add(
            Plan(
                method=method,
                resource=resource,
                gate=gate,
                error=error,
                times=1,
                took_effect=took_effect,
            )
        )
        return gate

    def backup(self) -> Backup:
        """Return all that is stored, for ``restore``."""
        return self._store.backup()

    def restore(self, backup: Backup) -> None:
        """Forget all that happened since a backup; every watch breaks off."""
        self._store.restore(backup)
        self._restores += 1
        self._wake()

    def compact(self) -> None:
        """Forget all history: watches that run or resume from an earlier version get a 410."""
        self._store.compact()
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
        raw = copy_json(self._store.find(resource, name, namespace))
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
        result = ObjectList(
            items=[copy_json(raw) for raw in self._store.objects(resource) if selects(raw)],
            resource_version=str(self._store.version),
        )
        await leave(after)
        return result

    async def pages(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncGenerator[ObjectList, None]:
        """Yield a list in small pages; plans for "list" hold for the first, "page" for others."""
        listed = await self.list(
            resource,
            namespace=namespace,
            label_selector=label_selector,
            field_selector=field_selector,
        )
        for start in range(0, max(1, len(listed.items)), _PAGE_SIZE):
            if start:
                await self._plans.enter("page", resource)
            yield ObjectList(
                items=listed.items[start : start + _PAGE_SIZE],
                resource_version=listed.resource_version,
            )
            await asyncio.sleep(0)

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
        restores = self._restores
        while True:
            news = self._news
            if restores != self._restores:
                raise ApiUnavailableError("etcd is being restored", status=0)
            if position < self._store.compacted:
                raise ApiError(
                    f"the watch of {resource.plural} cannot go on from version {position}: too "
                    "old resource version; list again",
                    status=410,
                )
            history = self._store.history(resource)
            start = bisect_right(history, position, key=lambda change: change.version)
            for change in history[start:]:
                position = change.version
                event = watch_event(change, selects)
                if event is not None:
                    yield event
            if bookmarks != self._bookmarks:
                bookmarks = self._bookmarks
                position = max(position, self._store.version)
                yield self._bookmark_event(resource)
            if ended != self._ended_watches:
                return
            await news.wait()

    async def create(
        self,
        resource: Resource,
        body: RawObject,
        *,
        namespace: str | None = None,
        answer: Answer = Answer.OBJECT,
    ) -> RawObject:
        """Store a new object, or answer a review."""
        after = await self._enter("create", resource)
        if resource in (TOKEN_REVIEWS, SUBJECT_ACCESS_REVIEWS):
            review = self.review_token if resource == TOKEN_REVIEWS else self.review_access
            result = {**copy_json(body), "status": review(copy_json(body)["spec"])}
        else:
            new = self._store.prepare(resource, body, namespace)
            result = answered(self._store.commit(resource, old=None, new=new), answer)
        await leave(after)
        return result

    async def replace(
        self,
        resource: Resource,
        body: RawObject,
        *,
        namespace: str | None = None,
        subresource: str = "",
        answer: Answer = Answer.OBJECT,
    ) -> RawObject:
        """Write an object over its stored form of the same resourceVersion."""
        after = await self._enter("replace", resource)
        metadata = body.get("metadata", {})
        old = self._store.find(resource, metadata.get("name", ""), namespace)
        if not metadata.get("resourceVersion"):
            raise InvalidObjectError(
                f"{title(resource, old)}: metadata.resourceVersion: must be specified for an "
                "update"
            )
        wanted = copy_json(body)
        # Nobody applies here, so there is no account of fields to be emptied.
        wanted["metadata"].pop("managedFields", None)
        try:
            result = self._store.update(resource, old, wanted, subresource)
        except LastFinalizerGone as gone:
            result = await self._end(resource, gone.last, uid=metadata.get("uid"))
        # Before others change it.
        result = answered(result, answer)
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
        answer: Answer = Answer.OBJECT,
    ) -> RawObject:
        """Patch an object; guarded only when the patch sets or tests the resourceVersion."""
        after = await self._enter("patch", resource)
        old = self._store.find(resource, name, namespace)
        try:
            wanted = patched(resource, old, patch)
            result = self._store.update(resource, old, wanted, subresource)
        except LastFinalizerGone as gone:
            result = await self._end(resource, gone.last, uid=None)
        # Before others change it.
        result = answered(result, answer)
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
        old = self._store.find(resource, name, namespace)
        metadata = old["metadata"]
        for expected, actual in ((uid, "uid"), (resource_version, "resourceVersion")):
            if expected is not None and expected != metadata[actual]:
                raise ConflictError(
                    f"{title(resource, old)}: precondition failed: {actual} {expected} was "
                    f"expected and {metadata[actual]} is stored"
                )
        if not metadata.get("finalizers"):
            self._store.commit(resource, old=old, new=None)
        elif "deletionTimestamp" not in metadata:
            self.mark_deleted(resource, name, namespace=namespace)
        await leave(after)

    # Inside.

    async def _end(self, resource: Resource, last: RawObject, *, uid: str | None) -> RawObject:
        """Remove an object whose last finalizer was taken away.

        A real API server judges the write first and removes the object in a second step, which
        looks at the UID that the write gave, if any, and at no version: what others write between
        the two goes with the object.
        """
        await leave(await self._enter("end", resource))
        self._store.remove(resource, last, uid=uid)
        return last

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _enter(self, method: Method, resource: Resource) -> Plan | None:
        """Count the call, let others run, and carry out its plan; return a plan for its end."""
        self.calls[method, resource.plural] += 1
        # Every real call suspends its caller: races that this opens are the code's own.
        await asyncio.sleep(0)
        return await self._plans.enter(method, resource)

    def _bookmark_event(self, resource: Resource) -> WatchEvent:
        return WatchEvent(
            type=WatchType.BOOKMARK,
            object={
                "apiVersion": resource.api_version,
                "kind": resource.kind,
                "metadata": {"resourceVersion": str(self._store.version)},
            },
        )
