"""Which endpoint of a Service is in which slice, and what is to be written. Pure.

Source: SPEC S2, S3; DESIGN P6. A slice that was once found to be as it should be is not looked at
again until it or one of its endpoints changes, so that the change of one Pod costs the same in a
Service of ten endpoints and in one of ten thousand. All that is remembered can be forgotten at any
time: the next plan then looks at everything.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count

from danm_api.membership.endpoints import (
    SLICES_MANAGED_BY,
    Identity,
    endpoint_order,
    family_of,
    identity_of,
)
from danm_api.model.endpoint_slice import MAX_ENDPOINTS_PER_SLICE, Endpoint, EndpointSlice
from danm_api.model.service import IpFamily, Service
from svcwatcher.roster import Roster
from svcwatcher.slicing import SlicePlan, slice_name, spread


@dataclass(slots=True, kw_only=True)
class _Family:
    """What is known of the slices of one family.

    Attributes:
        settled: By name, the observed slices that are as they should be.
        home: The settled slice of each endpoint that is in one.
        open: Endpoints that were not in a settled slice the last time.
    """

    settled: dict[str, EndpointSlice] = field(default_factory=dict)
    home: dict[Identity, str] = field(default_factory=dict)
    open: set[Identity] = field(default_factory=set)

    def settle(self, slice_: EndpointSlice) -> None:
        """Remember a slice that is as it should be."""
        self.settled[slice_.name] = slice_
        for endpoint in slice_.endpoints:
            self.home[identity_of(endpoint)] = slice_.name
            self.open.discard(identity_of(endpoint))

    def unsettle(self, name: str) -> None:
        """Look at a slice anew."""
        slice_ = self.settled.pop(name, None)
        for endpoint in () if slice_ is None else slice_.endpoints:
            self.home.pop(identity_of(endpoint), None)
            self.open.add(identity_of(endpoint))


class Layout:
    """The slices of one Service, from one plan to the next."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._service: Service | None = None
        self._families: dict[IpFamily, _Family] = {}

    def plan(
        self, service: Service, roster: Roster, observed: Collection[EndpointSlice]
    ) -> SlicePlan:
        """Compare the slices that a Service should have with those that it has.

        Args:
            service: Which Service.
            roster: Its endpoints; always the same one.
            observed: All slices that name the Service and that svcwatcher manages.
        """
        if service != self._service:
            # Ports, owner or families may differ, which are part of each slice.
            for known in self._families.values():
                for name in tuple(known.settled):
                    known.unsettle(name)
            self._service = service
        touched: dict[IpFamily, list[Identity]] = {family: [] for family in service.families}
        for identity in roster.take_touched():
            touched[family_of(identity[0])].append(identity)
        names: set[str] = set()
        differing: list[EndpointSlice] = []
        for family in service.families:
            present = [s for s in _by_name(observed) if _is_of(s, service, family)]
            known = self._families.setdefault(family, _Family())
            family_names, family_differing = _plan_family(
                service, family, known, roster.of_family(family), touched[family], present
            )
            names |= family_names
            differing += family_differing
        return _slice_plan(names, differing, observed)


def no_slices(observed: Iterable[EndpointSlice]) -> SlicePlan:
    """Plan for a Service that shall have no slices."""
    return SlicePlan(deletes=_by_name(observed))


def _plan_family(  # (one step of a plan, not an interface)
    service: Service,
    family: IpFamily,
    known: _Family,
    wanted: Mapping[Identity, Endpoint],
    touched: Iterable[Identity],
    present: list[EndpointSlice],
) -> tuple[set[str], list[EndpointSlice]]:
    """Return the names of all slices of a family, and those that are not as they should be."""
    _open_what_changed(known, touched, present)
    slices = _surviving(known, wanted, present)
    differ = {s.name for s in present if tuple(slices[s.name]) != s.endpoints}
    new = sorted((wanted[identity] for identity in known.open), key=endpoint_order)
    placed = {
        identity_of(e) for s in present if s.name not in known.settled for e in slices[s.name]
    }
    new = [endpoint for endpoint in new if identity_of(endpoint) not in placed]
    added = spread(slices, differ, new)
    free_names = (
        name
        for name in (slice_name(service, family, index) for index in count())
        if name not in slices
    )
    filled = {name: held for name, held in slices.items() if held}
    made = {next(free_names): held for held in added}
    filled |= made
    if not filled and family is service.families[0]:
        # As in Kubernetes: one empty slice shows that the Service has been looked after.
        filled[next(iter(slices), None) or next(free_names)] = []
    by_name = {s.name: s for s in present}
    differing = []
    for name, held in filled.items():
        settled = known.settled.get(name)
        if settled is not None and tuple(held) == settled.endpoints:
            continue
        slice_ = _slice(service, family, name, held)
        if name in by_name and slice_ == replace(by_name[name], resource_version=""):
            known.settle(by_name[name])
        else:
            known.unsettle(name)
            differing.append(slice_)
    for name in known.settled.keys() - filled.keys():
        known.unsettle(name)
    return set(filled), differing


def _open_what_changed(
    known: _Family, touched: Iterable[Identity], present: Iterable[EndpointSlice]
) -> None:
    """Unsettle the slices that are not what they were, or hold an endpoint that is not."""
    for identity in touched:
        known.open.add(identity)
        if identity in known.home:
            known.unsettle(known.home[identity])
    by_name = {s.name: s for s in present}
    for name in [n for n, s in known.settled.items() if by_name.get(n) is not s]:
        known.unsettle(name)


def _surviving(
    known: _Family, wanted: Mapping[Identity, Endpoint], present: Iterable[EndpointSlice]
) -> dict[str, list[Endpoint]]:
    """Return by name what stays of each slice, each endpoint once."""
    slices: dict[str, list[Endpoint]] = {}
    placed: set[Identity] = set()
    for slice_ in present:
        if slice_.name in known.settled:
            slices[slice_.name] = list(slice_.endpoints)
            continue
        kept = slices[slice_.name] = []
        for endpoint in slice_.endpoints:
            identity = identity_of(endpoint)
            known.open.add(identity)
            if (
                len(kept) < MAX_ENDPOINTS_PER_SLICE
                and identity in wanted
                and identity not in placed
                and identity not in known.home
            ):
                kept.append(wanted[identity])
                placed.add(identity)
    known.open = {i for i in known.open if i in wanted and i not in known.home}
    return slices


def _slice(
    service: Service, family: IpFamily, name: str, held: Iterable[Endpoint]
) -> EndpointSlice:
    return EndpointSlice(
        namespace=service.namespace,
        name=name,
        service=service.name,
        owner=service.uid,
        managed_by=SLICES_MANAGED_BY,
        headless=service.headless,
        family=family,
        endpoints=tuple(held),
        ports=service.ports,
    )


def _slice_plan(
    names: Collection[str],
    differing: Iterable[EndpointSlice],
    observed: Collection[EndpointSlice],
) -> SlicePlan:
    present = {s.name: s for s in observed}
    creates = []
    replaces = []
    for slice_ in differing:
        if slice_.name in present:
            version = present[slice_.name].resource_version
            replaces.append(replace(slice_, resource_version=version))
        else:
            creates.append(slice_)
    # Growing ones first, so that no endpoint that moves is missing in between.
    replaces.sort(key=lambda s: len(s.endpoints) <= len(present[s.name].endpoints))
    return SlicePlan(
        creates=tuple(creates),
        replaces=tuple(replaces),
        deletes=_by_name(s for s in observed if s.name not in names),
    )


def _is_of(slice_: EndpointSlice, service: Service, family: IpFamily) -> bool:
    return slice_.owner == service.uid and slice_.family is family


def _by_name(slices: Iterable[EndpointSlice]) -> tuple[EndpointSlice, ...]:
    return tuple(sorted(slices, key=lambda s: s.name))
