"""What is remembered of one served Service from one plan to the next. Pure.

It only saves work: all of it follows from the objects, and may be forgotten at any time.
"""

from collections.abc import Iterable

from danm_api.membership.endpoints import Member, endpoints_object
from danm_api.membership.selection import Selection
from danm_api.membership.views import id_of
from danm_api.model.endpoint_slice import Endpoints, EndpointSlice
from danm_api.model.service import Service
from svcwatcher.layout import Layout
from svcwatcher.roster import Roster
from svcwatcher.slicing import SlicePlan


class Standing:
    """A Service's endpoints and where they are written.

    Attributes:
        roster: Its endpoints, to be kept up by the owner of this object.
    """

    def __init__(self, service: Service, selection: Selection, members: Iterable[Member]) -> None:
        """Begin with all that a Service selects."""
        self.roster = Roster(service, selection)
        self._layout = Layout()
        self._endpoints: Endpoints | None = None
        self._endpoints_of: tuple[Service, int] | None = None
        self._settled: Endpoints | None = None
        of_pods: dict[object, list[Member]] = {}
        for member in members:
            of_pods.setdefault(id_of(member.pod), []).append(member)
        for of_pod in of_pods.values():
            self.roster.set_pod(id_of(of_pod[0].pod), of_pod)

    def plan_slices(self, service: Service, observed: Iterable[EndpointSlice]) -> SlicePlan:
        """Compare the slices that the Service should have with those that it has."""
        return self._layout.plan(service, self.roster, tuple(observed))

    def endpoints(self, service: Service) -> Endpoints:
        """Return the Endpoints that the Service should have."""
        if self._endpoints is None or self._endpoints_of != (service, self.roster.version):
            self._endpoints = endpoints_object(service, self.roster.membership())
            self._endpoints_of = (service, self.roster.version)
            self._settled = None
        return self._endpoints

    def settle(self, present: Endpoints) -> None:
        """Remember that an object is as it should be."""
        self._settled = present

    def is_settled(self, service: Service, present: Endpoints | None) -> bool:
        """Say whether an object was found as it should be, and nothing has changed since."""
        return (
            present is not None
            and self._settled is present
            and self._endpoints_of == (service, self.roster.version)
        )
