"""What is to be written for one Service: the whole of it, from what is and what should be. Pure.

Source: SPEC S2, S3; DESIGN "Controllers". The plan follows from the objects alone, whatever the
history, so it converges from any state and a doubled or missed event changes nothing.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

from danm_api.membership.selection import Refusal, Verdict
from danm_api.model.addresses import IPAddress
from danm_api.model.endpoint_slice import Endpoints, EndpointSlice
from danm_api.model.service import Service
from svcwatcher.layout import no_slices
from svcwatcher.slicing import SlicePlan
from svcwatcher.standing import Standing

# An Event holds 1024 bytes.
_MAX_NAMED: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateEndpoints:
    """The Service has no Endpoints yet."""

    endpoints: Endpoints


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceEndpoints:
    """The Service's Endpoints differ; they carry the version that is replaced."""

    endpoints: Endpoints


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteEndpoints:
    """The Service shall have none of ours; they carry the version that was judged."""

    endpoints: Endpoints


EndpointsWrite = CreateEndpoints | ReplaceEndpoints | DeleteEndpoints


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """What the Service's author is to be told in an Event.

    Attributes:
        reason: In the form of Events: one word in capitals and small letters.
        message: A sentence that says what to do.
    """

    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePlan:
    """All writes for one Service, slices first: they are the truth.

    Attributes:
        endpoints: What happens to the deprecated Endpoints; None for nothing.
        endpoints_deferred: They may differ, and were not looked at, since it is too early.
        complaints: What is wrong with the Service or its Pods.
    """

    slices: SlicePlan = SlicePlan()  # noqa: RUF009  (frozen)
    endpoints: EndpointsWrite | None = None
    endpoints_deferred: bool = False
    complaints: tuple[Complaint, ...] = ()

    @property
    def writes(self) -> bool:
        """Say whether there is anything to write."""
        return bool(self.slices) or self.endpoints is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What exists for one Service.

    Attributes:
        service: None when it does not exist.
        slices: Those that svcwatcher manages.
        endpoints: The Endpoints that svcwatcher manages.
        kubernetes_slices: Names of those that Kubernetes' own controllers made for it.
    """

    service: Service | None
    slices: Collection[EndpointSlice] = ()
    endpoints: Endpoints | None = None
    kubernetes_slices: Collection[str] = ()


def plan_service(
    observed: Observed,
    verdict: Verdict,
    standing: Standing | None,
    *,
    write_endpoints: bool,
    endpoints_due: bool = True,
    endpoints_alone: bool = False,
) -> ServicePlan:
    """Compute all writes for one Service.

    Args:
        observed: What exists.
        verdict: What its annotations ask for.
        standing: Its endpoints; None unless the verdict is a selection.
        write_endpoints: Whether Services have Endpoints beside their slices.
        endpoints_due: Whether Endpoints of a served Service may be written now.
        endpoints_alone: Whether they may only where no slice has to be written.
    """
    service = observed.service
    if service is None or standing is None:
        complaints = (
            (Complaint(reason="InvalidAnnotation", message=verdict.reason),)
            if isinstance(verdict, Refusal)
            else ()
        )
        return ServicePlan(
            slices=no_slices(observed.slices),
            endpoints=_none_instead_of(observed.endpoints),
            complaints=complaints,
        )
    slices = standing.plan_slices(service, observed.slices)
    present = observed.endpoints
    endpoints: EndpointsWrite | None = None
    deferred = False
    if not write_endpoints:
        endpoints = _none_instead_of(present)
    elif not standing.is_settled(service, present):
        deferred = not endpoints_due or (endpoints_alone and bool(slices))
        endpoints = None if deferred else _plan_endpoints(service, standing, present)
    return ServicePlan(
        slices=slices,
        endpoints=endpoints,
        endpoints_deferred=deferred,
        complaints=(
            *_complaints_of_addresses(standing.roster.refused()),
            *_complaints_of_slices(observed.kubernetes_slices),
        ),
    )


def _none_instead_of(present: Endpoints | None) -> EndpointsWrite | None:
    return None if present is None else DeleteEndpoints(endpoints=present)


def _plan_endpoints(
    service: Service, standing: Standing, present: Endpoints | None
) -> EndpointsWrite | None:
    wanted = standing.endpoints(service)
    if present is None:
        return CreateEndpoints(endpoints=wanted)
    if wanted == replace(present, resource_version=""):
        standing.settle(present)
        return None
    return ReplaceEndpoints(endpoints=replace(wanted, resource_version=present.resource_version))


def _complaints_of_slices(names: Collection[str]) -> tuple[Complaint, ...]:
    """Tell of what Kubernetes leaves behind when a Service loses its selector.

    It stays for ever, and look-ups return what is in any slice of a Service.
    """
    if not names:
        return ()
    some = sorted(names)[:_MAX_NAMED]
    return (
        Complaint(
            reason="OthersAnswerToo",
            message=f"look-ups of this Service also return what is in {len(names)} EndpointSlice(s)"
            " that Kubernetes itself made for it and does not keep up any more, as after the "
            "removal of spec.selector; delete the Endpoints of its name if they are not DANM's, "
            f"from which some are copied, and: kubectl delete endpointslice {' '.join(some)}",
        ),
    )


def _complaints_of_addresses(refused: tuple[IPAddress, ...]) -> tuple[Complaint, ...]:
    if not refused:
        return ()
    some = ", ".join(map(str, refused[:_MAX_NAMED]))
    return (
        Complaint(
            reason="AddressNotPublished",
            message="Kubernetes takes no loopback, link-local, multicast or IPv4-in-IPv6 address "
            f"as an endpoint, so {some} cannot be found by this Service; give the DanmNet another "
            "cidr",
        ),
    )
