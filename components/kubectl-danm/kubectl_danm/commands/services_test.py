"""``services``: why an endpoint is or is not in."""

import json
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import pytest

from danm_api.codec.endpoint_slice import encode_endpoint_slice
from danm_api.kube.api import ENDPOINT_SLICES, PODS, SERVICES
from danm_api.membership.endpoints import SLICES_MANAGED_BY
from danm_api.model.endpoint_slice import Endpoint, EndpointSlice, PodReference
from danm_api.model.service import IpFamily
from danm_api.names import Namespace, NodeName, PodName, PodUid, ServiceName, ServiceUid
from danm_api.testing.builders import NAMESPACE, NODE, a_danmep
from kubectl_danm.testing.stage import Stage

INTERNAL = '[{"network": "internal", "ip": "dynamic"}]'
LABELS = {"app": "lb"}


def a_stage(
    *, families: tuple[str, ...] = ("IPv4",), network: str = "internal", **spec: object
) -> Stage:
    """Return a cluster with the Service ``lb`` on the network ``internal``."""
    stage = Stage()
    stage.network(network, cidr="10.240.1.0/24")
    stage.kube.add(
        SERVICES,
        {
            "metadata": {
                "namespace": NAMESPACE,
                "name": "lb",
                "uid": "s-1",
                "annotations": {
                    "danm.k8s.io/selector": json.dumps(LABELS),
                    "danm.k8s.io/network": "internal",
                },
            },
            "spec": {"clusterIP": "None", "ipFamilies": list(families), **spec},
        },
    )
    return stage


def a_pod(
    stage: Stage,
    name: str = "lb-0",
    address: str | None = "10.240.1.100/24",
    **pod: Any,  # noqa: ANN401  (of Stage.pod)
) -> None:
    """Run a Pod with an interface on the network."""
    stage.pod(name, **{"uid": f"uid-{name}", "labels": LABELS, "annotation": INTERNAL} | pod)
    if address is not None:
        stage.endpoint(a_danmep(f"ep-{name}", pod=name, pod_uid=f"uid-{name}", address=address))


def written(stage: Stage, *endpoints: Endpoint) -> None:
    """Write a slice as svcwatcher does."""
    stage.kube.add(
        ENDPOINT_SLICES,
        encode_endpoint_slice(
            EndpointSlice(
                namespace=Namespace(NAMESPACE),
                name="lb-ipv4-0-x",
                service=ServiceName("lb"),
                owner=ServiceUid("s-1"),
                managed_by=SLICES_MANAGED_BY,
                headless=True,
                family=IpFamily.IPV4,
                endpoints=endpoints,
                ports=(),
            )
        ),
    )


def an_endpoint(
    name: str = "lb-0", address: str = "10.240.1.100", *, ready: bool = True
) -> Endpoint:
    """Return the endpoint of a Pod."""
    return Endpoint(
        address=ip_address(address),
        ready=ready,
        serving=ready,
        terminating=False,
        hostname=None,
        node=NodeName(NODE),
        pod=PodReference(name=PodName(name), uid=PodUid(f"uid-{name}")),
    )


def only(stage: Stage) -> dict[str, Any]:
    """Return what is said of the one Pod."""
    (service,) = stage.document("services", "lb")["services"]
    (endpoint,) = service["endpoints"]
    return dict(endpoint)


def test_a_ready_endpoint_that_is_written() -> None:
    """It is in, and nothing is wrong."""
    # SPEC S1, S2
    stage = a_stage()
    a_pod(stage)
    written(stage, an_endpoint())
    (service,) = stage.document("services", "lb")["services"]
    assert (service["ready"], service["not_ready"], service["out"]) == (1, 0, 0)
    assert service["problems"] == []
    assert only(stage) == {
        "pod": "lb-0",
        "node": NODE,
        "address": "10.240.1.100",
        "interface": "ep-lb-0",
        "state": "ready",
        "why": "selected, on the network, and ready",
        "written": True,
    }


def other_label(stage: Stage) -> None:
    """Run a Pod with another label."""
    a_pod(stage, labels={"app": "db"})


def no_label(stage: Stage) -> None:
    """Run a Pod without the label."""
    a_pod(stage, labels={})


def other_network(stage: Stage) -> None:
    """Run a Pod that does not ask for the network."""
    a_pod(stage, address=None, annotation='[{"network": "external", "ip": "dynamic"}]')
    stage.endpoint(a_danmep("ep", network="external", pod_uid="uid-lb-0"))


def no_endpoint(stage: Stage) -> None:
    """Run a Pod whose interface is not made yet."""
    a_pod(stage, address=None)


def other_node(stage: Stage) -> None:
    """Run a Pod whose DanmEp is another node's."""
    a_pod(stage, address=None)
    stage.endpoint(a_danmep("ep-x", pod_uid="uid-lb-0", node="node-2"))


def no_node(stage: Stage) -> None:
    """Create a Pod that is not scheduled."""
    a_pod(stage, address=None, node=None)


def ended(stage: Stage) -> None:
    """Run a Pod that has ended."""
    a_pod(stage, phase="Succeeded")


def without_address(stage: Stage) -> None:
    """Run a Pod whose interface has no address."""
    a_pod(stage, address=None)
    stage.endpoint(a_danmep("ep-x", pod_uid="uid-lb-0", address=None))


def unpublishable(stage: Stage) -> None:
    """Run a Pod with an address that Kubernetes refuses."""
    a_pod(stage, address="169.254.1.1/24")


def unreadable(stage: Stage) -> None:
    """Run a Pod whose annotation is broken."""
    a_pod(stage, address=None, annotation="{")


@pytest.mark.parametrize(
    ("happen", "why"),
    [
        (other_label, "selector: its label app is 'db', and 'lb' is asked for"),
        (no_label, "selector: it lacks the label app=lb"),
        (other_network, "network: it does not ask for DanmNet internal"),
        (no_endpoint, "no DanmEp: it asks for DanmNet internal and has no interface there (yet)"),
        (other_node, "node: DanmEp ep-x is of node node-2, and the Pod runs on node-1"),
        (no_node, "node: it is bound to none yet"),
        (ended, "ended: its phase is Succeeded"),
        (without_address, "no address: its interface has none"),
        (unpublishable, "address: Kubernetes takes no loopback, link-local or multicast"),
        (unreadable, "network: its annotation cannot be read"),
    ],
)
def test_each_reason_to_be_out(happen: Callable[[Stage], None], why: str) -> None:
    """A Pod that could be meant and is not in is told why."""
    # SPEC S1
    stage = a_stage()
    happen(stage)
    found = only(stage)
    assert found["state"] == "out"
    assert found["why"].startswith(why)


def test_another_family_is_out() -> None:
    """A Service for IPv6 alone has no IPv4 endpoint."""
    # SPEC S2
    stage = a_stage(families=("IPv6",))
    a_pod(stage)
    assert only(stage)["why"] == "family: the Service is for IPv6, and this is IPv4"


def test_readiness_and_termination() -> None:
    """Not ready and terminating Pods are in, and no look-up finds them."""
    # SPEC S1
    stage = a_stage()
    a_pod(stage, ready=False)
    written(stage, an_endpoint(ready=False))
    assert (only(stage)["state"], only(stage)["written"]) == ("not ready", True)
    stage.kube.mark_deleted(PODS, "lb-0", namespace=NAMESPACE)
    assert only(stage)["state"] == "terminating"
    tolerant = a_stage(publishNotReadyAddresses=True)
    a_pod(tolerant, ready=False)
    assert only(tolerant)["state"] == "ready"
    assert "publishes addresses that are not ready" in only(tolerant)["why"]


def test_what_svcwatcher_has_not_written() -> None:
    """What should be and what the slices say is told apart."""
    stage = a_stage()
    a_pod(stage)
    (service,) = stage.document("services", "lb")["services"]
    assert "no EndpointSlice of svcwatcher" in service["problems"][0]
    written(stage, an_endpoint(ready=False), an_endpoint("gone", "10.240.1.9"))
    (service,) = stage.document("services", "lb")["services"]
    assert "still have 10.240.1.9" in service["problems"][0]
    assert only(stage)["written"] is False
    assert "svcwatcher has not written it (yet)" in only(stage)["why"]


def test_a_service_that_cannot_be_served() -> None:
    """By the words of svcwatcher's Event; other Services are not DANM's and are left out."""
    # SPEC S4
    stage = a_stage(selector={"app": "lb"})
    stage.kube.add(SERVICES, {"metadata": {"namespace": NAMESPACE, "name": "plain"}, "spec": {}})
    (service,) = stage.document("services")["services"]
    assert "spec.selector is set" in service["problems"][0]
    (plain,) = stage.document("services", "plain")["services"]
    assert "carries none of DANM's annotations" in plain["problems"][0]


def test_a_network_that_is_not_there_and_nobody_selected() -> None:
    """Both are told."""
    (service,) = a_stage(network="intern").document("services")["services"]
    absent, nobody, _ = service["problems"]
    assert f"DanmNet {NAMESPACE}/internal is not to be seen" in absent
    assert f"no Pod of namespace {NAMESPACE} has the labels app=lb" in nobody


def test_a_service_that_is_not_there() -> None:
    """The way out is named."""
    assert "kubectl danm services -n" in Stage().ask("services", "x", status=2).stderr


def test_warnings_about_the_service_are_shown() -> None:
    """What svcwatcher has said stands beside what is so now."""
    stage = a_stage()
    service = stage.kube.stored(SERVICES, "lb", namespace=NAMESPACE)
    assert service is not None
    stage.event(service, "NameTaken", "somebody else's", kind="Service")
    (error,) = stage.document("services", "lb")["errors"]
    assert (error["reason"], error["note"]) == ("NameTaken", "somebody else's")
    assert "NameTaken" in stage.ask("services", "lb").stdout
