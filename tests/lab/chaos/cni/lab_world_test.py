"""The lab's world: whose is what."""

import json
from typing import Any

import pytest

from danm_api.codec.attachment import decode_annotation
from danm_api.codec.danmnet import decode_danmnet
from danm_api.validation.network import validate_network
from tests.lab.chaos.cni.facts import Link, Netns, NodeView
from tests.lab.chaos.cni.lab_world import (
    ANNOTATIONS,
    NAMESPACE,
    NETWORKS,
    SHAPES,
    lab_world,
    network_object,
    own_links_of,
    pod_object,
)
from tests.lab.chaos.cni.model import differences


def _pod(
    name: str, namespace: str, *, address: str, host_network: bool = False, shape: str = "plain"
) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{name}",
            "labels": {"chaos-shape": shape},
            "annotations": {
                "k8s.v1.cni.cncf.io/network-status": json.dumps(
                    [{"interface": "eth0", "ips": [address]}]
                )
            },
        },
        "spec": {"nodeName": "node1", "hostNetwork": host_network},
        "status": {"podIP": address},
    }


def _netns(address: str) -> Netns:
    links = (Link(name="lo"), Link(name="eth0", kind="veth", addresses=(f"{address}/24",)))
    return Netns(links=links)


def _record(name: str, path: str) -> dict[str, Any]:
    return {
        "container_id": f"c-{name}",
        "pod": name,
        "pod_uid": f"uid-{name}",
        "netns": path,
        "state": "added",
        "interfaces": [{"interface": "eth0"}],
    }


PODS = [
    _pod("ours", NAMESPACE, address="198.18.65.5"),
    _pod("dns", "kube-system", address="198.18.65.2"),
    _pod("danmd", "danm-system", address="198.18.0.11", host_network=True),
]
NODE = NodeView(
    node="node1",
    host=Netns(
        links=(
            Link(name="eth0"),
            Link(name="cbr0", kind="bridge"),
            Link(name="veth1", kind="veth", bridge="cbr0"),
            Link(name="veth2", kind="veth", bridge="cbr0"),
        )
    ),
    namespaces={"/a": _netns("198.18.65.2"), "/b": _netns("198.18.65.5")},
    journal={"c-ours.json": _record("ours", "/b"), "c-dns.json": _record("dns", "/a")},
    host_local={"cbr0/198.18.65.2": "c-dns\neth0", "cbr0/198.18.65.5": "c-ours\neth0"},
)


def _differences(pods: list[dict[str, Any]]) -> list[str]:
    world = lab_world(
        pods=pods,
        endpoints=[],
        blocks=[],
        nodes=[NODE],
        own_links={"node1": own_links_of(NODE)},
    )
    return [str(each) for each in differences(world)]


def test_pods_of_others_explain_what_is_theirs() -> None:
    """What other namespaces' Pods have is not left; the run's own Pods are wanted."""
    assert [] == _differences(PODS)


def test_what_nobody_explains_is_left() -> None:
    """Without its Pod, all that another has is left: nothing is overlooked."""
    found = " ".join(_differences(PODS[:1]))
    for what in ("journal record c-dns", "198.18.65.2", "interface eth0", "2 ports of cbr0"):
        assert what in found


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_are_valid(name: str) -> None:
    """Each DanmNet of the run is one that DANM takes."""
    assert validate_network(decode_danmnet(network_object(name))) == ()


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_ask_for_what_is_wanted(shape: str) -> None:
    """A shape's annotation asks for its interfaces, in their order, of networks that there are."""
    raw = pod_object("p", node="node1", shape=shape, image="image")
    asked = [entry["network"] for entry in ANNOTATIONS[shape]]
    assert asked == [each.network for each in SHAPES[shape] if each.network]
    assert set(asked) <= set(NETWORKS)
    text = raw["metadata"]["annotations"].get("danm.k8s.io/interfaces")
    assert len(decode_annotation(text, pod="p")) == len(asked)
