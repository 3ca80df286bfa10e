"""What is found of Events in which kubelet tells of sandboxes that it could not create."""

import json
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.conftest import Tenant
from tests.e2e.sandbox_failures import sandbox_failures


@dataclass(frozen=True, slots=True)
class FakeCluster:
    """Has Events.

    Attributes:
        events: All that are found, whatever is asked.
        asked: What was.
    """

    events: list[dict[str, Any]]
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def kubectl_command(self, *arguments: str) -> list[str]:
        """Have no such program."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """Have none."""
        raise NotImplementedError

    def kubectl(self, *arguments: str, stdin: str = "", timeout_s: float = 120.0) -> str:
        """Answer with the Events."""
        del stdin, timeout_s
        self.asked.append(arguments)
        return json.dumps({"kind": "List", "items": self.events})


def test_failures_are_counted_by_their_words() -> None:
    """An Event without a count tells of one; the same words of two Pods are added up."""
    cluster = FakeCluster(
        [
            {"message": "no IPv4", "count": 3},
            {"message": "no danmd", "count": None},
            {"message": "no IPv4"},
        ]
    )
    assert sandbox_failures(cluster, "ns") == {"no IPv4": 4, "no danmd": 1}
    (asked,) = cluster.asked
    assert "--field-selector=reason=FailedCreatePodSandBox" in asked


def test_one_pods_failures_are_asked_for() -> None:
    """Those of others say nothing of it."""
    cluster = FakeCluster([])
    assert sandbox_failures(cluster, "ns", "a") == {}
    (asked,) = cluster.asked
    assert "--field-selector=reason=FailedCreatePodSandBox,involvedObject.name=a" in asked


def test_a_refusal_has_all_its_words_in_one_failure() -> None:
    """The namespace and the annotation, which a Pod has anyway, are no reason."""
    cluster = FakeCluster([{"message": "net is full"}, {"message": "danmd does not answer"}])
    tenant = Tenant(cluster=cluster, namespace="eth0-ipam-svc")
    assert tenant.is_refused("a", "danmd", "answer")
    assert not tenant.is_refused("a", "danmd", "full")
    assert not tenant.is_refused("a", "eth0")
    assert not tenant.is_refused("a", "ipam-svc")
