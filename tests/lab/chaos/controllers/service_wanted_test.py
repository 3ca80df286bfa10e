"""Whose a Service is, and which endpoints follow from objects."""

import pytest

from tests.lab.chaos.controllers.facts import services_of
from tests.lab.chaos.controllers.service_builders import (
    MARK,
    Raw,
    a_pod,
    a_service,
    an_interface,
    annotated,
)
from tests.lab.chaos.controllers.service_wanted import verdict, wanted_endpoints


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        pytest.param(a_service(), "served", id="both annotations"),
        pytest.param(annotated(selector=None, network=None), "not ours", id="none"),
        pytest.param(annotated(selector=None), "refused", id="no selector"),
        pytest.param(annotated(network=None), "refused", id="no network"),
        pytest.param(annotated(network="No Name!"), "refused", id="no name of a network"),
        pytest.param(annotated(network="no-such"), "served", id="a network that is not there"),
        pytest.param(annotated(selector="{"), "refused", id="no JSON"),
        pytest.param(annotated(selector="[]"), "refused", id="a list"),
        pytest.param(annotated(selector="{}"), "refused", id="empty"),
        pytest.param(annotated(selector='{"app": 1}'), "refused", id="a number"),
        pytest.param(annotated(selector='{"app": "x y"}'), "refused", id="no label's value"),
        pytest.param(annotated(selector='{"a/b/c": "x"}'), "refused", id="no label's key"),
        pytest.param(annotated(selector='{"a.b/c": ""}'), "served", id="prefix, empty value"),
        pytest.param(a_service(clusterIP="198.19.0.7"), "refused", id="not headless"),
        pytest.param(a_service(selector={"a": "b"}), "refused", id="Kubernetes' own selector"),
    ],
)
def test_whose_a_service_is(service: Raw, expected: str) -> None:
    """SPEC S1, S4: served, refused with an Event, or left alone."""
    (found,) = services_of(services=[service]).services
    assert verdict(found) == expected


def test_a_service_on_its_way_out_is_not_ours() -> None:
    """It goes, and what was made goes with it."""
    service = a_service()
    service["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    (found,) = services_of(services=[service]).services
    assert verdict(found) == "not ours"


@pytest.mark.parametrize(
    ("pod", "conditions"),
    [
        pytest.param(a_pod(), (True, True, False), id="ready"),
        pytest.param(a_pod(ready=False), (False, False, False), id="not ready"),
        pytest.param(a_pod(metadata=MARK), (False, True, True), id="terminating, serving"),
        pytest.param(a_pod(ready=False, metadata=MARK), (False, False, True), id="terminating"),
    ],
)
@pytest.mark.parametrize("tolerant", [False, True])
def test_conditions(*, pod: Raw, conditions: tuple[bool, bool, bool], tolerant: bool) -> None:
    """As discovery.k8s.io/v1 documents them; a tolerant Service calls everything ready."""
    service = a_service(publishNotReadyAddresses=tolerant)
    found = services_of(services=[service], pods=[pod], interfaces=[an_interface()])
    ready, serving, terminating = conditions
    (endpoint,) = wanted_endpoints(found, found.services[0])
    assert endpoint.conditions.ready == (ready or tolerant)
    assert (endpoint.conditions.serving, endpoint.conditions.terminating) == (serving, terminating)


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        pytest.param("true", True, id="true"),
        pytest.param("True", True, id="another spelling"),
        pytest.param("false", False, id="false"),
        pytest.param("yes", False, id="another word"),
    ],
)
def test_the_old_annotation_tolerates_too(annotation: str, *, expected: bool) -> None:
    """SPEC S1 names it beside publishNotReadyAddresses."""
    service = a_service()
    key = "service.alpha.kubernetes.io/tolerate-unready-endpoints"
    service["metadata"]["annotations"][key] = annotation
    found = services_of(services=[service], pods=[a_pod(ready=False)], interfaces=[an_interface()])
    (endpoint,) = wanted_endpoints(found, found.services[0])
    assert endpoint.conditions.ready is expected


@pytest.mark.parametrize(
    ("pod", "interface", "expected"),
    [
        pytest.param(a_pod(), an_interface(), ["10.0.0.1"], id="its address"),
        pytest.param(
            a_pod(),
            an_interface(address6="fd00::1/64"),
            ["10.0.0.1", "fd00::1"],
            id="of both families",
        ),
        pytest.param(a_pod(), an_interface(address=""), [], id="no address"),
        pytest.param(a_pod(metadata={"labels": {"app": "y"}}), an_interface(), [], id="labels"),
        pytest.param(a_pod(metadata={"namespace": "b"}), an_interface(), [], id="namespace"),
        pytest.param(a_pod(status={"phase": "Succeeded"}), an_interface(), [], id="ended"),
        pytest.param(a_pod(status={"phase": "Failed"}), an_interface(), [], id="failed"),
        pytest.param(a_pod(metadata={"uid": "u2"}), an_interface(), [], id="a former Pod's"),
        pytest.param(
            a_pod(metadata={"uid": "m", "annotations": {"kubernetes.io/config.mirror": "u1"}}),
            an_interface(),
            ["10.0.0.1"],
            id="of a static Pod",
        ),
        pytest.param(a_pod(), an_interface(spec={"NetworkID": "external"}), [], id="network"),
        pytest.param(a_pod(), an_interface(spec={"Host": "n2"}), [], id="of another node"),
        pytest.param(
            a_pod(),
            an_interface(metadata={"labels": {"danm.k8s.io/pod-uid": "u1"}, "name": "p-0"} | MARK),
            [],
            id="that goes",
        ),
        pytest.param(a_pod(), an_interface(address="169.254.0.1/16"), [], id="link-local"),
    ],
)
def test_which_addresses_are_endpoints(pod: Raw, interface: Raw, expected: list[str]) -> None:
    """SPEC S1: of the matching Pods' interfaces on that network, in the same namespace."""
    found = services_of(services=[a_service()], pods=[pod], interfaces=[interface])
    wanted = wanted_endpoints(found, found.services[0])
    assert sorted(address for each in wanted for address in each.addresses) == expected


def test_families_are_the_services_own() -> None:
    """A Service of IPv6 alone has no IPv4 endpoint."""
    found = services_of(
        services=[a_service(ipFamilies=["IPv6"])],
        pods=[a_pod()],
        interfaces=[an_interface(address6="fd00::1/64")],
    )
    (endpoint,) = wanted_endpoints(found, found.services[0])
    assert endpoint.addresses == ("fd00::1",)


@pytest.mark.parametrize(
    ("subdomain", "expected"),
    [pytest.param("web", "p-0", id="the Service's"), pytest.param("other", "", id="another one")],
)
def test_a_hostname_counts_below_the_named_service(subdomain: str, expected: str) -> None:
    """As for a StatefulSet's Pods."""
    pod = a_pod(spec={"nodeName": "n1", "hostname": "p-0", "subdomain": subdomain})
    found = services_of(services=[a_service()], pods=[pod], interfaces=[an_interface()])
    (endpoint,) = wanted_endpoints(found, found.services[0])
    assert endpoint.hostname == expected
