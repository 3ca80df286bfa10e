"""charts/danm on a cluster: installed, changed, rolled back and removed, under a Pod that lives on.

After the tests for which DANM is installed by kubectl: it is removed before.
"""

import json
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from tests.deploy.helm import RELEASE, Tools
from tests.e2e.conftest import Tenant, eventually, tenancy
from tests.e2e.left_over import Bare, remaining
from tests.lab.cluster import objects
from tests.lab.demo_cli import LOCAL_PREFIX, installation_on_lab
from tests.lab.installation import SYSTEM_NAMESPACE, Installation
from tests.lab.lab import Lab

_TWO: Final = json.dumps(
    [{"network": "front", "ip": "dynamic"}, {"network": "back", "ip": "dynamic"}]
)
_VALUES: Final[dict[str, Any]] = {"global": {"imageRegistry": LOCAL_PREFIX}}
_MORE_MEMORY: Final = "300Mi"
_CHANGED: Final = _VALUES | {"danmCni": {"resources": {"limits": {"memory": _MORE_MEMORY}}}}
_RUNNING_S: Final = 120.0


@pytest.fixture()
def without(lab: Lab) -> Installation:
    """The lab without DANM, and what removes it again."""
    installation = installation_on_lab(lab)
    if objects(lab, "namespace", SYSTEM_NAMESPACE):
        installation.uninstall()
    return installation


def memory_limit(lab: Lab) -> str:
    """Return danmd's."""
    (raw,) = objects(lab, "daemonset", "danm-cni", "-n", SYSTEM_NAMESPACE)
    (container,) = raw["spec"]["template"]["spec"]["containers"]
    return str(container["resources"]["limits"]["memory"])


def running(tenant: Tenant, pod: str) -> tuple[str, str]:
    """Wait until a Pod runs, and return its uid and its address."""
    eventually(lambda: tenant.phase(pod) == "Running", f"{pod} runs", _RUNNING_S)
    (raw,) = objects(tenant.cluster, "pod", pod, "-n", tenant.namespace)
    return raw["metadata"]["uid"], raw["status"]["podIP"]


def endpoints(tenant: Tenant, pod: str) -> set[str]:
    """Return the ids of a Pod's interfaces: another one is another interface."""
    raws = objects(tenant.cluster, "danmeps", "-n", tenant.namespace)
    return {raw["spec"]["EndpointID"] for raw in raws if raw["spec"]["Pod"] == pod}


def test_a_release_on_a_cluster(lab: Lab, without: Installation, tmp_path: Path) -> None:
    """Install, upgrade, roll back, uninstall: a Pod keeps its interfaces, and nothing is left."""
    bare = Bare.of(lab)
    tools = Tools.obtain(tmp_path, lab.kubeconfig, lab.namespace.command([]))
    helm = (RELEASE, "1", f"--namespace={SYSTEM_NAMESPACE}")
    lab.kubectl("create", "namespace", SYSTEM_NAMESPACE)
    lab.kubectl(
        "label", "namespace", SYSTEM_NAMESPACE, "pod-security.kubernetes.io/enforce=privileged"
    )
    done = tools.with_values("install", _VALUES)
    assert done.returncode == 0, done.stderr
    without.wait_ready()
    default = memory_limit(lab)
    with tenancy(lab, "helm") as tenant:
        tenant.network("front", vlan=370, cidr="10.77.0.0/24", container_prefix="eth0")
        tenant.network("back", host_device="ens3", vxlan=670, cidr="10.78.0.0/24")
        tenant.pod("first", _TWO)
        first = running(tenant, "first")
        made = endpoints(tenant, "first")
        assert len(made) == len(json.loads(_TWO))

        done = tools.with_values("upgrade", _CHANGED)
        assert done.returncode == 0, done.stderr
        without.wait_ready()
        assert memory_limit(lab) == _MORE_MEMORY
        tenant.pod("second", _TWO)
        running(tenant, "second")

        tools.call(tools.helm, "rollback", *helm)
        without.wait_ready()
        assert memory_limit(lab) == default
        assert running(tenant, "first") == first
        assert endpoints(tenant, "first") == made
        for kind in ("pods", "danmnets"):
            lab.kubectl("delete", kind, "--all", "-n", tenant.namespace, "--timeout=90s")
    without.uninstall()
    assert remaining(partial(bare.left_of_danm, lab)) == []
