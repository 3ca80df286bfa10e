"""Tests of the plan for one Service."""

from dataclasses import replace

import pytest

from danm_api.membership.endpoints import Member, Membership, endpoints_object
from danm_api.membership.selection import NotOurs, Selection, select
from danm_api.membership.views import id_of
from danm_api.model.service import IpFamily, Service
from danm_api.testing.service_builders import a_pod, a_service, an_interface
from svcwatcher.layout import no_slices
from svcwatcher.plan import (
    Complaint,
    CreateEndpoints,
    DeleteEndpoints,
    EndpointsWrite,
    Observed,
    ReplaceEndpoints,
    ServicePlan,
    plan_service,
)
from svcwatcher.standing import Standing

SERVICE = a_service(families=(IpFamily.IPV4,))
POD = a_pod()
MEMBER = Member(pod=POD, interface=an_interface(POD, "10.0.0.1"))
EMPTY = replace(endpoints_object(SERVICE, Membership()), resource_version="7")


def plan(
    observed: Observed,
    *members: Member,
    write_endpoints: bool = True,
    endpoints_alone: bool = False,
) -> ServicePlan:
    """Plan for a Service as its annotations say."""
    service = observed.service
    verdict = NotOurs() if service is None else select(service)
    standing = (
        Standing(service, verdict, members)
        if service is not None and isinstance(verdict, Selection)
        else None
    )
    return plan_service(
        observed,
        verdict,
        standing,
        write_endpoints=write_endpoints,
        endpoints_alone=endpoints_alone,
    )


def settled(service: Service, *members: Member) -> Observed:
    """Return what exists after a first plan was carried out."""
    first = plan(Observed(service=service), *members)
    assert isinstance(first.endpoints, CreateEndpoints)
    return Observed(
        service=service,
        slices=[replace(s, resource_version="1") for s in first.slices.creates],
        endpoints=replace(first.endpoints.endpoints, resource_version="1"),
    )


def test_what_is_as_it_should_be_needs_no_write() -> None:
    """Planning again changes nothing."""
    # SPEC S3
    assert plan(settled(SERVICE, MEMBER), MEMBER) == ServicePlan()


@pytest.mark.parametrize(
    ("observed", "write_endpoints", "expected"),
    [
        pytest.param(
            Observed(service=SERVICE),
            True,
            CreateEndpoints(endpoints=replace(EMPTY, resource_version="")),
            id="missing",
        ),
        pytest.param(Observed(service=SERVICE), False, None, id="not-wanted"),
        pytest.param(
            Observed(service=SERVICE, endpoints=EMPTY),
            False,
            DeleteEndpoints(endpoints=EMPTY),
            id="not-wanted-any-more",
        ),
        pytest.param(
            Observed(service=SERVICE, endpoints=replace(EMPTY, skip_mirror=False)),
            True,
            ReplaceEndpoints(endpoints=EMPTY),
            id="mirrored",
        ),
        pytest.param(
            Observed(service=None, endpoints=EMPTY),
            True,
            DeleteEndpoints(endpoints=EMPTY),
            id="service-gone",
        ),
    ],
)
def test_endpoints(
    observed: Observed, expected: EndpointsWrite | None, *, write_endpoints: bool
) -> None:
    """Endpoints exist exactly where a served Service shall have them."""
    # SPEC S2
    assert plan(observed, write_endpoints=write_endpoints).endpoints == expected


@pytest.mark.parametrize("has_slice", [True, False])
def test_endpoints_can_wait_for_slices(*, has_slice: bool) -> None:
    """Where they shall be written alone, they are when no slice has to be."""
    # SPEC S3
    (slice_,) = plan(Observed(service=SERVICE)).slices.creates
    observed = Observed(service=SERVICE, slices=(slice_,) if has_slice else ())
    found = plan(observed, endpoints_alone=True)
    assert bool(found.slices) is not has_slice
    assert (found.endpoints is not None, found.endpoints_deferred) == (has_slice, not has_slice)


def test_a_refused_service_loses_everything_and_is_told_why() -> None:
    """The complaint carries the sentence, the plan removes what was made."""
    # SPEC S4
    present = settled(SERVICE, MEMBER)
    refused = a_service(selector="{}", families=(IpFamily.IPV4,))
    result = plan(replace(present, service=refused))
    assert result.slices == no_slices(present.slices)
    assert isinstance(result.endpoints, DeleteEndpoints)
    assert [c.reason for c in result.complaints] == ["InvalidAnnotation"]


def test_a_service_that_gained_a_selector_is_kubernetes_own() -> None:
    """Ours go, so that Kubernetes' do not stand beside them."""
    # DESIGN "Controllers"
    present = settled(SERVICE, MEMBER)
    gained = a_service(kubernetes_selector={"app": "lb"})
    result = plan(replace(present, service=gained))
    assert (len(result.slices.deletes), type(result.endpoints)) == (1, DeleteEndpoints)


def test_an_address_that_cannot_be_published_is_named() -> None:
    """The author learns which address is missing and what to do."""
    # SPEC S4, DESIGN P7
    member = Member(pod=POD, interface=an_interface(POD, "169.254.3.4"))
    (complaint,) = plan(Observed(service=SERVICE), member).complaints
    assert isinstance(complaint, Complaint)
    assert "169.254.3.4" in complaint.message


def test_endpoints_that_come_too_early_are_put_off() -> None:
    """Slices do not wait for them, and what is as it should be is not put off."""
    # DESIGN "Controllers"
    selection = select(SERVICE)
    assert isinstance(selection, Selection)
    standing = Standing(SERVICE, selection, [MEMBER])
    present = settled(SERVICE, MEMBER)

    def early(observed: Observed) -> ServicePlan:
        return plan_service(
            observed, selection, standing, write_endpoints=True, endpoints_due=False
        )

    first = early(Observed(service=SERVICE))
    assert (len(first.slices.creates), first.endpoints, first.endpoints_deferred) == (1, None, True)
    assert plan_service(present, selection, standing, write_endpoints=True) == ServicePlan()
    assert early(present) == ServicePlan()
    standing.roster.set_pod(id_of(POD), [])
    assert early(present).endpoints_deferred
