"""Whether slices and Endpoints tell what ``service_wanted`` says that they must. Pure, and slow.

It has nothing of svcwatcher's own code. How endpoints are spread over slices is left to svcwatcher,
within what SPEC S2 allows.

Source: SPEC S1, S2, S4.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from itertools import chain
from typing import Final

from tests.lab.chaos.controllers.facts import (
    Address,
    Difference,
    Endpoint,
    Endpoints,
    Service,
    Services,
    Slice,
    Subset,
)
from tests.lab.chaos.controllers.service_wanted import (
    family,
    has_unpublishable,
    verdict,
    wanted_endpoints,
)

SERVICE_NAME: Final = "kubernetes.io/service-name"
MANAGED_BY: Final = "endpointslice.kubernetes.io/managed-by"
HEADLESS: Final = "service.kubernetes.io/headless"
SKIP_MIRROR: Final = "endpointslice.kubernetes.io/skip-mirror"
SVCWATCHER: Final = "svcwatcher.danm.k8s.io"
ENDPOINTS_MANAGED_BY: Final = "danm.k8s.io/managed-by"
OVER_CAPACITY: Final = "endpoints.kubernetes.io/over-capacity"
MIRRORING: Final = "endpointslicemirroring-controller.k8s.io"
KUBERNETES: Final = ("endpointslice-controller.k8s.io", MIRRORING)

_SLICE_HOLDS: Final = 100
_ENDPOINTS_HOLD: Final = 1000


def differences(world: Services) -> list[Difference]:
    """Return all that is missing, left or wrong."""
    known = {(s.metadata.namespace, s.metadata.name) for s in world.services}
    return [
        *chain.from_iterable(_of_service(world, service) for service in world.services),
        *(
            Difference(kind="left", where=slice_.metadata.where, what="a slice of no Service")
            for slice_ in world.slices
            if is_ours(slice_) and _service_of(slice_) not in known
        ),
        *(
            Difference(kind="left", where=each.metadata.where, what="Endpoints of no Service")
            for each in world.endpoints
            if are_ours(each) and (each.metadata.namespace, each.metadata.name) not in known
        ),
    ]


def is_ours(slice_: Slice) -> bool:
    """Say whether svcwatcher made a slice."""
    return slice_.metadata.labels.get(MANAGED_BY) == SVCWATCHER


def are_ours(endpoints: Endpoints) -> bool:
    """Say whether svcwatcher made an Endpoints object."""
    return endpoints.metadata.labels.get(ENDPOINTS_MANAGED_BY) == "svcwatcher"


def _of_service(world: Services, service: Service) -> Iterator[Difference]:
    where = service.metadata.where
    key = (service.metadata.namespace, service.metadata.name)
    of_it = [each for each in world.slices if _service_of(each) == key]
    slices = [each for each in of_it if is_ours(each)]
    kubernetes = [each for each in of_it if each.metadata.labels.get(MANAGED_BY) in KUBERNETES]
    named = [e for e in world.endpoints if (e.metadata.namespace, e.metadata.name) == key]
    endpoints = next((each for each in named if are_ours(each)), None)
    judged = verdict(service)
    if judged != "served":
        for each in slices:
            yield Difference(kind="left", where=where, what=f"slice {each.metadata.name}, {judged}")
        if endpoints is not None:
            yield Difference(kind="left", where=where, what=f"its Endpoints, {judged}")
        if judged == "refused":
            yield from _told(world, service, "InvalidAnnotation")
        return
    wanted = wanted_endpoints(world, service)
    yield from _of_slices(service, wanted, slices)
    if endpoints is not None:
        yield from _of_endpoints(service, wanted, endpoints)
        if any(each.metadata.labels.get(MANAGED_BY) == MIRRORING for each in kubernetes):
            yield Difference(kind="left", where=where, what="Kubernetes mirrors its Endpoints")
    elif not named:
        yield Difference(kind="missing", where=where, what="its Endpoints")
    else:
        yield from _told(world, service, "NameTaken")
    if kubernetes:
        yield from _told(world, service, "OthersAnswerToo")
    if has_unpublishable(world, service):
        yield from _told(world, service, "AddressNotPublished")


def _told(world: Services, service: Service, reason: str) -> Iterator[Difference]:
    if not any((e.regarding.uid, e.reason) == (service.metadata.uid, reason) for e in world.events):
        yield Difference(kind="missing", where=service.metadata.where, what=f"an Event {reason}")


def _of_slices(
    service: Service, wanted: list[Endpoint], slices: list[Slice]
) -> Iterator[Difference]:
    where = service.metadata.where
    for each in slices:
        name = f"slice {each.metadata.name}"
        labels = {
            SERVICE_NAME: service.metadata.name,
            MANAGED_BY: SVCWATCHER,
            HEADLESS: "",
        }
        yield from _same(where, f"labels of {name}", labels, each.metadata.labels)
        yield from _owned(service, each, name)
        ports = sorted(each.ports)
        yield from _same(where, f"ports of {name}", sorted(service.spec.ports), ports)
        if len(each.endpoints) > _SLICE_HOLDS:
            yield Difference(kind="wrong", where=where, what=f"{name} has more than {_SLICE_HOLDS}")
    families = service.spec.ip_families
    for name in ("IPv4", "IPv6"):
        of_family = [each for each in slices if each.address_type == name]
        rightful = [e for e in wanted if family(e.addresses[0]) == name]
        found = [endpoint for each in of_family for endpoint in each.endpoints]
        yield from _compared(where, f"{name} endpoint", rightful, found)
        empty = sum(not each.endpoints for each in of_family)
        # The first family has an empty one where there is nothing to say.
        allowed = 1 if name == families[0] and not rightful else 0
        if empty != allowed:
            what = f"{empty} empty {name} slices, not {allowed}"
            yield Difference(kind="wrong", where=where, what=what)
        if len(of_family) > 1 and 2 * len(found) <= len(of_family) * _SLICE_HOLDS:
            what = f"{len(of_family)} {name} slices for {len(found)} endpoints"
            yield Difference(kind="wrong", where=where, what=what)


def _of_endpoints(
    service: Service, wanted: list[Endpoint], found: Endpoints
) -> Iterator[Difference]:
    where = service.metadata.where
    # There is no word for what is about to go; and an object holds a thousand, ready ones first.
    counted = [e for e in wanted if e.conditions.ready or not e.conditions.terminating]
    ready = [_legacy(e) for e in counted if e.conditions.ready]
    others = [_legacy(e) for e in counted if not e.conditions.ready]
    is_cut = len(counted) > _ENDPOINTS_HOLD
    labels = {SKIP_MIRROR: "true", ENDPOINTS_MANAGED_BY: "svcwatcher", HEADLESS: ""}
    yield from _same(where, "labels of its Endpoints", labels, found.metadata.labels)
    told = found.metadata.annotations.get(OVER_CAPACITY, "")
    yield from _same(where, "its Endpoints are", "truncated" if is_cut else "", told)
    yield from _owned(service, found, "its Endpoints")
    if len(found.subsets) != bool(counted):
        what = f"{len(found.subsets)} subsets of its Endpoints"
        yield Difference(kind="wrong", where=where, what=what)
    subset = found.subsets[0] if found.subsets else Subset()
    if found.subsets:
        ports = sorted(subset.ports)
        yield from _same(where, "ports of its Endpoints", sorted(service.spec.ports), ports)
    if is_cut:
        size = len(subset.addresses) + len(subset.not_ready_addresses)
        yield from _same(where, "addresses in its Endpoints", _ENDPOINTS_HOLD, size)
        return
    yield from _compared(where, "ready address", ready, subset.addresses)
    yield from _compared(where, "not-ready address", others, subset.not_ready_addresses)


def _legacy(endpoint: Endpoint) -> Address:
    return Address(
        ip=endpoint.addresses[0],
        hostname=endpoint.hostname,
        node_name=endpoint.node_name,
        target_ref=endpoint.target_ref,
    )


def _service_of(slice_: Slice) -> tuple[str, str]:
    return slice_.metadata.namespace, slice_.metadata.labels.get(SERVICE_NAME, "")


def _owned(service: Service, found: Slice | Endpoints, name: str) -> Iterator[Difference]:
    owners = [(o.kind, o.uid, o.controller) for o in found.metadata.owner_references]
    wanted = [("Service", service.metadata.uid, True)]
    yield from _same(service.metadata.where, f"owners of {name}", wanted, owners)


def _same(where: str, what: str, wanted: object, found: object) -> Iterator[Difference]:
    if wanted != found:
        yield Difference(kind="wrong", where=where, what=f"{what}: {found}, not {wanted}")


def _compared(
    where: str, what: str, wanted: Iterable[Hashable], found: Iterable[Hashable]
) -> Iterator[Difference]:
    rightful, present = Counter(wanted), Counter(found)
    for each in (rightful - present).elements():
        yield Difference(kind="missing", where=where, what=f"{what} {each}")
    for each in (present - rightful).elements():
        yield Difference(kind="left", where=where, what=f"{what} {each}")
