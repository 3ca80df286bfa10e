"""The model of Services: what follows from objects, and that worlds which are wrong are refused."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from tests.lab.chaos.controllers.facts import Endpoint, Event, Services, Target, services_of
from tests.lab.chaos.controllers.service_model import differences, verdict, wanted_endpoints

Raw = dict[str, Any]


def a_service(**spec: object) -> Raw:
    """Return a Service that is served."""
    annotations = {"danm.k8s.io/selector": '{"app": "x"}', "danm.k8s.io/network": "internal"}
    return {
        "metadata": {
            "namespace": "ns",
            "name": "web",
            "uid": "s1",
            "annotations": annotations,
        },
        "spec": {
            "clusterIP": "None",
            "ports": [{"name": "sig", "port": 80, "targetPort": 8080}],
            "ipFamilies": ["IPv4", "IPv6"],
            **spec,
        },
    }


def annotated(**annotations: str | None) -> Raw:
    """Return the Service with other annotations; ``None`` leaves one out."""
    service = a_service()
    found = service["metadata"]["annotations"]
    for name, value in annotations.items():
        key = f"danm.k8s.io/{name}"
        if value is None:
            del found[key]
        else:
            found[key] = value
    return service


def a_pod(*, ready: bool = True, **changes: Any) -> Raw:  # noqa: ANN401  (JSON values)
    """Return a Pod that the Service selects."""
    metadata = {"namespace": "ns", "name": "p", "uid": "u1", "labels": {"app": "x", "more": "y"}}
    return {
        "metadata": metadata | changes.get("metadata", {}),
        "spec": {"nodeName": "n1"} | changes.get("spec", {}),
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": str(ready)}],
        }
        | changes.get("status", {}),
    }


def an_interface(
    address: str = "10.0.0.1/24",
    address6: str = "",
    **changes: Any,  # noqa: ANN401  (JSON values)
) -> Raw:
    """Return an interface of the Pod on the network."""
    metadata = {"namespace": "ns", "name": "p-0", "labels": {"danm.k8s.io/pod-uid": "u1"}}
    interface = {"Name": "eth0", "Address": address, "AddressIPv6": address6}
    spec = {"NetworkID": "internal", "Host": "n1", "Interface": interface}
    return {
        "metadata": metadata | changes.get("metadata", {}),
        "spec": spec | changes.get("spec", {}),
    }


def an_endpoint(**changes: Any) -> Raw:  # noqa: ANN401  (JSON values)
    """Return the endpoint of the Pod."""
    return {
        "addresses": ["10.0.0.1"],
        "conditions": {"ready": True, "serving": True, "terminating": False},
        "nodeName": "n1",
        "targetRef": {"kind": "Pod", "namespace": "ns", "name": "p", "uid": "u1"},
        **changes,
    }


def a_slice(
    endpoints: Sequence[Raw],
    *,
    family: str = "IPv4",
    **changes: Any,  # noqa: ANN401  (JSON values)
) -> Raw:
    """Return a slice as it should be, but for the changes."""
    labels = {
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "svcwatcher.danm.k8s.io",
        "service.kubernetes.io/headless": "",
    }
    metadata = {
        "namespace": "ns",
        "name": f"web-{family.lower()}-0",
        "labels": labels | changes.pop("labels", {}),
        "ownerReferences": [
            {
                "kind": "Service",
                "name": "web",
                "uid": changes.pop("owner", "s1"),
                "controller": True,
            }
        ],
    }
    return {
        "metadata": metadata | changes.pop("metadata", {}),
        "addressType": family,
        "endpoints": list(endpoints),
        "ports": [{"name": "sig", "port": 80, "protocol": "TCP"}],
        **changes,
    }


def endpoints(
    ready: Sequence[Raw] = (),
    others: Sequence[Raw] = (),
    **changes: Any,  # noqa: ANN401  (JSON values)
) -> Raw:
    """Return Endpoints as they should be, but for the changes."""
    labels = {
        "danm.k8s.io/managed-by": "svcwatcher",
        "endpointslice.kubernetes.io/skip-mirror": "true",
        "service.kubernetes.io/headless": "",
    }
    subset = {
        "addresses": list(ready),
        "notReadyAddresses": list(others),
        "ports": [{"name": "sig", "port": 80}],
    }
    return {
        "metadata": {
            "namespace": "ns",
            "name": "web",
            "labels": changes.pop("labels", labels),
            "ownerReferences": [
                {"kind": "Service", "name": "web", "uid": "s1", "controller": True}
            ],
        },
        "subsets": [subset] if ready or others else None,
        **changes,
    }


def an_address(**changes: Any) -> Raw:  # noqa: ANN401  (JSON values)
    """Return the address of the Pod in Endpoints."""
    target = {"kind": "Pod", "namespace": "ns", "name": "p", "uid": "u1"}
    return {"ip": "10.0.0.1", "nodeName": "n1", "targetRef": target, **changes}


def world(**changes: Sequence[Raw]) -> Services:
    """Return a world in which all is right, but for the changes."""
    right: dict[str, Sequence[Raw]] = {
        "services": [a_service()],
        "pods": [a_pod()],
        "interfaces": [an_interface()],
        "slices": [a_slice([an_endpoint()])],
        "endpoints": [endpoints([an_address()])],
    }
    return services_of(**(right | changes))


def told(found: Services) -> list[str]:
    """Return what differs, in the model's words."""
    return [str(each) for each in differences(found)]


def test_a_right_world_differs_in_nothing() -> None:
    """One Service, one Pod, one slice."""
    assert told(world()) == []
    assert told(Services()) == []


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


_MARK = {"deletionTimestamp": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("pod", "conditions"),
    [
        pytest.param(a_pod(), (True, True, False), id="ready"),
        pytest.param(a_pod(ready=False), (False, False, False), id="not ready"),
        pytest.param(a_pod(metadata=_MARK), (False, True, True), id="terminating, serving"),
        pytest.param(a_pod(ready=False, metadata=_MARK), (False, False, True), id="terminating"),
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
            an_interface(metadata={"labels": {"danm.k8s.io/pod-uid": "u1"}, "name": "p-0"} | _MARK),
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


def test_two_records_of_one_address_are_one_endpoint() -> None:
    """As while a Pod's sandbox is replaced."""
    second = an_interface(metadata={"name": "p-1", "labels": {"danm.k8s.io/pod-uid": "u1"}})
    assert told(world(interfaces=[an_interface(), second])) == []


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


_EMPTY = a_slice([])
_NOT_READY = an_endpoint(conditions={"ready": False, "serving": False, "terminating": False})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"slices": []}, "missing: ns/web: IPv4 endpoint", id="no slice"),
        pytest.param({"slices": [_EMPTY]}, "missing: ns/web: IPv4 endpoint", id="empty slice"),
        pytest.param(
            {"slices": [a_slice([an_endpoint()]), _EMPTY]},
            "wrong: ns/web: 1 empty IPv4 slices, not 0",
            id="an empty slice beside",
        ),
        pytest.param(
            {"slices": [a_slice([an_endpoint(), an_endpoint()])]},
            "left: ns/web: IPv4 endpoint",
            id="one twice",
        ),
        pytest.param(
            {"slices": [a_slice([an_endpoint()]), a_slice([an_endpoint()])]},
            "left: ns/web: IPv4 endpoint",
            id="one in two slices",
        ),
        pytest.param(
            {"slices": [a_slice([_NOT_READY])]}, "missing: ns/web: IPv4 endpoint", id="not ready"
        ),
        pytest.param(
            {"slices": [a_slice([an_endpoint(nodeName="n2")])]},
            "missing: ns/web: IPv4 endpoint",
            id="another node",
        ),
        pytest.param(
            {"slices": [a_slice([an_endpoint()], ports=[{"port": 8080, "name": "sig"}])]},
            "wrong: ns/web: ports of slice web-ipv4-0",
            id="the target port",
        ),
        pytest.param(
            {"slices": [a_slice([an_endpoint()], ports=None)]},
            "wrong: ns/web: ports of slice web-ipv4-0",
            id="no ports",
        ),
        pytest.param(
            {"slices": [a_slice([an_endpoint()], owner="s0")]},
            "wrong: ns/web: owners of slice web-ipv4-0",
            id="of a former Service",
        ),
        pytest.param(
            {"slices": [a_slice([an_endpoint()], metadata={"ownerReferences": []})]},
            "wrong: ns/web: owners of slice web-ipv4-0",
            id="of nobody",
        ),
        pytest.param(
            {"slices": [a_slice([an_endpoint()], labels={"more": "x"})]},
            "wrong: ns/web: labels of slice web-ipv4-0",
            id="labels",
        ),
        pytest.param(
            {
                "slices": [
                    a_slice([an_endpoint()]),
                    a_slice([], labels={"kubernetes.io/service-name": "gone"}),
                ]
            },
            "left: ns/web-ipv4-0: a slice of no Service",
            id="of no Service",
        ),
        pytest.param({"endpoints": []}, "missing: ns/web: its Endpoints", id="no Endpoints"),
        pytest.param(
            {"endpoints": [endpoints()]}, "wrong: ns/web: 0 subsets", id="empty Endpoints"
        ),
        pytest.param(
            {"endpoints": [endpoints([], [an_address()])]},
            "missing: ns/web: ready address",
            id="on the wrong side",
        ),
        pytest.param(
            {"endpoints": [endpoints([an_address(hostname="p")])]},
            "missing: ns/web: ready address",
            id="a hostname too much",
        ),
        pytest.param(
            {
                "endpoints": [
                    endpoints([an_address()], labels={"danm.k8s.io/managed-by": "svcwatcher"})
                ]
            },
            "wrong: ns/web: labels of its Endpoints",
            id="Kubernetes may mirror them",
        ),
        pytest.param(
            {"endpoints": [endpoints([an_address()], labels={"by": "others"})]},
            "missing: ns/web: an Event NameTaken",
            id="others' Endpoints",
        ),
        pytest.param(
            {"services": []}, "left: ns/web-ipv4-0: a slice of no Service", id="no Service"
        ),
        pytest.param(
            {"services": [annotated(selector=None, network=None)]},
            "left: ns/web: slice web-ipv4-0, not ours",
            id="without annotations",
        ),
        pytest.param(
            {"services": [annotated(selector="{")], "slices": [], "endpoints": []},
            "missing: ns/web: an Event InvalidAnnotation",
            id="nobody was told",
        ),
        pytest.param(
            {"interfaces": [an_interface(), an_interface("169.254.0.1/16")]},
            "missing: ns/web: an Event AddressNotPublished",
            id="nobody was told of an address",
        ),
    ],
)
def test_a_wrong_world_is_refused(changes: dict[str, Sequence[Raw]], expected: str) -> None:
    """Each of these is told of, in a line that names the Service and what is wrong."""
    found = told(world(**changes))
    assert any(line.startswith(expected) for line in found), found


@pytest.mark.parametrize("manager", ["endpointslice", "endpointslicemirroring"])
def test_what_kubernetes_keeps_beside_ours_is_told(manager: str) -> None:
    """Look-ups return what is in any slice of a Service."""
    name = {"endpointslice.kubernetes.io/managed-by": f"{manager}-controller.k8s.io"}
    beside = [a_slice([an_endpoint()]), a_slice([an_endpoint()], labels=name)]
    lines = told(world(slices=beside))
    assert any("an Event OthersAnswerToo" in line for line in lines)
    is_mirror = manager == "endpointslicemirroring"
    assert any("mirrors" in line for line in lines) == is_mirror


def test_what_others_made_is_not_judged() -> None:
    """Slices and Endpoints without svcwatcher's labels."""
    foreign = a_slice([], labels={"endpointslice.kubernetes.io/managed-by": "others"})
    assert told(world(slices=[a_slice([an_endpoint()]), foreign])) == []


def test_an_event_that_was_written_is_enough() -> None:
    """It names the Service by its uid: a former one's does not count."""
    changes: dict[str, Sequence[Raw]] = {
        "services": [annotated(selector="{")],
        "slices": [],
        "endpoints": [],
    }
    event = {"regarding": {"uid": "s1"}, "reason": "InvalidAnnotation"}
    assert told(world(**changes, events=[event])) == []
    former = event | {"regarding": {"uid": "s0"}}
    assert told(world(**changes, events=[former])) != []
    assert world(**changes, events=[event]).events == (
        Event(regarding=Target(uid="s1"), reason="InvalidAnnotation"),
    )


def _many(count: int) -> tuple[list[Raw], list[Raw], list[Raw], list[Raw]]:
    """Return Pods, interfaces, endpoints and addresses of a Service."""
    pods, interfaces, slots, addresses = [], [], [], []
    for number in range(count):
        uid, name, ip = f"u{number}", f"p{number}", f"10.1.{number // 250}.{number % 250 + 1}"
        pods.append(a_pod(metadata={"name": name, "uid": uid}))
        labels = {"danm.k8s.io/pod-uid": uid}
        interfaces.append(an_interface(f"{ip}/16", metadata={"name": name, "labels": labels}))
        target = {"kind": "Pod", "namespace": "ns", "name": name, "uid": uid}
        slots.append(an_endpoint(addresses=[ip], targetRef=target))
        addresses.append(an_address(ip=ip, targetRef=target))
    return pods, interfaces, slots, addresses


@pytest.mark.parametrize(
    ("cuts", "expected"),
    [
        pytest.param((0, 100, 150), [], id="full and half"),
        pytest.param((0, 60, 120, 151), [], id="not full, but more than half"),
        pytest.param((0, 101, 150), ["more than 100"], id="too many in one"),
        pytest.param((0, 50, 100, 150), ["3 IPv4 slices for 150"], id="half empty"),
    ],
)
def test_slices_are_filled_as_promised(cuts: Sequence[int], expected: list[str]) -> None:
    """At most 100 in each, and not more slices than half empty ones: how is svcwatcher's affair."""
    pods, interfaces, slots, addresses = _many(cuts[-1])
    slices = [
        a_slice(slots[first:end], metadata={"name": f"web-{first}"})
        for first, end in pairwise(cuts)
    ]
    lines = told(
        world(pods=pods, interfaces=interfaces, slices=slices, endpoints=[endpoints(addresses)])
    )
    assert len(lines) == len(expected)
    assert all(part in line for part, line in zip(expected, lines, strict=True))


def test_endpoints_are_cut_and_say_so() -> None:
    """Kubernetes cuts an Endpoints object at 1000 addresses."""
    pods, interfaces, slots, addresses = _many(1001)
    slices = [
        a_slice(slots[first : first + 100], metadata={"name": f"web-{first}"})
        for first in range(0, 1001, 100)
    ]
    cut = endpoints(addresses[:1000])
    cut["metadata"]["annotations"] = {"endpoints.kubernetes.io/over-capacity": "truncated"}
    right = world(pods=pods, interfaces=interfaces, slices=slices, endpoints=[cut])
    assert told(right) == []
    whole = world(pods=pods, interfaces=interfaces, slices=slices, endpoints=[endpoints(addresses)])
    assert [line for line in told(whole) if "truncated" in line]


def test_what_is_about_to_go_stands_in_no_endpoints() -> None:
    """This form has no word for it; slices have."""
    going = an_endpoint(conditions={"ready": False, "serving": True, "terminating": True})
    pods = [a_pod(metadata=_MARK)]
    assert told(world(pods=pods, slices=[a_slice([going])], endpoints=[endpoints()])) == []


def test_an_endpoint_is_read_as_it_is_written() -> None:
    """Both sides of the comparison have one form."""
    found = world()
    assert isinstance(found.slices[0].endpoints[0], Endpoint)
    assert list(found.slices[0].endpoints) == wanted_endpoints(found, found.services[0])
