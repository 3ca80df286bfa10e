"""``diagnose``: what cannot be read is named, and the rest is there."""

import json
from pathlib import Path
from typing import Any

from danm_api.errors import ApiUnavailableError
from danm_api.kube.api import DANMNODES, PODS
from danm_api.names import SYSTEM_NAMESPACE
from danm_api.testing.builders import NODE
from kubectl_danm.testing.secretive import LOG, METRICS, POD, own_pod, read_archive, secretive_stage

IPAM = "danm-ipam-0"


def ipam_pod() -> dict[str, Any]:
    """Return a Pod of ipam-svc, with the ports of deploy/ipam-svc."""
    return {
        "metadata": {"namespace": SYSTEM_NAMESPACE, "name": IPAM, "uid": "u-2"},
        "spec": {
            "nodeName": NODE,
            "containers": [
                {
                    "name": "ipam-svc",
                    "image": "danm/ipam-svc:0.1.0",
                    "ports": [
                        {"name": "https", "containerPort": 9443},
                        {"name": "health", "containerPort": 9440},
                    ],
                    "readinessProbe": {"httpGet": {"path": "/readyz", "port": "health"}},
                }
            ],
        },
    }


def test_what_cannot_be_read_is_said_and_the_rest_is_there(tmp_path: Path) -> None:
    """In the archive and on the screen."""
    stage = secretive_stage()
    stage.refuse(DANMNODES)
    stage.texts.refused.add(METRICS)
    target = tmp_path / "a.tar.gz"
    said = stage.ask("diagnose", "--file", str(target), "--max-objects", "1").stdout
    missing = json.loads(read_archive(target)["summary.json"])["missing"]
    assert any("lacks the right to list danmnodes" in each for each in missing)
    assert any(each.startswith(f"metrics/{POD}.txt: ") for each in missing)
    assert "lacks the right to list danmnodes" in said
    assert "objects/danmnets.json" in read_archive(target)


def test_a_right_that_every_log_needs_is_named_once(tmp_path: Path) -> None:
    """With the command that gives it; metrics need another one."""
    stage = secretive_stage()
    for number in range(1, 4):
        metadata = {**own_pod()["metadata"], "name": f"danm-svcwatcher-{number}"}
        stage.kube.add(PODS, own_pod() | {"metadata": metadata})
    stage.texts.lacking |= {"log", "proxy"}
    document = stage.document("diagnose", "--file", str(tmp_path / "a.tar.gz"))
    logs, metrics = document["missing"]
    # Each Pod has two containers, and of one a log before.
    assert logs == (
        f"logs/{POD}/svcwatcher.log, logs/{POD}/svcwatcher.previous.log, logs/{POD}/i.log and 9"
        f" more: jane lacks the right to get pods/log in namespace {SYSTEM_NAMESPACE}. The role"
        f" view has it: kubectl -n {SYSTEM_NAMESPACE} create rolebinding danm-look"
        " --clusterrole=view --user=jane"
    )
    assert metrics.startswith(f"metrics/{POD}.txt, metrics/danm-svcwatcher-1.txt, ")
    assert f"lacks the right to get pods/proxy in namespace {SYSTEM_NAMESPACE}" in metrics
    assert f"kubectl -n {SYSTEM_NAMESPACE} create role danm-look --verb=get" in metrics
    assert "--resource=pods/proxy" in metrics


def test_without_danms_pods_it_is_said_that_logs_and_metrics_lack(tmp_path: Path) -> None:
    """Nobody looks for them in vain; the right, or the option, is named."""
    stage = secretive_stage()
    stage.refuse(PODS, where=SYSTEM_NAMESPACE)
    (lacking,) = stage.document("diagnose", "--file", str(tmp_path / "a.tar.gz"))["missing"]
    assert lacking.startswith(
        "DANM's own Pods, and with them all of logs/ and metrics/: jane lacks the right to list"
        f" pods in namespace {SYSTEM_NAMESPACE}. "
    )
    other = ("--file", str(tmp_path / "b.tar.gz"), "--system-namespace", "elsewhere")
    (nobody,) = secretive_stage().document("diagnose", *other)["missing"]
    assert nobody == (
        "all of logs/ and metrics/: there is no Pod in namespace elsewhere; --system-namespace"
        " names another one in which DANM runs"
    )


def test_metrics_behind_a_token_are_named_with_the_way_to_them(tmp_path: Path) -> None:
    """The API server passes no token on, so ipam-svc shows it nothing; who reads knows."""
    # Decision 0014
    stage = secretive_stage()
    stage.kube.add(PODS, ipam_pod())
    stage.texts.answers[LOG.replace(POD, IPAM)] = "Serving\n"
    target = tmp_path / "a.tar.gz"
    (missing,) = stage.document("diagnose", "--file", str(target))["missing"]
    assert missing.startswith(f"metrics/{IPAM}.txt: ipam-svc shows its metrics only to")
    assert f"kubectl -n {SYSTEM_NAMESPACE} port-forward pod/NAME 9443" in missing
    assert f"logs/{IPAM}/ipam-svc.log" in read_archive(target)


def test_an_api_server_that_is_away(tmp_path: Path) -> None:
    """There is an archive all the same: it says so, and later calls may have worked."""
    stage = secretive_stage()
    stage.kube.fail_next("list", None, ApiUnavailableError("away", status=0), times=99)
    target = tmp_path / "a.tar.gz"
    document = stage.document("diagnose", "--file", str(target))
    assert any("away" in each for each in document["missing"])
