"""Tests of the Pod codec."""

from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest

from danm_api.codec.pod import decode_pod
from danm_api.model.pod import Pod, PodPhase
from danm_api.names import Namespace, NodeName, PodName, PodUid


def raw_pod(**status: Any) -> dict[str, Any]:  # noqa: ANN401  (JSON values)
    """Build the smallest Pod that an API server could send."""
    return {
        "metadata": {"namespace": "vnf", "name": "lb-0", "uid": "u-1"},
        "spec": {},
        "status": status,
    }


def test_decodes_all_that_danm_reads() -> None:
    """Every field of the model comes from its place in the object; odd addresses are left out."""
    raw = {
        "metadata": {
            "namespace": "vnf",
            "name": "lb-0",
            "uid": "u-1",
            "resourceVersion": "7",
            "labels": {"app": "lb"},
            "annotations": {"kubernetes.io/config.mirror": "abc"},
            "creationTimestamp": "2025-12-31T23:00:00Z",
            "deletionTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {
            "nodeName": "n1",
            "hostname": "lb-0",
            "subdomain": "lb",
            "hostNetwork": True,
        },
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "podIPs": [{"ip": "10.0.0.7"}, {"ip": "010.0.0.8"}, {"ip": "2001:db8::7"}],
        },
    }
    expected = Pod(
        namespace=Namespace("vnf"),
        name=PodName("lb-0"),
        uid=PodUid("u-1"),
        resource_version="7",
        labels={"app": "lb"},
        annotations={"kubernetes.io/config.mirror": "abc"},
        node=NodeName("n1"),
        phase=PodPhase.RUNNING,
        ready=True,
        deleting=True,
        hostname="lb-0",
        subdomain="lb",
        host_network=True,
        mirror_of="abc",
        created=datetime(2025, 12, 31, 23, tzinfo=UTC),
        ips=(IPv4Address("10.0.0.7"), IPv6Address("2001:db8::7")),
    )
    assert decode_pod(raw) == expected


def test_a_new_pod_is_pending_and_not_ready() -> None:
    """A Pod without status and node has just been made."""
    pod = decode_pod(raw_pod())
    assert (pod.phase, pod.ready, pod.node, pod.deleting) == (PodPhase.PENDING, False, None, False)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        pytest.param([{"type": "Ready", "status": "True"}], True, id="ready"),
        pytest.param([{"type": "Ready", "status": "False"}], False, id="not-ready"),
        pytest.param([{"type": "Ready", "status": "Unknown"}], False, id="node-lost"),
        pytest.param([{"type": "ContainersReady", "status": "True"}], False, id="gate-missing"),
        pytest.param(None, False, id="no-conditions"),
    ],
)
def test_readiness_is_the_condition_ready(
    conditions: list[dict[str, str]] | None, *, expected: bool
) -> None:
    """Only the condition Ready decides (SPEC S1)."""
    assert decode_pod(raw_pod(conditions=conditions)).ready is expected


@pytest.mark.parametrize(
    ("phase", "ended"),
    [("Running", False), ("Succeeded", True), ("Failed", True), ("Napping", False)],
)
def test_only_terminal_phases_end_a_pod(phase: str, *, ended: bool) -> None:
    """An unknown phase of a later Kubernetes is no end."""
    assert decode_pod(raw_pod(phase=phase)).ended is ended


def test_a_static_pod_goes_by_its_mirror_annotation() -> None:
    """Kubelet and the runtime know a static Pod by another uid than the API server."""
    raw = raw_pod()
    raw["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "hash"}
    assert (decode_pod(raw).runtime_uid, decode_pod(raw_pod()).runtime_uid) == ("hash", "u-1")
