"""How a Service's endpoints are spread over EndpointSlices. Pure.

Source: SPEC S2; DESIGN "Controllers". Every consumer in the cluster reads every slice that is
written, so few are: an endpoint stays in its slice, a new one goes where something is written
anyway, and slices are merged only when they are half empty on average. Names follow from Service,
family and number, so that two writers meet in one object instead of making two.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from danm_api.model.endpoint_slice import MAX_ENDPOINTS_PER_SLICE, Endpoint, EndpointSlice
from danm_api.model.service import IpFamily, Service

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


def slice_name(service: Service, family: IpFamily, index: int) -> str:
    """Return the name of a Service's slice; at most 63 + 20 characters for any sane index."""
    uid_hash = sha256(service.uid.encode()).hexdigest()[:_UID_HASH_LENGTH]
    return f"{service.name}-{family.lower()}-{index}-{uid_hash}"


def spread(
    slices: dict[str, list[Endpoint]], written_anyway: Collection[str], new: list[Endpoint]
) -> list[list[Endpoint]]:
    """Find room for new endpoints so that few of the present slices change.

    Source: SPEC S2 (100 endpoints in a slice, filled stably).

    Args:
        slices: By name, what stays of each; changed in place.
        written_anyway: Names of those that differ from what is written.
        new: In the order in which they are placed; empty afterwards.

    Returns:
        What is to be in slices that have to be made.
    """
    for name in sorted(written_anyway, key=lambda name: len(slices[name]), reverse=True):
        _move(new, slices[name])
    if new:
        # One more slice is written, at best one that then is full.
        fitting = [held for held in slices.values() if len(new) <= _room(held)]
        if fitting:
            _move(new, min(fitting, key=_room))
    added: list[list[Endpoint]] = []
    while new:
        added.append([])
        _move(new, added[-1])
    _merge([*slices.values(), *added])
    return [held for held in added if held]


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
