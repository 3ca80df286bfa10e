"""A lab with DANM on it, and what tests do with Pods there."""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import pytest

from danm_api.codec.ip_block import decode_ip_block
from danm_api.model.ip_block import Held
from tests.e2e.left_over import Bare
from tests.e2e.sandbox_failures import sandbox_failures
from tests.lab.cluster import Cluster, objects
from tests.lab.demo import Demo
from tests.lab.demo_cli import LOCAL_PREFIX, demo_on_lab, install_on_lab
from tests.lab.errors import LabError
from tests.lab.installation import Installation, image_names
from tests.lab.lab import Lab

# What a person would call "within seconds", on two emulated processors of a machine that is busy.
SECONDS: Final = 120.0
# `danm` waits 45 s for a danmd that is away, danmd some seconds for a network that may just have
# been made; before that a kubelet has to come to the Pod.
REFUSED_S: Final = 180.0
_POLL_S: Final = 0.5
DEMO_IMAGE: Final = image_names(LOCAL_PREFIX)["danm/demo"]


def eventually(condition: Callable[[], bool], what: str, timeout_s: float = SECONDS) -> None:
    """Wait for a condition of the cluster.

    Raises:
        AssertionError: It did not come true in time.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {timeout_s:.0f} s"
        time.sleep(_POLL_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A namespace of a test."""

    cluster: Cluster
    namespace: str

    def apply(self, *documents: dict[str, Any]) -> None:
        """Apply objects; their namespace is filled in."""
        for document in documents:
            document["metadata"]["namespace"] = self.namespace
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(documents)})
        self.cluster.kubectl("apply", "-f", "-", stdin=text)

    def network(self, name: str, *, network_type: str = "ipvlan", **options: object) -> None:
        """Create a DanmNet on the VLAN's NIC."""
        self.apply(
            {
                "apiVersion": "danm.k8s.io/v1",
                "kind": "DanmNet",
                "metadata": {"name": name},
                "spec": {
                    "NetworkID": name,
                    "NetworkType": network_type,
                    "Options": {"host_device": "ens4", **options},
                },
            }
        )

    def pod(
        self,
        name: str,
        annotation: str | None,
        *,
        node: str | None = None,
        limits: Mapping[str, str] | None = None,
    ) -> None:
        """Create a Pod that sleeps, on a node if one is named."""
        metadata: dict[str, Any] = {"name": name}
        if annotation is not None:
            metadata["annotations"] = {"danm.k8s.io/interfaces": annotation}
        sleeper = {
            "name": "sleeper",
            "image": DEMO_IMAGE,
            "command": ["python3", "-c", "import signal; signal.pause()"],
            "resources": {"limits": dict(limits or {})},
        }
        spec: dict[str, Any] = {"containers": [sleeper], "terminationGracePeriodSeconds": 1}
        if node is not None:
            spec["nodeSelector"] = {"kubernetes.io/hostname": node}
        self.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": metadata,
                "spec": spec,
            }
        )

    def described(self, kind: str, name: str) -> str:
        """Return what `kubectl describe` shows a person."""
        return self.cluster.kubectl("describe", kind, name, "-n", self.namespace)

    def is_refused(self, pod: str, *words: str) -> bool:
        """Say whether kubelet has told of a Pod that it could not create its sandbox, and why.

        Args:
            pod: Its name.
            words: All are in what it told of one attempt.
        """
        told = sandbox_failures(self.cluster, self.namespace, pod)
        return any(all(word in each.message for word in words) for each in told)

    def phase(self, pod: str) -> str:
        """Return a Pod's phase; empty where there is none."""
        found = objects(self.cluster, "pod", pod, "-n", self.namespace)
        return str(found[0]["status"].get("phase", "")) if found else ""

    def delete_pod(self, name: str) -> None:
        """Delete a Pod and wait for its end."""
        self.cluster.kubectl(
            "delete", "pod", name, "-n", self.namespace, "--ignore-not-found", "--timeout=90s"
        )

    def left_behind(self) -> list[str]:
        """Return the DanmEps and the held addresses of the namespace."""
        endpoints = objects(self.cluster, "danmeps", "-n", self.namespace)
        blocks = objects(self.cluster, "danmipblocks", "-n", self.namespace)
        return [raw["metadata"]["name"] for raw in endpoints] + [
            str(entry.address)
            for raw in blocks
            for entry in decode_ip_block(raw).entries
            if isinstance(entry, Held)
        ]


@pytest.fixture(scope="session")
def lab() -> Lab:
    """The lab of the tests."""
    return Lab.named(
        os.environ.get("DANM_E2E_LAB", "e2e"), kubernetes=os.environ.get("DANM_E2E_KUBERNETES")
    )


@pytest.fixture(scope="session")
def installation(lab: Lab) -> Installation:
    """DANM, installed from deploy/ on a lab with the images of this tree."""
    return install_on_lab(lab)


@pytest.fixture(scope="session")
def demo(lab: Lab, installation: Installation) -> Demo:
    """The seed's demo, not applied yet."""
    del installation
    return demo_on_lab(lab)


@contextmanager
def tenancy(lab: Lab, namespace: str) -> Iterator[Tenant]:
    """Have a namespace, which is empty of DANM's objects at the end; DANM is installed."""
    lab.kubectl("create", "namespace", namespace)
    tenant = Tenant(cluster=lab, namespace=namespace)
    try:
        yield tenant
    finally:
        lab.kubectl("delete", "pods", "--all", "-n", namespace, "--timeout=90s")
        eventually(lambda: not tenant.left_behind(), f"Nothing is left behind in {namespace}")
        try:
            lab.kubectl("delete", "namespace", namespace, "--timeout=90s")
        except LabError as error:
            status = lab.kubectl("get", "namespace", namespace, "-o", "yaml")
            raise AssertionError(f"{error}\n{status}") from error


@pytest.fixture()
def tenant(
    lab: Lab, installation: Installation, request: pytest.FixtureRequest
) -> Iterator[Tenant]:
    """A namespace of the test's own, which is empty of DANM's objects at the end."""
    del installation
    words = "".join(c if c.isalnum() else "-" for c in request.node.name.lower())
    with tenancy(lab, words.removeprefix("test-")[:50].strip("-")) as tenant:
        yield tenant


@pytest.fixture()
def _clean_nodes(lab: Lab, tenant: Tenant) -> Iterator[None]:
    """At the end nothing of the test's Pods and networks is left on the nodes either."""
    bare = Bare.of(lab)
    yield
    assert bare.left_when_emptied(lab, tenant.namespace) == []
