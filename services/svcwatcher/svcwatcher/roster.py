"""The endpoints of one Service, kept up Pod by Pod. Pure.

Source: SPEC S3; DESIGN P6. Computing all endpoints of a Service of thousands for each change of one
Pod would cost thousands of times what the change does.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Final

from danm_api.membership.endpoints import (
    Identity,
    Member,
    Membership,
    address_order,
    endpoint_order,
    family_of,
    identity_of,
    membership,
)
from danm_api.membership.selection import Selection
from danm_api.membership.views import PodId
from danm_api.model.addresses import IPAddress
from danm_api.model.endpoint_slice import Endpoint
from danm_api.model.service import IpFamily, Service

_NOTHING: Final = Membership()


class Roster:
    """What follows from the Pods that a Service selects.

    Attributes:
        families: Those of the Service; with others, another roster is needed.
        version: Grows with each change.
    """

    def __init__(self, service: Service, selection: Selection) -> None:
        """Begin with no Pod."""
        self.families = service.families
        self.version = 0
        self._service = service
        self._selection = selection
        self._of_pod: dict[PodId, Membership] = {}
        self._endpoints: dict[IpFamily, dict[Identity, Endpoint]] = {f: {} for f in self.families}
        self._touched: set[Identity] = set()
        # Of few Pods if of any, so that looking for them does not mean looking at all Pods.
        self._refused_of_pod: dict[PodId, tuple[IPAddress, ...]] = {}
        # All endpoints, sorted; None until somebody asks for them.
        self._sorted: list[Endpoint] | None = None

    def set_pod(self, pod_id: PodId, members: Iterable[Member]) -> None:
        """Take in all selected interfaces of a Pod; none when it is not selected any more."""
        old = self._of_pod.pop(pod_id, _NOTHING)
        new = membership(self._service, self._selection, members)
        if new == old:
            if new != _NOTHING:
                self._of_pod[pod_id] = old
            return
        self.version += 1
        if new != _NOTHING:
            self._of_pod[pod_id] = new
        self._refused_of_pod.pop(pod_id, None)
        if new.refused:
            self._refused_of_pod[pod_id] = new.refused
        before = {identity_of(endpoint): endpoint for endpoint in old.endpoints}
        after = {identity_of(endpoint): endpoint for endpoint in new.endpoints}
        for identity in before.keys() | after.keys():
            if before.get(identity) != after.get(identity):
                self._set(identity, before.get(identity), after.get(identity))

    def of_family(self, family: IpFamily) -> Mapping[Identity, Endpoint]:
        """Return the endpoints of one of the families, as they are now."""
        return self._endpoints[family]

    def take_touched(self) -> set[Identity]:
        """Return which endpoints have come, changed or gone since this was asked last."""
        touched, self._touched = self._touched, set()
        return touched

    def membership(self) -> Membership:
        """Return all endpoints, and the addresses that none may have, sorted."""
        if self._sorted is None:
            endpoints = (e for family in self._endpoints.values() for e in family.values())
            self._sorted = sorted(endpoints, key=endpoint_order)
        return Membership(endpoints=tuple(self._sorted), refused=self.refused())

    def refused(self) -> tuple[IPAddress, ...]:
        """Return the addresses that no endpoint may have, sorted."""
        refused = {address for found in self._refused_of_pod.values() for address in found}
        return tuple(sorted(refused, key=address_order))

    def _set(self, identity: Identity, old: Endpoint | None, new: Endpoint | None) -> None:
        endpoints = self._endpoints[family_of(identity[0])]
        before = endpoints.get(identity)
        self._touched.add(identity)
        if new is not None:
            endpoints[identity] = new
        elif before is old:
            del endpoints[identity]
        self._put_in_order(before, endpoints.get(identity))

    def _put_in_order(self, old: Endpoint | None, new: Endpoint | None) -> None:
        """Exchange one endpoint for another one of its identity, where they are sorted already."""
        present = old or new
        if self._sorted is None or present is None:
            return
        place = bisect_left(self._sorted, endpoint_order(present), key=endpoint_order)
        self._sorted[place : place + (old is not None)] = [] if new is None else [new]
