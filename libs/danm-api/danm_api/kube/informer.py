"""A watched, indexed, decoded copy of the objects of one kind.

    pods = Informer(api, PODS, decode_pod, field_selector="spec.nodeName=n1",
                    indexers={"uid": lambda pod: [pod.uid]})
    pods.subscribe(lambda change: queue.add(...))
    task_group.create_task(pods.run())
    await pods.wait_synced(timeout_s=30)

Only the decoded objects are kept. An event costs what its object costs; lists happen at start and
when the server has forgotten the version from which to go on.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from danm_api.errors import ApiError, ApiUnavailableError, DanmError, DeadlineExceededError
from danm_api.kube import metrics
from danm_api.kube.api import KubeApi, ObjectList, RawObject, Resource, WatchEvent, WatchType
from danm_api.kube.api_errors import is_too_old
from danm_api.kube.backoff import delay_after
from danm_api.telemetry import get_logger

T = TypeVar("T")

# The first retry may be quick: servers end watches when they restart. 10 s is well below the 30 s
# within which DANM promises to follow (DESIGN, P2).
_BASE_DELAY_S: Final = 0.1
_MAX_DELAY_S: Final = 10.0

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ObjectKey:
    """Names an object of a kind; ``namespace`` is empty for cluster-scoped kinds."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """Return ``namespace/name``."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(Generic[T]):
    """One object before and after: ``old`` None when it is new, ``new`` None when it is gone."""

    key: ObjectKey
    old: T | None
    new: T | None


Handler = Callable[[Change[T]], None]

# A namespace that nobody makes, and an object's name that nobody gives: a list of either is empty,
# and carries the present version.
_NOWHERE: Final = "danm-nowhere"
_NOBODY: Final = "metadata.name=danm-nobody"


class Informer(Generic[T]):
    """Follows the objects of a kind; see the module's text.

    An object that does not decode is logged with its name, counted, and treated as absent.

    Attributes:
        resource: The kind that is followed.
        synced: Whether the first list has been read.
    """

    def __init__(
        self,
        api: KubeApi,
        resource: Resource,
        decode: Callable[[RawObject], T],
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        indexers: Mapping[str, Callable[[T], Iterable[str]]] | None = None,
        list_after_outage: bool = False,
        counted_as: str = "",
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Prepare; nothing is read before ``run``.

        Args:
            api: Where to read.
            resource: What to read.
            decode: From the JSON form to what is kept; any exception means "does not decode".
            namespace: One namespace, or all.
            label_selector: What to read, by labels.
            field_selector: What to read, by fields.
            indexers: For ``by_index``: name -> the values under which an object is found.
            list_after_outage: Read all objects when the server was away, rather than trust that it
                is as it was: its etcd may have been restored from a backup. For few readers only.
            counted_as: The label of its metrics, where a process has two of a kind.
            sleep: Waits between attempts.
        """
        self.resource = resource
        self._api = api
        self._decode = decode
        self._namespace = namespace
        self._label_selector = label_selector
        self._field_selector = field_selector
        self._indexers = dict(indexers or {})
        self._list_after_outage = list_after_outage
        self._label = counted_as or resource.plural
        self._sleep = sleep
        self._objects: dict[ObjectKey, T] = {}
        self._indices: dict[str, dict[str, dict[ObjectKey, T]]] = {
            name: {} for name in self._indexers
        }
        self._handlers: list[Handler[T]] = []
        self._first_list = asyncio.Event()
        self._restore_handlers: list[Callable[[], None]] = []
        self._version: str | None = None
        self._last_version = 0
        self._failures = 0

    @property
    def synced(self) -> bool:
        """Whether the first list has been read."""
        return self._first_list.is_set()

    @property
    def version(self) -> int:
        """The resourceVersion up to which everything is known; 0 while a list is read.

        Kubernetes documents resourceVersions as comparable integers since 1.35; they have been so
        since its first release.
        """
        return int(self._version or 0)

    async def wait_synced(self, timeout_s: float | None) -> None:
        """Wait for the first list; None waits for as long as it takes.

        Raises:
            DeadlineExceededError: It did not come within ``timeout_s``.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._first_list.wait()
        except TimeoutError as error:
            raise DeadlineExceededError(
                f"the {self.resource.plural} could not be read from the API server within "
                f"{timeout_s:g} s; see the log for the reason"
            ) from error

    async def try_reading(self) -> None:
        """Ask for what ``run`` will read, and keep nothing of it.

        Raises:
            DanmError: The API server refuses it, or does not answer.
        """
        async with aclosing(self._pages()) as pages:
            async for _ in pages:
                return

    def get(self, key: ObjectKey) -> T | None:
        """Return an object, or None when there is none of that name."""
        return self._objects.get(key)

    def items(self) -> Collection[T]:
        """Return all objects, as they are now."""
        return tuple(self._objects.values())

    def by_index(self, name: str, value: str) -> Collection[T]:
        """Return the objects that an indexer puts under ``value``, as they are now.

        Raises:
            KeyError: There is no such indexer.
        """
        return tuple(self._indices[name].get(value, {}).values())

    def subscribe(self, handler: Handler[T]) -> None:
        """Call ``handler`` for each change, and at once for each object that is known already.

        Handlers run in the informer's task: they note the key and return. After a list, objects
        that are equal to the kept ones are no change.
        """
        self._handlers.append(handler)
        for key, known in tuple(self._objects.items()):
            self._call(handler, Change(key=key, old=None, new=known))

    def subscribe_restore(self, handler: Callable[[], None]) -> None:
        """Call ``handler`` when the server's history went back, before what it has now is told.

        So it is after etcd was restored from a backup: what was known may never have happened, and
        is told anew, with resourceVersions that may be lower than those seen before.
        """
        self._restore_handlers.append(handler)

    async def run(self) -> None:
        """Follow the objects until cancelled; failures are logged and tried again."""
        # What has not been heard of since the start is late too.
        metrics.INFORMER_HEARD.labels(self._label).set_to_current_time()
        # Shown before the first one, so that it is an increase.
        for counter in (metrics.INFORMER_ERRORS, metrics.INFORMER_UNDECODABLE):
            counter.labels(self._label)
        try:
            await self._follow()
        finally:
            # Whoever does not listen any more is not late.
            metrics.INFORMER_HEARD.remove(self._label)

    async def _follow(self) -> None:
        while True:
            error: DanmError | None = None
            reason = "failed"
            watching = False
            try:
                if self._version is not None and await self._present_version() < self.version:
                    self._version = None
                if self._version is None:
                    await self._list()
                watching = True
                await self._watch()
                reason = "ended"
            except DanmError as caught:
                error = caught
            if error is not None and is_too_old(error):
                _log.info("Listing anew", resource=self.resource.plural, error=error)
                self._version = None
                reason = "expired"
            elif error is not None:
                metrics.INFORMER_ERRORS.labels(self._label).inc()
                _log.warning("Informer failed", resource=self.resource.plural, error=error)
                away = isinstance(error, ApiUnavailableError)
                # Or else it refuses the watch as it is asked for, perhaps for its version.
                if (isinstance(error, ApiError) and not away) or (away and self._list_after_outage):
                    self._version = None
            if watching:
                metrics.INFORMER_WATCH_RESTARTS.labels(self._label, reason).inc()
            # Each piece of news has set this to 0; so a server that ends watches at once, or
            # answers each list with a version that it then calls too old, is not asked in a storm.
            self._failures += 1
            await self._sleep(delay_after(self._failures, base_s=_BASE_DELAY_S, max_s=_MAX_DELAY_S))

    async def _present_version(self) -> int:
        """Return the server's version, for a watch that is about to go on.

        A watch from a version of the future hears nothing until that version has passed. Nothing is
        read that is known already: it may be all nodes of a large cluster, every few minutes.
        """
        if self._namespace is None and self.resource.namespaced:
            found = await self._api.list(self.resource, namespace=_NOWHERE)
        else:
            found = await self._api.list(
                self.resource,
                namespace=self._namespace,
                label_selector=self._label_selector,
                # Whoever selects by fields has few objects, and may be allowed to see no others.
                field_selector=self._field_selector or _NOBODY,
            )
        return int(found.resource_version)

    async def _list(self) -> None:
        """Read all objects; while it runs, only one page of them exists in its JSON form."""
        gone = set(self._objects)
        version = None
        restored = False
        async with aclosing(self._pages()) as pages:
            async for page in pages:
                if version is None and int(page.resource_version) < self._last_version:
                    restored = True
                    self._tell_restore()
                version = page.resource_version
                for raw in page.items:
                    gone.discard(_key_of(raw))
                    self._store(raw, unless_equal=not restored)
        metrics.INFORMER_LISTS.labels(self._label).inc()
        metrics.INFORMER_HEARD.labels(self._label).set_to_current_time()
        for key in gone:
            self._remove(key)
        self._set_version(version)
        self._first_list.set()

    def _pages(self) -> AsyncGenerator[ObjectList, None]:
        return self._api.pages(
            self.resource,
            namespace=self._namespace,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
        )

    async def _watch(self) -> None:
        """Follow one watch to its end."""
        watch = self._api.watch(
            self.resource,
            resource_version=self._version or "",
            namespace=self._namespace,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
        )
        async with aclosing(watch):
            async for event in watch:
                self._take(event)

    def _take(self, event: WatchEvent) -> None:
        self._failures = 0
        metrics.INFORMER_EVENTS.labels(self._label, event.type).inc()
        metrics.INFORMER_HEARD.labels(self._label).set_to_current_time()
        if event.type is WatchType.DELETED:
            self._remove(_key_of(event.object))
        elif event.type is not WatchType.BOOKMARK:
            self._store(event.object, unless_equal=False)
        self._set_version(event.object["metadata"]["resourceVersion"])

    def _set_version(self, version: str | None) -> None:
        self._version = version
        self._last_version = int(version or 0)

    def _tell_restore(self) -> None:
        metrics.INFORMER_RESTORES.labels(self._label).inc()
        _log.warning("The API server's history went back", resource=self.resource.plural)
        for handler in self._restore_handlers:
            handler()

    def _store(self, raw: RawObject, *, unless_equal: bool) -> None:
        key = _key_of(raw)
        try:
            new = self._decode(raw)
            values = {name: tuple(indexer(new)) for name, indexer in self._indexers.items()}
        except Exception as error:  # noqa: BLE001  (one odd object must not stop all others)
            metrics.INFORMER_UNDECODABLE.labels(self._label).inc()
            _log.error("Cannot decode object", kind=self.resource.kind, key=key, error=error)
            self._remove(key)
            return
        old = self._objects.get(key)
        if unless_equal and old is not None and old == new:
            return
        if old is not None:
            self._unindex(key, old)
        self._objects[key] = new
        for name, found in values.items():
            for value in found:
                self._indices[name].setdefault(value, {})[key] = new
        self._publish(Change(key=key, old=old, new=new))

    def _remove(self, key: ObjectKey) -> None:
        old = self._objects.pop(key, None)
        if old is not None:
            self._unindex(key, old)
            self._publish(Change(key=key, old=old, new=None))

    def _unindex(self, key: ObjectKey, old: T) -> None:
        for name, indexer in self._indexers.items():
            index = self._indices[name]
            for value in indexer(old):
                bucket = index.get(value)
                if bucket is not None:
                    bucket.pop(key, None)
                    if not bucket:
                        del index[value]

    def _publish(self, change: Change[T]) -> None:
        metrics.INFORMER_OBJECTS.labels(self._label).set(len(self._objects))
        for handler in self._handlers:
            self._call(handler, change)

    def _call(self, handler: Handler[T], change: Change[T]) -> None:
        try:
            handler(change)
        except Exception as error:  # noqa: BLE001  (one handler's bug is not the others')
            _log.exception(
                "Handler failed", resource=self.resource.plural, key=change.key, error=error
            )


def _key_of(raw: RawObject) -> ObjectKey:
    metadata = raw["metadata"]
    return ObjectKey(namespace=metadata.get("namespace", ""), name=metadata["name"])
