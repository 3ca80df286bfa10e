"""Pods come and go as fast as their node is, and no faster."""

import json
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.lab.chaos.cni.lab_churn import PODS_A_NODE, Churn

# Longer than any Pod lives.
AGE_S = 100.0


@dataclass(slots=True)
class SlowCluster:
    """Its Pods are on their way out until somebody says that they are gone."""

    pods: dict[str, dict[str, Any]] = field(default_factory=dict)
    going: set[str] = field(default_factory=set)

    def kubectl_command(self, *arguments: str) -> list[str]:
        """Have no such program."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """Have none."""
        return {}

    def kubectl(self, *arguments: str, stdin: str = "", timeout_s: float = 120.0) -> str:
        """Make, delete and list Pods."""
        del timeout_s
        match arguments:
            case ("apply", *_):
                pod = json.loads(stdin)
                self.pods[pod["metadata"]["name"]] = pod
            case ("delete", "pod", name, *_):
                self.going.add(name)
            case ("get", *_):
                return json.dumps({"kind": "List", "items": list(self.pods.values())})
        return ""

    def end(self) -> None:
        """Have none that was deleted any more."""
        for name in self.going:
            del self.pods[name]
        self.going.clear()


def test_a_node_that_is_behind_gets_no_new_pods() -> None:
    """Deleted Pods count until they are gone."""
    cluster, chance = SlowCluster(), Random(1)
    churn = Churn(cluster=cluster, node="node1", image="image", seed=1)
    for step in range(2 * PODS_A_NODE):
        churn.step(step * AGE_S, chance)
    assert churn.made == PODS_A_NODE
    assert len(cluster.going) == PODS_A_NODE
    cluster.end()
    churn.step(2 * PODS_A_NODE * AGE_S, chance)
    assert churn.made == PODS_A_NODE + 1


def test_each_node_has_its_own() -> None:
    """Pods of another node do not count."""
    cluster, chance = SlowCluster(), Random(1)
    for name in ("node1", "node2"):
        churn = Churn(cluster=cluster, node=name, image="image", seed=1)
        for _ in range(2 * PODS_A_NODE):
            churn.step(0.0, chance)
    assert len(cluster.pods) == 2 * PODS_A_NODE
