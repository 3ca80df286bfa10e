"""What is found of Events in which kubelet tells of sandboxes that it could not create."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from danm_cni.shim.main import _AWAY
from tests.e2e.conftest import Tenant
from tests.e2e.sandbox_failures import (
    DANMD_AWAY,
    SandboxFailure,
    by_words,
    sandbox_failures,
    since,
)
from tests.ipam.stalls import Stalls


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


def test_failures_are_read() -> None:
    """An Event without a count tells of one."""
    cluster = FakeCluster(
        [
            {"message": "no IPv4", "count": 3, "lastTimestamp": "1970-01-01T00:01:40Z"},
            {"message": "no danmd", "count": None, "lastTimestamp": None},
        ]
    )
    assert sandbox_failures(cluster, "ns") == [
        SandboxFailure(message="no IPv4", count=3, at=100.0),
        SandboxFailure(message="no danmd"),
    ]
    (asked,) = cluster.asked
    assert "--field-selector=reason=FailedCreatePodSandBox" in asked


def test_one_pods_failures_are_asked_for() -> None:
    """Those of others say nothing of it."""
    cluster = FakeCluster([])
    assert sandbox_failures(cluster, "ns", "a") == []
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


def test_what_is_told_again_is_new() -> None:
    """Messages of two Pods are added up; what was told before is not counted again."""
    full, other = SandboxFailure(message="full", count=2), SandboxFailure(message="other")
    before = by_words([full, full, other])
    assert before == {"full": 4, "other": 1}
    more = SandboxFailure(message="full", count=3)
    first = SandboxFailure(message="first")
    assert since([full, more, other, first], before) == [full, more, first]


def test_danm_says_so_when_danmd_is_away() -> None:
    """The words are the executable's own."""
    assert _AWAY.startswith(DANMD_AWAY)


@pytest.mark.parametrize(
    ("message", "at", "late"),
    [
        pytest.param("the time for the ADD was over while planning", 210.0, True, id="danmd"),
        pytest.param("context deadline exceeded", 150.0, True, id="containerd"),
        pytest.param("ipam-svc did not answer in time", 98.0, True, id="clocks differ"),
        pytest.param("ipam-svc did not answer in time", 90.0, False, id="before"),
        pytest.param("ipam-svc did not answer in time", 300.0, False, id="long after"),
        pytest.param("net has no free IPv4", 150.0, False, id="no matter of time"),
        pytest.param(f"{DANMD_AWAY}: timed out", 150.0, False, id="danmd was away"),
    ],
)
def test_what_is_late_by_a_stall_is_told_apart(message: str, at: float, late: bool) -> None:
    """The machine stood still from 100 s to 200 s."""
    times = iter([100.0, 200.0])
    stalls = Stalls(lambda: next(times))
    stalls.tick()
    assert SandboxFailure(message=message, at=at).is_late(stalls) is late
