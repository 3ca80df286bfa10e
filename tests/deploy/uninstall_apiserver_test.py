"""deploy/uninstall with a real kubectl, on a real API server."""

import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from danm_api import labels
from danm_api.codec.danmep import encode_danmep
from danm_api.codec.endpoint_slice import MANAGED_BY_LABEL
from danm_api.codec.ip_block import encode_ip_block
from danm_api.membership.endpoints import MANAGED_BY, SLICES_MANAGED_BY
from danm_api.names import SYSTEM_NAMESPACE
from danm_api.testing.builders import (
    NAMESPACE,
    a_block,
    a_danmep,
    a_held_entry,
    a_pod_owner,
    a_raw_danmnet,
)
from tests.lab.apiserver import ApiServer
from tests.lab.deployed import DEPLOY
from tests.lab.kubectl import Kubectl
from tests.lab.process import wait_until

# Building Kubernetes, where the cache is empty.
pytestmark = [pytest.mark.apiserver(), pytest.mark.timeout(1500)]

_WITHIN_S: Final = 60.0
_BLOCKS: Final = 300
# Here are no nodes, and no controllers that would end what is deleted in their way.
_KUBECTL: Final = """\
#!/bin/sh
case "$1 $2" in
exec*) exit 0 ;;
"delete daemonset" | "delete deployment") exec KUBECTL "$@" --cascade=background ;;
"delete -k") exec KUBECTL "$@" --wait=false ;;
"wait namespace/"*) [ -z "$PATIENCE" ] || exec KUBECTL "$@" --timeout="$PATIENCE"; exit 0 ;;
esac
exec KUBECTL "$@"
"""
_MANAGERS: Final = {
    "endpointslices": {
        "ours": {MANAGED_BY_LABEL: SLICES_MANAGED_BY},
        "others": {MANAGED_BY_LABEL: "endpointslice-controller.k8s.io"},
    },
    "endpoints": {"ours": {labels.MANAGED_BY: MANAGED_BY}, "others": {}},
}


@pytest.fixture()
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """Yield the one of a server with all of DANM's objects."""
    with ApiServer.start(tmp_path_factory.mktemp("server")) as server:
        kubectl = Kubectl.on(server)
        _call(kubectl, "apply", "--server-side", "-k", f"{DEPLOY}")
        _call(kubectl, "wait", "crd", "--all", "--for=condition=Established", "--timeout=60s")
        _call(kubectl, "create", "namespace", NAMESPACE)
        yield kubectl


def _call(kubectl: Kubectl, *arguments: str, stdin: object = None) -> str:
    done = kubectl(*arguments, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _create(kubectl: Kubectl, *raws: object) -> None:
    items = {"apiVersion": "v1", "kind": "List", "items": raws}
    _call(kubectl, "create", "--filename=-", stdin=items)


def _names(kubectl: Kubectl, kind: str) -> list[str]:
    return [
        name.rpartition("/")[2]
        for name in _call(kubectl, "get", kind, "-A", "--output=name").split()
    ]


def _uninstall(
    kubectl: Kubectl, directory: Path, *arguments: str, patience: str = ""
) -> "subprocess.CompletedProcess[str]":
    """Run it; with patience it waits so long for the namespace, which never ends here."""
    wrapper = directory / "kubectl"
    wrapper.write_text(_KUBECTL.replace("KUBECTL", shlex.join(kubectl.command)))
    wrapper.chmod(0o755)
    return subprocess.run(
        [str(DEPLOY / "uninstall"), *arguments],
        env=dict(os.environ, KUBECTL=str(wrapper), PATIENCE=patience),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def _network() -> dict[str, Any]:
    raw = a_raw_danmnet("internal", cidr="10.240.0.0/16")
    metadata = {"name": "internal", "namespace": NAMESPACE}
    return {**raw, "metadata": metadata | {"finalizers": [labels.DANMNET_FINALIZER]}}


def _endpoint_objects() -> list[dict[str, Any]]:
    return [
        {
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": found},
            **(
                {"apiVersion": "v1", "kind": "Endpoints"}
                if kind == "endpoints"
                else {
                    "apiVersion": "discovery.k8s.io/v1",
                    "kind": "EndpointSlice",
                    "addressType": "IPv4",
                    "endpoints": [],
                }
            ),
        }
        for kind, managers in _MANAGERS.items()
        for name, found in managers.items()
    ]


def test_who_uses_danm_is_read_from_its_objects(kubectl: Kubectl, tmp_path: Path) -> None:
    """A Pod with an interface, and one with an address alone, are named; nothing goes."""
    entry = a_held_entry(owner=a_pod_owner("fakeipams"))
    block = encode_ip_block(a_block(str(entry.address), entry))
    _create(kubectl, _network(), encode_danmep(a_danmep(pod="danms")), block)
    done = _uninstall(kubectl, tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[1:] == [f"{NAMESPACE}/danms", f"{NAMESPACE}/fakeipams"]
    assert _names(kubectl, "daemonsets") == ["danm-cni", "danm-netwatcher"]
    assert _names(kubectl, "danmnets") == ["internal"]


def test_all_objects_go(kubectl: Kubectl, tmp_path: Path) -> None:
    """Hundreds that are held by finalizers, svcwatcher's in tenants' namespaces, definitions."""
    blocks = [encode_ip_block(a_block(f"10.240.{i // 2}.{i % 2 * 128}")) for i in range(_BLOCKS)]
    _create(kubectl, _network(), encode_danmep(a_danmep()), *blocks, *_endpoint_objects())
    assert len(_names(kubectl, "danmipblocks")) == len({b["metadata"]["name"] for b in blocks})
    done = _uninstall(kubectl, tmp_path, "--force")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "==> DANM is removed."
    for kind in _MANAGERS:
        assert "others" in _names(kubectl, kind)
        assert "ours" not in _names(kubectl, kind)
    wait_until(
        lambda: not any("danm" in name for name in _names(kubectl, "crd")),
        what="The definitions are gone",
        timeout_s=_WITHIN_S,
    )
    assert _call(kubectl, "get", "deployments,daemonsets", "-n", SYSTEM_NAMESPACE) == ""


def test_nodes_that_hold_the_namespace_are_read_from_its_pods(
    kubectl: Kubectl, tmp_path: Path
) -> None:
    """Their state is that of their condition among others; a Pod without a node holds nothing."""
    states = {"lost": "Unknown", "slow": "True"}
    _create(
        kubectl,
        *(
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": name},
                "status": {
                    "conditions": [
                        {"type": "MemoryPressure", "status": "False"},
                        {"type": "Ready", "status": status},
                    ]
                },
            }
            for name, status in states.items()
        ),
        *(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": f"danm-cni-{node}", "namespace": SYSTEM_NAMESPACE},
                "spec": {
                    "serviceAccountName": "danm-cni",
                    "containers": [{"name": "danmd", "image": "danm/danm-cni"}],
                    **({} if node == "nowhere" else {"nodeName": node}),
                },
            }
            for node in (*states, "nowhere")
        ),
    )
    done = _uninstall(kubectl, tmp_path, patience="1s")
    assert done.returncode == 1
    assert "DANM is removed" not in done.stdout + done.stderr
    lines = done.stderr.splitlines()
    first = lines.index("    lost (NotReady): danm-cni-lost")
    assert lines[first + 1] == "    slow (Ready): danm-cni-slow"
    assert not any("nowhere" in line for line in lines)
