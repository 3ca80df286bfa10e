"""How Prometheus finds DANM's processes: the labels that dashboards and alerts rely on."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from danm_api.names import SYSTEM_NAMESPACE
from danm_cni import config as danmd
from ipam_svc import config as ipam
from netwatcher import config as netwatcher
from svcwatcher import config as svcwatcher

# The label of each target that names its node, as Kubernetes does.
NODE_LABEL: Final = "node"

DANMD_JOB: Final = "danm-cni"
IPAM_JOB: Final = "danm-ipam"
NODE_NETWATCHER_JOB: Final = "danm-netwatcher"
VALIDATOR_JOB: Final = "danm-validator"
SVCWATCHER_JOB: Final = "danm-svcwatcher"

# Where each shows its metrics: all are on their nodes' network, and danmd declares no port.
PORTS: Final[Mapping[str, int]] = {
    DANMD_JOB: danmd.HEALTH_PORT,
    IPAM_JOB: ipam.API_PORT,
    NODE_NETWATCHER_JOB: netwatcher.NODE_HEALTH_PORT,
    VALIDATOR_JOB: netwatcher.VALIDATOR_HEALTH_PORT,
    SVCWATCHER_JOB: svcwatcher.HEALTH_PORT,
}

_TOKEN: Final = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # (a path)
_TRUST: Final = "/etc/danm-ipam-trust/ca.crt"


def scrape_configs(*, interval: str = "30s") -> Sequence[dict[str, Any]]:
    """Return the scrape_configs for a Prometheus that runs in the cluster."""
    return [_job(name, port, interval) for name, port in PORTS.items()]


def _job(name: str, port: int, interval: str) -> dict[str, Any]:
    secured = {
        "scheme": "https",
        "authorization": {"credentials_file": _TOKEN},
        "tls_config": {"ca_file": _TRUST, "server_name": f"danm-ipam.{SYSTEM_NAMESPACE}.svc"},
    }
    return {
        "job_name": name,
        "scrape_interval": interval,
        **(secured if name == IPAM_JOB else {}),
        "kubernetes_sd_configs": [{"role": "pod", "namespaces": {"names": [SYSTEM_NAMESPACE]}}],
        "relabel_configs": [
            {
                "source_labels": ["__meta_kubernetes_pod_label_app_kubernetes_io_name"],
                "regex": name,
                "action": "keep",
            },
            _address("(.+)", f"$1:{port}"),
            _address("(.+:.+)", f"[$1]:{port}"),
            {"source_labels": ["__meta_kubernetes_pod_node_name"], "target_label": NODE_LABEL},
        ],
    }


def _address(regex: str, replacement: str) -> dict[str, Any]:
    """Have a target at its Pod's address; an IPv6 address is written in brackets."""
    return {
        "source_labels": ["__meta_kubernetes_pod_ip"],
        "regex": regex,
        "replacement": replacement,
        "target_label": "__address__",
    }
