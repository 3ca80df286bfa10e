"""The model of Services: right worlds differ in nothing, and wrong ones are refused."""

from collections.abc import Sequence
from itertools import pairwise

import pytest

from tests.lab.chaos.controllers.facts import Endpoint, Event, Services, Target
from tests.lab.chaos.controllers.service_builders import (
    MARK,
    Raw,
    a_pod,
    a_slice,
    an_address,
    an_endpoint,
    an_interface,
    annotated,
    endpoints,
    world,
)
from tests.lab.chaos.controllers.service_model import differences
from tests.lab.chaos.controllers.service_wanted import wanted_endpoints


def told(found: Services) -> list[str]:
    """Return what differs, in the model's words."""
    return [str(each) for each in differences(found)]


def test_a_right_world_differs_in_nothing() -> None:
    """One Service, one Pod, one slice."""
    assert told(world()) == []
    assert told(Services()) == []


def test_two_records_of_one_address_are_one_endpoint() -> None:
    """As while a Pod's sandbox is replaced."""
    second = an_interface(metadata={"name": "p-1", "labels": {"danm.k8s.io/pod-uid": "u1"}})
    assert told(world(interfaces=[an_interface(), second])) == []


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
    pods = [a_pod(metadata=MARK)]
    assert told(world(pods=pods, slices=[a_slice([going])], endpoints=[endpoints()])) == []


def test_an_endpoint_is_read_as_it_is_written() -> None:
    """Both sides of the comparison have one form."""
    found = world()
    assert isinstance(found.slices[0].endpoints[0], Endpoint)
    assert list(found.slices[0].endpoints) == wanted_endpoints(found, found.services[0])
