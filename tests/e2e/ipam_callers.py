"""Callers that reserve and release on a lab, from beside its nodes, and what they tell."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from danm_api.ipam_api import AUDIENCE
from tests.e2e.conftest import Tenant, eventually
from tests.ipam import load
from tests.lab.lab import Lab


@dataclass(slots=True)
class Callers:
    """Callers that work.

    Attributes:
        report: What they saw; empty until they have ended.
    """

    report: load.Report


@contextmanager
def calling(lab: Lab, tenant: Tenant, directory: Path) -> Iterator[Callers]:
    """Let callers reserve and release on a network of their own until the end.

    Args:
        lab: Where.
        tenant: The namespace of the network.
        directory: For their token.
    """
    tenant.network("net", vlan=330, cidr="10.77.0.0/24")
    tenant.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "tool"}},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": "tool"},
            "rules": [
                {
                    "apiGroups": ["danm.k8s.io"],
                    "resources": ["danmnets/reservations"],
                    "verbs": ["create", "delete", "get", "list"],
                }
            ],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "tool"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "Role",
                "name": "tool",
            },
            "subjects": [{"kind": "ServiceAccount", "name": "tool"}],
        },
    )
    token = directory / "token"
    token.touch(mode=0o600)
    words = ("create", "token", "tool", "-n", tenant.namespace, f"--audience={AUDIENCE}")
    token.write_text(lab.kubectl(*words, "--duration=2h"))
    eventually(
        lambda: "True" in lab.kubectl("get", "danmnet", "net", "-n", tenant.namespace),
        "The network is validated",
    )
    command = [
        sys.executable, "-m", load.__name__, f"--kubeconfig={lab.kubeconfig}",
        f"--token-file={token}", f"--namespace={tenant.namespace}", "--network=net",
    ]  # fmt: skip
    callers = Callers(load.Report())
    with subprocess.Popen(
        lab.namespace.command(command),
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path))),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            yield callers
        finally:
            output, _ = process.communicate()
    callers.report = msgspec.json.decode(output, type=load.Report)
