"""How a Service's endpoints are spread over EndpointSlices. Pure.

Source: SPEC S2; DESIGN "Controllers". Every consumer in the cluster reads every slice that is
written, so few are: an endpoint stays in its slice, a new one goes where something is written
anyway, and slices are merged only when they are half empty on average. Names follow from Service,
family and number, so that two writers meet in one object instead of making two.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import count
from typing import Final

from danm_api.model.endpoint_slice import MAX_ENDPOINTS_PER_SLICE, Endpoint, EndpointSlice
from danm_api.model.service import IpFamily, Service
from svcwatcher.endpoints import Membership

# The value of the label endpointslice.kubernetes.io/managed-by.
MANAGED_BY: Final = "svcwatcher.danm.k8s.io"

# Kubernetes' own: of Services with a selector, and copied from Endpoints.
KUBERNETES_MANAGERS: Final = (
    "endpointslice-controller.k8s.io",
    "endpointslicemirroring-controller.k8s.io",
)

# 32 bits tell a Service from its predecessor of the same name.
_UID_HASH_LENGTH: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicePlan:
    """What is to be written, in this order, so that no endpoint is missing in between.

    Attributes:
        creates: New slices.
        replaces: Slices as they shall be, with the version that they replace; growing ones first.
        deletes: Slices to be deleted, with the version that was judged.
    """

    creates: tuple[EndpointSlice, ...] = ()
    replaces: tuple[EndpointSlice, ...] = ()
    deletes: tuple[EndpointSlice, ...] = ()

    def __bool__(self) -> bool:
        """Say whether there is anything to write."""
        return bool(self.creates or self.replaces or self.deletes)


def plan_slices(
    service: Service | None, found: Membership, observed: Collection[EndpointSlice]
) -> SlicePlan:
    """Compare the slices that a Service should have with those that it has.

    Args:
        service: None when the Service shall have none.
        found: Its endpoints.
        observed: All slices that name the Service and that svcwatcher manages.
    """
    if service is None:
        return SlicePlan(deletes=_by_name(observed))
    wanted: list[EndpointSlice] = []
    for family in service.families:
        present = [s for s in observed if s.owner == service.uid and s.family is family]
        wanted += _slices_of_family(service, family, found.of_family(family), present)
    present_by_name = {s.name: s for s in observed}
    wanted_names = {s.name for s in wanted}
    changed = [
        replace(s, resource_version=present_by_name[s.name].resource_version)
        for s in wanted
        if s.name in present_by_name and not _same(s, present_by_name[s.name])
    ]
    changed.sort(key=lambda s: not _grows(s, present_by_name[s.name]))
    return SlicePlan(
        creates=tuple(s for s in wanted if s.name not in present_by_name),
        replaces=tuple(changed),
        deletes=_by_name(s for s in observed if s.name not in wanted_names),
    )


def slice_name(service: Service, family: IpFamily, index: int) -> str:
    """Return the name of a Service's slice; at most 63 + 20 characters for any sane index."""
    uid_hash = sha256(service.uid.encode()).hexdigest()[:_UID_HASH_LENGTH]
    return f"{service.name}-{family.lower()}-{index}-{uid_hash}"


def _slices_of_family(
    service: Service,
    family: IpFamily,
    endpoints: Sequence[Endpoint],
    present: Iterable[EndpointSlice],
) -> list[EndpointSlice]:
    """Return the slices of one family as they should be."""
    contents = _fill({s.name: s.endpoints for s in _by_name(present)}, endpoints)
    names = (slice_name(service, family, index) for index in count())
    free_names = (name for name in names if name not in contents.kept)
    filled = dict(contents.kept)
    filled.update((next(free_names), added) for added in contents.added)
    filled = {name: held for name, held in filled.items() if held}
    if not filled and family is service.families[0]:
        # As in Kubernetes: one empty slice shows that the Service has been looked after.
        filled[next(iter(contents.kept), next(free_names))] = ()
    return [
        EndpointSlice(
            namespace=service.namespace,
            name=name,
            service=service.name,
            owner=service.uid,
            managed_by=MANAGED_BY,
            headless=service.headless,
            family=family,
            endpoints=held,
            ports=service.ports,
        )
        for name, held in filled.items()
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Contents:
    """What slices should hold.

    Attributes:
        kept: By name, of the slices that exist; empty for one that is not needed any more.
        added: Of slices to be made.
    """

    kept: dict[str, tuple[Endpoint, ...]]
    added: tuple[tuple[Endpoint, ...], ...]


def _fill(present: dict[str, tuple[Endpoint, ...]], endpoints: Sequence[Endpoint]) -> _Contents:
    """Spread endpoints so that few of the present slices change.

    Source: SPEC S2 (100 endpoints in a slice, filled stably).
    """
    rest = {_identity(endpoint): endpoint for endpoint in endpoints}
    slices: dict[str, list[Endpoint]] = {}
    for name, held in present.items():
        kept: list[Endpoint] = []
        for endpoint in held:
            if len(kept) < MAX_ENDPOINTS_PER_SLICE and _identity(endpoint) in rest:
                kept.append(rest.pop(_identity(endpoint)))
        slices[name] = kept
    new = list(rest.values())
    written_anyway = [kept for name, kept in slices.items() if tuple(kept) != present[name]]
    for kept in sorted(written_anyway, key=len, reverse=True):
        _move(new, kept)
    if new:
        # One more slice is written, at best one that then is full.
        fitting = [kept for kept in slices.values() if len(new) <= _room(kept)]
        if fitting:
            _move(new, min(fitting, key=_room))
    added: list[list[Endpoint]] = []
    while new:
        added.append([])
        _move(new, added[-1])
    _merge([*slices.values(), *added])
    return _Contents(
        kept={name: tuple(kept) for name, kept in slices.items()},
        added=tuple(tuple(held) for held in added if held),
    )


def _merge(slices: Sequence[list[Endpoint]]) -> None:
    """Empty the smallest slices into the others while all are half empty on average.

    What does not exceed half of m slices' space always fits into m - 1 of them, since m >= 2.
    """
    by_size = sorted((held for held in slices if held), key=len, reverse=True)
    total = sum(map(len, by_size))
    while len(by_size) > 1 and total * 2 <= len(by_size) * MAX_ENDPOINTS_PER_SLICE:
        smallest = by_size.pop()
        for held in by_size:
            _move(smallest, held)
        by_size.sort(key=len, reverse=True)


def _move(source: list[Endpoint], target: list[Endpoint]) -> None:
    """Move as many endpoints as the target has room for, in order."""
    moved = source[: _room(target)]
    target += moved
    del source[: len(moved)]


def _room(held: Sequence[Endpoint]) -> int:
    return MAX_ENDPOINTS_PER_SLICE - len(held)


def _identity(endpoint: Endpoint) -> tuple[object, str]:
    """Return what makes an endpoint the same one in spite of changed conditions."""
    return endpoint.address, "" if endpoint.pod is None else endpoint.pod.uid


def _same(wanted: EndpointSlice, present: EndpointSlice) -> bool:
    return wanted == replace(present, resource_version="")


def _grows(wanted: EndpointSlice, present: EndpointSlice) -> bool:
    return len(wanted.endpoints) > len(present.endpoints)


def _by_name(slices: Iterable[EndpointSlice]) -> tuple[EndpointSlice, ...]:
    return tuple(sorted(slices, key=lambda s: s.name))
