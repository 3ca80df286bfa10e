"""Tests of what is remembered of a served Service."""

from dataclasses import replace

from danm_api.membership.endpoints import Member, endpoints_object, membership
from danm_api.membership.views import id_of
from danm_api.testing.service_builders import a_pod, a_service, an_interface
from svcwatcher.standing import Standing
from svcwatcher.testing.cluster import SELECTION

SERVICE = a_service()
POD = a_pod()
MEMBER = Member(pod=POD, interface=an_interface(POD, "10.0.0.1"))


def test_endpoints_follow_every_change() -> None:
    """What is remembered is not taken for what has changed: a Pod, or the Service's ports."""
    # SPEC S3
    standing = Standing(SERVICE, SELECTION, [MEMBER])
    first = standing.endpoints(SERVICE)
    assert first == endpoints_object(SERVICE, membership(SERVICE, SELECTION, [MEMBER]))
    assert standing.endpoints(SERVICE) is first
    moved = replace(SERVICE, ports=())
    assert standing.endpoints(moved).subsets[0].ports == ()
    standing.roster.set_pod(id_of(POD), [])
    assert standing.endpoints(moved).subsets == ()


def test_an_object_is_settled_until_it_or_what_it_follows_from_changes() -> None:
    """Only the very object that was compared counts, and only for what it was compared with."""
    # DESIGN P6
    standing = Standing(SERVICE, SELECTION, [MEMBER])
    present = replace(standing.endpoints(SERVICE), resource_version="1")
    assert not standing.is_settled(SERVICE, present)
    standing.settle(present)
    assert standing.is_settled(SERVICE, present)
    assert not standing.is_settled(SERVICE, replace(present, resource_version="2"))
    assert not standing.is_settled(SERVICE, None)
    assert not standing.is_settled(replace(SERVICE, ports=()), present)
    standing.roster.set_pod(id_of(POD), [])
    assert not standing.is_settled(SERVICE, present)
