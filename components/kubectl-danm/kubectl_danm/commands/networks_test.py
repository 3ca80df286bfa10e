"""``networks``: what people and programs are told of DanmNets."""

from dataclasses import replace
from typing import Any

import pytest
import yaml

from danm_api.kube.api import DANMNETS, DANMNODES
from danm_api.model.danm_node import DanmNode, NodeNetwork
from danm_api.model.danmnet import CONDITION_VALID, Condition, NetworkStatus, NodeSum, Usage
from danm_api.names import Namespace, NetworkName, NodeName
from danm_api.testing.builders import NAMESPACE, a_danmnet, accepted
from danm_api.testing.clock import START
from kubectl_danm.testing.stage import Stage

OPTIONS: dict[str, Any] = {"host_device": "ens3", "vxlan": 600, "cidr": "10.240.1.0/24"}


def filled(*, used: int, free: int, nodes: NodeSum | None = None) -> NetworkStatus:
    """Return the status of an accepted network with 100 addresses."""
    usage = Usage(total=100, used=used, free=free, ranges="10.240.1.1-10.240.1.9")
    return replace(accepted(a_danmnet("internal", **OPTIONS)).status, ipv4=usage, nodes=nodes)


def on_node(name: str, *, up: bool, network: str = "internal") -> DanmNode:
    """Return a node that has, or lacks, the network's link."""
    return DanmNode(
        name=NodeName(name),
        networks=(
            NodeNetwork(
                namespace=Namespace(NAMESPACE),
                network=NetworkName(network),
                link="vx_internal",
                up=up,
                reason="" if up else "there is no link ens3: create it",
            ),
        ),
    )


def test_a_line_says_validity_fill_link_and_nodes() -> None:
    """What one looks for first stands in one line."""
    stage = Stage()
    stage.network(status=filled(used=12, free=88, nodes=NodeSum(ready=1, total=2)), **OPTIONS)
    stage.node(on_node("n1", up=True))
    stage.node(on_node("n2", up=False))
    header, line = stage.ask("networks").stdout.splitlines()
    assert header.split() == [
        *("NAMESPACE", "NAME", "TYPE", "VALID", "LINK", "USED", "FREE", "FULL", "NODES", "WHY"),
    ]
    assert line.split()[:9] == [
        *(NAMESPACE, "internal", "ipvlan", "True", "vx_internal", "12", "88", "12%", "1/2"),
    ]
    assert "not usable on 1 of 2 nodes; n2: there is no link ens3: create it" in line


@pytest.mark.parametrize(
    ("used", "free", "percent"),
    [(0, 100, 0), (1, 100, 0), (1, 99, 1), (99, 1, 99), (100, 0, 100), (120, 0, 100)],
)
def test_full_means_full(used: int, free: int, percent: int) -> None:
    """Addresses that lie outside of the pool fill nothing; 100 and 0 are said only when true."""
    stage = Stage()
    stage.network(status=filled(used=used, free=free), **OPTIONS)
    (network,) = stage.document("networks")["networks"]
    assert network["fill"][0]["percent"] == percent
    assert ("no IPv4 address of the pool is free" in str(network["problems"])) is (free == 0)


def test_an_invalid_network_says_why() -> None:
    """By the validator's own words."""
    # SPEC N1
    verdict = Condition(
        type=CONDITION_VALID,
        status=False,
        reason="Invalid",
        message="spec.Options.cidr: x",
        observed_generation=1,
        last_transition=START,
    )
    stage = Stage()
    stage.network(status=NetworkStatus(conditions=(verdict,)), **OPTIONS)
    stage.network("new", status=NetworkStatus(), **OPTIONS)
    invalid, new = stage.document("networks")["networks"]
    assert (invalid["valid"], invalid["problems"]) == ("False", ["spec.Options.cidr: x"])
    assert new["valid"] == "Unknown"
    assert "does the validator run" in new["problems"][0]


def test_one_network_in_full() -> None:
    """Conditions, ranges in use and each node's link."""
    stage = Stage()
    stage.network(status=filled(used=9, free=91), **OPTIONS)
    stage.node(on_node("n1", up=True))
    said = stage.ask("networks", "internal").stdout
    for expected in ("10.240.1.1-10.240.1.9", "IPv4 10.240.1.0/24", "The network can be used"):
        assert expected in said
    assert said.splitlines()[-1].split() == ["n1", "vx_internal", "up"]


def test_a_network_that_is_not_there() -> None:
    """The way out is named, and the status says that there is no answer."""
    # DESIGN P7
    stage = Stage()
    stage.network(**OPTIONS)
    said = stage.ask("networks", "internl", status=2).stderr
    assert f"no DanmNet internl in namespace {NAMESPACE}; there are internal" in said


def test_a_tenant_needs_no_right_on_nodes() -> None:
    """Without DanmNodes the rest is shown, and the missing right is named."""
    stage = Stage()
    stage.network(status=filled(used=1, free=99, nodes=NodeSum(ready=2, total=2)), **OPTIONS)
    stage.refuse(DANMNODES)
    result = stage.ask("networks")
    assert "2/2" in result.stdout
    assert "jane lacks the right to list danmnodes.danm.k8s.io in all namespaces" in result.stderr


def test_a_missing_right_is_named() -> None:
    """Who may not see DanmNets is told which role would do."""
    stage = Stage()
    stage.refuse(DANMNETS, where=NAMESPACE)
    result = stage.ask("networks", status=2)
    assert "--clusterrole=view --user=jane" in result.stderr
    assert result.stdout == ""


def test_namespaces_and_forms() -> None:
    """-A looks everywhere, -n somewhere else; YAML and names are for programs."""
    stage = Stage()
    stage.network(**OPTIONS)
    stage.network("other", namespace="elsewhere", **OPTIONS)
    assert len(stage.document("networks", "-A")["networks"]) == 2
    assert [n["name"] for n in stage.document("networks")["networks"]] == ["internal"]
    assert [n["name"] for n in stage.document("networks", "-n", "elsewhere")["networks"]] == [
        "other"
    ]
    assert stage.ask("networks", "-o", "name").stdout == "danmnet.danm.k8s.io/internal\n"
    assert yaml.safe_load(stage.ask("networks", "-o", "yaml").stdout) == stage.document("networks")
    assert "No DanmNet in namespace empty." in stage.ask("networks", "-n", "empty").stdout
    for wrong in (["-A", "-n", "x"], ["internal", "-A"]):
        assert "-A" in stage.ask("networks", *wrong, status=2).stderr


def test_the_cluster_is_the_one_that_is_named() -> None:
    """Options of kubectl's names mean what they mean there."""
    stage = Stage()
    stage.ask("networks", "--context", "c", "--kubeconfig", "/k")
    assert (stage.targets[0].context, stage.targets[0].kubeconfig) == ("c", "/k")
