"""What Prometheus makes of the Pods that it finds: addresses, and the labels that alerts need."""

from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from danm_api.names import SYSTEM_NAMESPACE
from monitoring.scrape import (
    DANMD_JOB,
    IPAM_JOB,
    NODE_NETWATCHER_JOB,
    SVCWATCHER_JOB,
    VALIDATOR_JOB,
)
from tests.lab.process import wait_until
from tests.monitoring.prometheus import running
from tests.monitoring.queries import DIRECTORY

_DEPLOY: Final = DIRECTORY.parent
_IPV4: Final = "198.18.0.11"
_IPV6: Final = "2001:db8::11"
_FOUND_S: Final = 60.0


def _pod(name: str, address: str, node: str) -> dict[str, Any]:
    """Return a Pod as Prometheus' discovery finds it."""
    return {
        # Of a Pod that declares another port.
        "targets": ["192.0.2.1:1"],
        "labels": {
            "__meta_kubernetes_pod_ip": address,
            "__meta_kubernetes_pod_label_app_kubernetes_io_name": name,
            "__meta_kubernetes_pod_node_name": node,
        },
    }


def test_pods_are_found_with_their_nodes(tmp_path: Path) -> None:
    """Each job has its own Pods, on the port that shows metrics, IPv6 too, labelled by node."""
    committed = yaml.safe_load((DIRECTORY / "scrape.yaml").read_text())["scrape_configs"]
    pods = [
        _pod(name, address, node)
        for name in (*(each["job_name"] for each in committed), "coredns")
        for address, node in ((_IPV4, "node-1"), (_IPV6, "node-2"))
    ]
    # Debian's Prometheus has no discovery in Kubernetes; tokens and trust are files of its Pod.
    elsewhere = {"kubernetes_sd_configs", "authorization", "tls_config"}
    scrape = [
        {key: each[key] for key in each.keys() - elsewhere} | {"static_configs": pods}
        for each in committed
    ]
    wanted = {
        (job, node, f"{scheme}://{host}:{port}/metrics")
        for job, scheme, port in (
            (DANMD_JOB, "http", 9441),
            (IPAM_JOB, "https", 9443),
            (NODE_NETWATCHER_JOB, "http", 9442),
            (VALIDATOR_JOB, "http", 9444),
            (SVCWATCHER_JOB, "http", 9445),
        )
        for node, host in (("node-1", _IPV4), ("node-2", f"[{_IPV6}]"))
    }
    with running(tmp_path, scrape=scrape, interval="1h") as prometheus:
        wait_until(lambda: bool(prometheus.targets()), what="Pods are found", timeout_s=_FOUND_S)
        found = {
            (each.labels["job"], each.labels["node"], each.url) for each in prometheus.targets()
        }
    assert found == wanted


@pytest.mark.parametrize(
    "manifest",
    [
        "danm-cni/daemonset.yaml",
        "ipam-svc/deployment.yaml",
        "netwatcher/daemonset.yaml",
        "netwatcher/deployment.yaml",
        "svcwatcher/deployment.yaml",
    ],
)
def test_pods_have_the_names_of_jobs(manifest: str) -> None:
    """Whoever renames a part's label loses no metrics unseen."""
    committed = yaml.safe_load((DIRECTORY / "scrape.yaml").read_text())["scrape_configs"]
    (workload,) = (
        raw
        for raw in yaml.safe_load_all((_DEPLOY / manifest).read_text())
        if raw["kind"] in {"DaemonSet", "Deployment"}
    )
    name = workload["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"]
    (job,) = (each for each in committed if each["job_name"] == name)
    (discovery,) = job["kubernetes_sd_configs"]
    assert discovery == {"role": "pod", "namespaces": {"names": [SYSTEM_NAMESPACE]}}
