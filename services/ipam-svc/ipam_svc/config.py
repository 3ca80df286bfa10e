"""ipam-svc's flags and environment variables, as one value."""

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Final

from ipam_svc.certificates import USUAL, Lifetimes
from ipam_svc.limits import Limits

LEASE: Final = "danm-ipam"
API_PORT: Final = 9443
HEALTH_PORT: Final = 9440
# The endpoint leaves the EndpointSlices, and these reach kube-proxy and every danmd, in less.
LINGER_S: Final = 5.0
_DANMD_SERVICE_ACCOUNT: Final = "danm-cni"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """How ipam-svc runs.

    Attributes:
        kubeconfig: None inside of a cluster.
        namespace: Where the Lease, the Secret and the ConfigMap live.
        pod_name: This replica's name in the Lease and on Events; unique among replicas.
        addresses: The addresses that the serving certificate carries, beside the Service's names.
        host: Where the API is served; empty for all addresses.
        port: 0 for one that the kernel chooses.
        health_host: Where /healthz and /readyz are served; empty for all addresses.
        health_port: 0 for one that the kernel chooses.
        danmd_user: The user name of every node's danmd.
        linger_s: How long a replica that was told to stop still serves.
        limits: What is refused because it is too much.
        lifetimes: Of certificates.
    """

    kubeconfig: Path | None
    namespace: str
    pod_name: str
    addresses: tuple[IPv4Address | IPv6Address, ...]
    host: str
    port: int
    health_host: str
    health_port: int
    danmd_user: str
    linger_s: float = 0.0
    limits: Limits = field(default_factory=Limits)
    lifetimes: Lifetimes = USUAL


def danmd_user_of(namespace: str) -> str:
    """Return the user name of danmd's service account."""
    return f"system:serviceaccount:{namespace}:{_DANMD_SERVICE_ACCOUNT}"
