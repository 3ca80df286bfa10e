"""Carries plans out, and never touches what svcwatcher did not make (SPEC S2).

Replacements and deletions are guarded by the version that was judged, and creations by their names.
Where a name is taken by somebody else's object, that object stays, and its Service's author is
told.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from danm_api.codec.endpoint_slice import encode_endpoint_slice, manager_of_slice
from danm_api.codec.endpoints import encode_endpoints, manager_of_endpoints
from danm_api.errors import ConflictError, DanmError, NotFoundError, SeveralErrors
from danm_api.kube.api import ENDPOINT_SLICES, ENDPOINTS, Answer, KubeApi, RawObject, Resource
from danm_api.membership.endpoints import MANAGED_BY as ENDPOINTS_MANAGED_BY
from danm_api.membership.endpoints import SLICES_MANAGED_BY, Identity, identity_of
from danm_api.model.endpoint_slice import Endpoints, EndpointSlice
from danm_api.telemetry import get_logger
from svcwatcher import metrics
from svcwatcher.index import ServiceKey
from svcwatcher.plan import (
    Complaint,
    CreateEndpoints,
    DeleteEndpoints,
    ReplaceEndpoints,
    ServicePlan,
)

# Objects that are not ours are not watched; this is how late their disappearance is noticed.
FOREIGN_RETRY_S: Final = 60.0

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Obstacle:
    """Somebody else's object that has the name of one of ours."""

    resource: Resource
    name: str

    def complaint(self) -> Complaint:
        """Return what the Service's author is told."""
        kind = self.resource.kind
        return Complaint(
            reason="NameTaken",
            message=f"the {kind} {self.name} was not made by svcwatcher and is left alone; "
            f"delete it (kubectl delete {kind.lower()} {self.name}) to get svcwatcher's, or "
            "take DANM's annotations off the Service",
        )


class _Refusals:
    """What the API server refuses for good while the rest of a plan is carried out."""

    def __init__(self) -> None:
        """Start without any."""
        self.errors: list[DanmError] = []
        self._homeless: set[Identity] = set()

    @contextmanager
    def of(self, wanted: EndpointSlice | Endpoints) -> Iterator[None]:
        """Keep the refusal of an object, and what it would have held."""
        try:
            yield
        except DanmError as error:
            # The next try has another plan for these, so it is soon well.
            if error.transient or isinstance(error, NotFoundError):
                raise
            self.errors.append(error)
            if isinstance(wanted, EndpointSlice):
                self._homeless.update(map(identity_of, wanted.endpoints))

    def leave_without_slice(self, present: EndpointSlice) -> bool:
        """Say whether a slice may be the only one that has an endpoint that shall be elsewhere."""
        return not self._homeless.isdisjoint(map(identity_of, present.endpoints))

    def raise_all(self) -> None:
        """Raise what was kept, if anything was."""
        match self.errors:
            case []:
                return
            case [error]:
                raise error
            case errors:
                raise SeveralErrors(errors)


def _nothing() -> None:
    """Do nothing: who writes for its own sake measures nothing."""


class Writer:
    """Writes slices and Endpoints."""

    def __init__(
        self,
        api: KubeApi,
        wrote: Callable[[EndpointSlice | Endpoints], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Write to ``api``.

        Args:
            api: Where to write.
            wrote: Is told of each object that was written, with the version that it has now.
            clock: Monotonic seconds.
        """
        self._api = api
        self._wrote = wrote
        self._clock = clock
        self._obstacles: dict[ServiceKey, dict[_Obstacle, float]] = {}

    def without_obstacles(self, key: ServiceKey, plan: ServicePlan) -> ServicePlan:
        """Leave out creations that met an obstacle lately, and complain of it instead."""
        now = self._clock()
        known = {o: t for o, t in self._obstacles.pop(key, {}).items() if now < t}
        if not known:
            return plan
        self._obstacles[key] = known
        creates = tuple(
            slice_
            for slice_ in plan.slices.creates
            if _Obstacle(resource=ENDPOINT_SLICES, name=slice_.name) not in known
        )
        wanted = plan.endpoints
        if (
            isinstance(wanted, CreateEndpoints)
            and _Obstacle(resource=ENDPOINTS, name=wanted.endpoints.name) in known
        ):
            wanted = None
        complaints = tuple(obstacle.complaint() for obstacle in known)
        return replace(
            plan,
            slices=replace(plan.slices, creates=creates),
            endpoints=wanted,
            complaints=(*plan.complaints, *complaints),
        )

    async def write(
        self, key: ServiceKey, plan: ServicePlan, *, slices_written: Callable[[], None] = _nothing
    ) -> tuple[Complaint, ...]:
        """Carry a plan out in its order; return complaints about new obstacles.

        What the API server refuses for good keeps nothing else from being written: it would be
        refused again at every try.

        Args:
            key: The Service.
            plan: What to do.
            slices_written: Called once all slices are, if there were any.

        Raises:
            DanmError: A write failed; what was written before stays. ConflictError means that
                somebody wrote first, or that the plan was made from what is outdated. Refusals are
                raised last.
        """
        refusals = _Refusals()
        obstacles = []
        for created in plan.slices.creates:
            with refusals.of(created):
                obstacles.append(await self._create(created))
        for replaced in plan.slices.replaces:
            with refusals.of(replaced):
                await self._replace(replaced)
        for deleted in plan.slices.deletes:
            if not refusals.leave_without_slice(deleted):
                with refusals.of(deleted):
                    await self._delete(deleted)
        if plan.slices and not refusals.errors:
            slices_written()
        match plan.endpoints:
            case CreateEndpoints(endpoints=wanted):
                with refusals.of(wanted):
                    obstacles.append(await self._create(wanted))
            case ReplaceEndpoints(endpoints=wanted):
                with refusals.of(wanted):
                    await self._replace(wanted)
            case DeleteEndpoints(endpoints=present):
                with refusals.of(present):
                    await self._delete(present)
            case None:
                pass
        found = [obstacle for obstacle in obstacles if obstacle is not None]
        until = self._clock() + FOREIGN_RETRY_S
        if found:
            self._obstacles.setdefault(key, {}).update(dict.fromkeys(found, until))
        refusals.raise_all()
        return tuple(obstacle.complaint() for obstacle in found)

    def is_hindered(self, key: ServiceKey) -> bool:
        """Say whether somebody else's object has the name of one of a Service's."""
        return key in self._obstacles

    def forget(self, key: ServiceKey) -> None:
        """Forget a Service that is not served any more."""
        self._obstacles.pop(key, None)

    async def _create(self, wanted: EndpointSlice | Endpoints) -> _Obstacle | None:
        resource, body = _encode(wanted)
        namespace, name = wanted.namespace, wanted.name
        try:
            with _counted(resource, "create"):
                created = await self._api.create(
                    resource, body, namespace=namespace, answer=Answer.METADATA
                )
        except ConflictError:
            try:
                present = await self._api.get(resource, name, namespace=namespace)
            except NotFoundError as error:
                raise ConflictError(f"{resource.kind} {namespace}/{name} has just gone") from error
            if _is_ours(resource, present):
                # Made by the replica that led before, or by a try whose answer was lost: the
                # watch will tell.
                raise
            metrics.WRITES.labels(resource.plural, "create", "foreign").inc()
            return _Obstacle(resource=resource, name=name)
        _note("create", resource, body)
        self._wrote(replace(wanted, resource_version=created["metadata"]["resourceVersion"]))
        return None

    async def _replace(self, wanted: EndpointSlice | Endpoints) -> None:
        resource, body = _encode(wanted)
        with _counted(resource, "replace"):
            replaced = await self._api.replace(
                resource, body, namespace=wanted.namespace, answer=Answer.METADATA
            )
        _note("replace", resource, body)
        self._wrote(replace(wanted, resource_version=replaced["metadata"]["resourceVersion"]))

    async def _delete(self, present: EndpointSlice | Endpoints) -> None:
        resource, body = _encode(present)
        try:
            with _counted(resource, "delete"):
                await self._api.delete(
                    resource,
                    present.name,
                    namespace=present.namespace,
                    resource_version=present.resource_version,
                )
        except NotFoundError:
            # Kubernetes removes it together with its Service.
            return
        _note("delete", resource, body)


@contextmanager
def _counted(resource: Resource, verb: str) -> Iterator[None]:
    """Count how a write goes; what is gone already is deleted well."""
    result = "error"
    try:
        yield
        result = "ok"
    except ConflictError:
        result = "conflict"
        raise
    except NotFoundError:
        result = "ok" if verb == "delete" else "error"
        raise
    finally:
        metrics.WRITES.labels(resource.plural, verb, result).inc()


def _note(verb: str, resource: Resource, body: RawObject) -> None:
    _log.debug(
        "Wrote object",
        verb=verb,
        kind=resource.kind,
        namespace=body["metadata"]["namespace"],
        name=body["metadata"]["name"],
    )


def _encode(written: EndpointSlice | Endpoints) -> tuple[Resource, RawObject]:
    if isinstance(written, Endpoints):
        return ENDPOINTS, encode_endpoints(written)
    return ENDPOINT_SLICES, encode_endpoint_slice(written)


def _is_ours(resource: Resource, raw: RawObject) -> bool:
    if resource == ENDPOINTS:
        return manager_of_endpoints(raw) == ENDPOINTS_MANAGED_BY
    return manager_of_slice(raw) == SLICES_MANAGED_BY
