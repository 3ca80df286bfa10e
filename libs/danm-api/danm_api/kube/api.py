"""The seam between DANM and the Kubernetes API server.

``KubeApi`` is implemented by ``danm_api.kube.client.KubeClient`` (HTTP) and by
``danm_api.testing.fake_kube.FakeKube`` (memory, with resourceVersions, conflicts, selectors,
finalizers and watches). Objects cross it in their JSON form, and codecs turn them into the model's
types at once.
"""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol

from danm_api.codec import meta
from danm_api.names import GROUP, VERSION

# The JSON form of an object, as the API server sends it.
RawObject = meta.RawObject

# What a patch looks like in the two forms of PatchType: an object, or a list of operations.
MergePatch = Mapping[str, Any]
JsonPatch = list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A kind of object that the API server serves."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """Return ``group/version``, or ``version`` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version


def _danm(plural: str, kind: str, *, namespaced: bool = True) -> Resource:
    return Resource(group=GROUP, version=VERSION, plural=plural, kind=kind, namespaced=namespaced)


def _core(plural: str, kind: str, *, namespaced: bool = True) -> Resource:
    return Resource(group="", version="v1", plural=plural, kind=kind, namespaced=namespaced)


DANMNETS: Final = _danm("danmnets", "DanmNet")
DANMEPS: Final = _danm("danmeps", "DanmEp")
DANMIPBLOCKS: Final = _danm("danmipblocks", "DanmIPBlock")
DANMNODES: Final = _danm("danmnodes", "DanmNode", namespaced=False)
PODS: Final = _core("pods", "Pod")
NODES: Final = _core("nodes", "Node", namespaced=False)
SERVICES: Final = _core("services", "Service")
ENDPOINTS: Final = _core("endpoints", "Endpoints")
SECRETS: Final = _core("secrets", "Secret")
CONFIG_MAPS: Final = _core("configmaps", "ConfigMap")
ENDPOINT_SLICES: Final = Resource(
    group="discovery.k8s.io", version="v1", plural="endpointslices", kind="EndpointSlice"
)
LEASES: Final = Resource(group="coordination.k8s.io", version="v1", plural="leases", kind="Lease")
EVENTS: Final = Resource(group="events.k8s.io", version="v1", plural="events", kind="Event")
TOKEN_REVIEWS: Final = Resource(
    group="authentication.k8s.io",
    version="v1",
    plural="tokenreviews",
    kind="TokenReview",
    namespaced=False,
)
SUBJECT_ACCESS_REVIEWS: Final = Resource(
    group="authorization.k8s.io",
    version="v1",
    plural="subjectaccessreviews",
    kind="SubjectAccessReview",
    namespaced=False,
)


class WatchType(StrEnum):
    """The types of watch events."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    BOOKMARK = "BOOKMARK"


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchEvent:
    """One change. A 410 and other ERROR events are raised as ApiError by the iterator."""

    type: WatchType
    object: RawObject


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectList:
    """A consistent list and the version to watch from."""

    items: list[RawObject]
    resource_version: str


class PatchType(StrEnum):
    """Content types of patches."""

    MERGE = "application/merge-patch+json"
    JSON = "application/json-patch+json"


class Answer(StrEnum):
    """What a write is answered with, as media types that are asked for.

    Source: Kubernetes API concepts, "Alternate representations of resources".
    """

    OBJECT = "application/json"
    # Of a large object who wrote it needs the new version alone; what the server does not know how
    # to shorten comes whole.
    METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"


class KubeApi(Protocol):
    """What DANM asks of the API server.

    Every method raises: NotFoundError (404), ConflictError (409: resourceVersion, or the name
    exists already), ApiUnavailableError (no answer in time, 429, 5xx), InvalidObjectError (422),
    ApiError (anything else). After an ApiUnavailableError a write may have taken effect.
    ``namespace`` is None for cluster-scoped kinds and, in list and watch, for all namespaces.
    """

    async def get(
        self, resource: Resource, name: str, *, namespace: str | None = None
    ) -> RawObject:
        """Read one object, consistently."""
        ...

    async def list(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
    ) -> ObjectList:
        """Read objects consistently, all pages."""
        ...

    def pages(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncGenerator[ObjectList, None]:
        """Yield the same list page by page, for those who keep less than the JSON form.

        All pages have one ``resource_version``.

        Raises:
            ApiError: With status 410 when the server forgot that version meanwhile: start anew.
        """
        ...

    def watch(
        self,
        resource: Resource,
        *,
        resource_version: str,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncGenerator[WatchEvent, None]:
        """Yield changes after ``resource_version``; ends when the server ends it.

        Wrap it in ``contextlib.aclosing``, so that leaving the loop closes the connection.

        Raises:
            ApiError: With status 410 when ``resource_version`` is too old: list again.
            ApiUnavailableError: The server cannot be reached, or went silent.
        """
        ...

    async def create(
        self,
        resource: Resource,
        body: RawObject,
        *,
        namespace: str | None = None,
        answer: Answer = Answer.OBJECT,
    ) -> RawObject:
        """Create an object and return it, or its metadata, as stored."""
        ...

    async def replace(
        self,
        resource: Resource,
        body: RawObject,
        *,
        namespace: str | None = None,
        subresource: str = "",
        answer: Answer = Answer.OBJECT,
    ) -> RawObject:
        """PUT an object and return it, or its metadata, as stored.

        It is guarded by ``metadata.resourceVersion`` of the body.
        After a ConflictError read again before judging: when a connection breaks the request may
        be sent twice, and the writer that came first may be oneself.
        """
        ...

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
        """Patch an object; put ``metadata.resourceVersion`` into a merge patch to guard it."""
        ...

    async def delete(
        self,
        resource: Resource,
        name: str,
        *,
        namespace: str | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> None:
        """Delete an object, under preconditions where given."""
        ...
