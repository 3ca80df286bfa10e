"""The judgement about the demo, and that it agrees with examples/."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab.demo_facts import (
    APPS,
    EXTERNAL_CLIENT,
    LOADBALANCER,
    PROCESSOR,
    RunningPod,
    endpoint_problems,
    interface_problems,
)

EXAMPLES = Path("examples/seed-demo")


def documents(name: str) -> list[dict[str, Any]]:
    """Return the objects of one of the example's files."""
    return [raw for raw in yaml.safe_load_all((EXAMPLES / name).read_text()) if raw]


def test_the_facts_agree_with_the_example() -> None:
    """Replicas, networks, pools and names are those of the manifests."""
    everything = [*documents("deployments.yaml"), *documents("dns.yaml")]
    deployments = {
        (raw["metadata"]["namespace"], raw["metadata"]["name"]): raw
        for raw in everything
        if raw["kind"] == "Deployment"
    }
    networks = {
        (raw["metadata"]["namespace"], raw["metadata"]["name"]): raw["spec"]
        for raw in [*documents("danmnets.yaml"), *documents("dns.yaml")]
        if raw["kind"] == "DanmNet"
    }
    assert set(deployments) == {(app.namespace, app.name) for app in APPS}
    for app in APPS:
        spec = deployments[app.namespace, app.name]["spec"]
        assert spec["replicas"] == app.replicas
        annotation = spec["template"]["metadata"]["annotations"]["danm.k8s.io/interfaces"]
        asked = [entry["network"] for entry in json.loads(annotation)]
        assert sorted(asked) == sorted(interface.network for interface in app.interfaces)
        for interface in app.interfaces:
            options = networks[app.namespace, interface.network].get("Options", {})
            pool = options.get("allocation_pool", {})
            assert (interface.first, interface.last) == (pool.get("start"), pool.get("end"))
            assert options.get("container_prefix", "eth0") == interface.name


GOOD = RunningPod(
    app=PROCESSOR,
    name="p",
    node="node1",
    addresses={"eth0": "198.18.65.2/24", "int": "10.240.1.100/24"},
)
SEEN = [
    {"name": "lo", "kind": "", "parent_index": 0, "addresses": ["127.0.0.1/8"]},
    {"name": "eth0", "kind": "veth", "parent_index": 9, "addresses": ["198.18.65.2/24"]},
    {"name": "int", "kind": "ipvlan", "parent_index": 7, "addresses": ["10.240.1.100/24"]},
]


def test_a_pod_as_it_should_be_has_no_problems() -> None:
    """The judgement admits what is right."""
    assert endpoint_problems(GOOD) == []
    assert interface_problems(GOOD, SEEN, {"vx_internal": 7, "external.300": 8}) == []


@pytest.mark.parametrize(
    ("pod", "words"),
    [
        pytest.param(
            RunningPod(app=PROCESSOR, name="p", node="n", addresses={"eth0": "198.18.65.2/24"}),
            "has DanmEps for eth0",
            id="a DanmEp is missing",
        ),
        pytest.param(
            RunningPod(
                app=EXTERNAL_CLIENT, name="p", node="n", addresses={"eth0": "10.100.20.10/24"}
            ),
            "not of its pool",
            id="another network's pool",
        ),
        pytest.param(
            RunningPod(
                app=LOADBALANCER,
                name="p",
                node="n",
                addresses={
                    "eth0": "198.18.65.2/24",
                    "ext": "10.100.20.31/24",
                    "int": "10.240.1.200/24",
                },
            ),
            "ext has 10.100.20.31/24",
            id="behind the pool's end",
        ),
    ],
)
def test_wrong_endpoints_are_named(pod: RunningPod, words: str) -> None:
    """The judgement refuses what is wrong."""
    assert words in endpoint_problems(pod)[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"kind": "macvlan"}, "of kind macvlan", id="wrong kind"),
        pytest.param({"parent_index": 8}, "not on vx_internal", id="wrong parent"),
        pytest.param({"addresses": []}, "its DanmEp says 10.240.1.100/24", id="no address"),
        pytest.param({"name": "eth1"}, "no interface int", id="wrong name"),
    ],
)
def test_wrong_interfaces_are_named(change: dict[str, object], words: str) -> None:
    """What the kernel shows counts."""
    seen = [*SEEN[:2], SEEN[2] | change]
    assert words in interface_problems(GOOD, seen, {"vx_internal": 7})[0]
