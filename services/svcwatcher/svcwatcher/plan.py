"""What is to be written for one Service: the whole of it, from what is and what should be. Pure.

Source: SPEC S2, S3; DESIGN "Controllers". The plan follows from the objects alone, whatever the
history, so it converges from any state and a doubled or missed event changes nothing.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Final

from danm_api.model.addresses import IPAddress
from danm_api.model.endpoint_slice import Endpoints, EndpointSlice
from danm_api.model.service import Service
from svcwatcher.endpoints import Member, Membership, endpoints_object, membership
from svcwatcher.selection import Refusal, Selection, Verdict
from svcwatcher.slicing import SlicePlan, plan_slices

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
        complaints: What is wrong with the Service or its Pods.
    """

    slices: SlicePlan = SlicePlan()  # noqa: RUF009  (frozen)
    endpoints: EndpointsWrite | None = None
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
    observed: Observed, verdict: Verdict, members: Iterable[Member], *, write_endpoints: bool
) -> ServicePlan:
    """Compute all writes for one Service.

    Args:
        observed: What exists.
        verdict: What its annotations ask for.
        members: The selected interfaces; none unless the verdict is a selection.
        write_endpoints: Whether Services have Endpoints beside their slices.
    """
    service = observed.service
    if service is None or not isinstance(verdict, Selection):
        complaints = (
            (Complaint(reason="InvalidAnnotation", message=verdict.reason),)
            if isinstance(verdict, Refusal)
            else ()
        )
        return ServicePlan(
            slices=plan_slices(None, Membership(), observed.slices),
            endpoints=_plan_endpoints(None, observed.endpoints),
            complaints=complaints,
        )
    found = membership(service, verdict, members)
    wanted = endpoints_object(service, found) if write_endpoints else None
    return ServicePlan(
        slices=plan_slices(service, found, observed.slices),
        endpoints=_plan_endpoints(wanted, observed.endpoints),
        complaints=(
            *_complaints_of_addresses(found.refused),
            *_complaints_of_slices(observed.kubernetes_slices),
        ),
    )


def _plan_endpoints(wanted: Endpoints | None, present: Endpoints | None) -> EndpointsWrite | None:
    if wanted is None:
        return None if present is None else DeleteEndpoints(endpoints=present)
    if present is None:
        return CreateEndpoints(endpoints=wanted)
    if wanted == replace(present, resource_version=""):
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
            message="Kubernetes takes no loopback, link-local or multicast address as an "
            f"endpoint, so {some} cannot be found by this Service; give the DanmNet another cidr",
        ),
    )
