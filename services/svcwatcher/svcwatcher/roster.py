"""The endpoints of one Service, kept up Pod by Pod. Pure.

Source: SPEC S3; DESIGN P6. Computing all endpoints of a Service of thousands for each change of one
Pod would cost thousands of times what the change does.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from danm_api.model.addresses import IPAddress
from danm_api.model.endpoint_slice import Endpoint
from danm_api.model.service import IpFamily, Service
from svcwatcher.endpoints import (
    Identity,
    Member,
    Membership,
    address_order,
    endpoint_order,
    family_of,
    identity_of,
    membership,
)
from svcwatcher.index import PodId
from svcwatcher.selection import Selection

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
        endpoints = (e for family in self._endpoints.values() for e in family.values())
        return Membership(
            endpoints=tuple(sorted(endpoints, key=endpoint_order)), refused=self.refused()
        )

    def refused(self) -> tuple[IPAddress, ...]:
        """Return the addresses that no endpoint may have, sorted."""
        refused = {address for found in self._of_pod.values() for address in found.refused}
        return tuple(sorted(refused, key=address_order))

    def _set(self, identity: Identity, old: Endpoint | None, new: Endpoint | None) -> None:
        endpoints = self._endpoints[family_of(identity[0])]
        self._touched.add(identity)
        if new is not None:
            endpoints[identity] = new
        elif endpoints.get(identity) is old:
            del endpoints[identity]
