"""A Kubernetes cluster that DANM is installed on: a lab, or somebody's own."""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tests.lab.errors import LabError
from tests.lab.system import search_path


class Cluster(Protocol):
    """What the demo and the end-to-end tests need of a cluster."""

    def kubectl_command(self, *arguments: str) -> list[str]:
        """Return a command line that runs kubectl against the cluster."""

    def kubectl(self, *arguments: str, stdin: str = "", timeout_s: float = 120.0) -> str:
        """Run kubectl and return what it printed; raises LabError with what it said."""

    def environment(self) -> dict[str, str]:
        """Return the environment for `kubectl_command`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenCluster:
    """A cluster that exists, by its kubeconfig file.

    Attributes:
        kubeconfig: Whose current context is used.
        kubectl_program: The kubectl to run.
        prefix: Words before kubectl's, such as those that enter a network namespace.
    """

    kubeconfig: Path
    kubectl_program: str
    prefix: tuple[str, ...] = ()

    def kubectl_command(self, *arguments: str) -> list[str]:
        """Return a command line that runs kubectl against the cluster."""
        return [*self.prefix, self.kubectl_program, f"--kubeconfig={self.kubeconfig}", *arguments]

    def kubectl(self, *arguments: str, stdin: str = "", timeout_s: float = 120.0) -> str:
        """Run kubectl and return what it printed.

        Raises:
            LabError: kubectl failed; what it said is in the message.
        """
        return run_kubectl(self, arguments, stdin=stdin, timeout_s=timeout_s)

    def environment(self) -> dict[str, str]:
        """Return the environment for `kubectl_command`."""
        return dict(os.environ, KUBECONFIG=str(self.kubeconfig), PATH=search_path())


def run_kubectl(cluster: Cluster, arguments: Sequence[str], *, stdin: str, timeout_s: float) -> str:
    """Run a cluster's kubectl and return what it printed.

    Raises:
        LabError: kubectl failed; what it said is in the message. Or it did not end in time.
    """
    told = f"`kubectl {' '.join(arguments)}`"
    try:
        done = subprocess.run(
            cluster.kubectl_command(*arguments),
            input=stdin,
            env=cluster.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{told} did not end within {timeout_s:.0f} s") from error
    if done.returncode != 0:
        raise LabError(f"{told} failed: {done.stderr.strip()}")
    return done.stdout


def objects(cluster: Cluster, *arguments: str) -> list[dict[str, Any]]:
    """Return the objects that `kubectl get` finds; none where their kind or namespace is gone."""
    try:
        answer = cluster.kubectl("get", *arguments, "--ignore-not-found", "-o", "json")
    except LabError as error:
        if "doesn't have a resource type" in str(error):
            return []
        raise
    if not answer.strip():
        return []
    found = json.loads(answer)
    return list(found["items"]) if found["kind"] == "List" else [found]


def pod_exec(
    cluster: Cluster, namespace: str, pod: str, argv: Sequence[str], *, timeout_s: float = 60.0
) -> str:
    """Run a command in a Pod's first container and return what it printed.

    Raises:
        LabError: It failed; what it said is in the message.
    """
    return cluster.kubectl("exec", "-n", namespace, pod, "--", *argv, timeout_s=timeout_s)
