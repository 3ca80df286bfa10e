"""Pods of two networks that come and go on both nodes, and what kubelet says of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.e2e.conftest import DEMO_IMAGE, Tenant
from tests.e2e.sandbox_failures import by_words, sandbox_failures
from tests.lab.cluster import objects
from tests.lab.topology import NODES

_ENDLESS: Final = 10_000
_AT_ONCE: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PodLoad:
    """A Job on each node, whose Pods end at once.

    Attributes:
        tenant: Their namespace.
        annotation: What each asks of DANM.
    """

    tenant: Tenant
    annotation: str

    def start(self) -> None:
        """Begin."""
        self.tenant.apply(*(self._job(node.name) for node in NODES))

    def counts(self) -> dict[str, int]:
        """Return how many Pods have ended as they should, by node."""
        return {
            raw["metadata"]["name"]: int(raw["status"].get("succeeded", 0)) for raw in self._jobs()
        }

    def ended(self) -> int:
        """Return how many Pods have ended as they should."""
        return sum(self.counts().values())

    def have_more_than(self, before: Mapping[str, int]) -> bool:
        """Say whether Pods have ended since on every node."""
        return all(count > before[job] for job, count in self.counts().items())

    def failed(self) -> int:
        """Return how many Pods have ended otherwise."""
        return sum(int(raw["status"].get("failed", 0)) for raw in self._jobs())

    def failed_adds(self) -> dict[str, int]:
        """Return how often kubelet could not create a sandbox in the namespace, by its words."""
        return by_words(sandbox_failures(self.tenant.cluster, self.tenant.namespace))

    def stop(self) -> None:
        """End them, and wait until their Pods are gone."""
        self.tenant.cluster.kubectl(
            "delete", "jobs", "--all", "-n", self.tenant.namespace,
            "--cascade=foreground", "--timeout=180s", timeout_s=210.0,
        )  # fmt: skip

    def _jobs(self) -> list[dict[str, Any]]:
        return objects(self.tenant.cluster, "jobs", "-n", self.tenant.namespace)

    def _job(self, node: str) -> dict[str, Any]:
        container = {
            "name": "hello",
            "image": DEMO_IMAGE,
            "command": ["python3", "-ISc", "pass"],
        }
        template = {
            "metadata": {"annotations": {"danm.k8s.io/interfaces": self.annotation}},
            "spec": {
                "containers": [container],
                "nodeSelector": {"kubernetes.io/hostname": node},
                "restartPolicy": "Never",
            },
        }
        spec = {"parallelism": _AT_ONCE, "completions": _ENDLESS, "template": template}
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": f"load-{node}"},
            "spec": spec,
        }
