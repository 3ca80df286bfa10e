"""svcwatcher's flags and environment variables, as one value."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

LEASE_NAME: Final = "danm-svcwatcher"
HEALTH_PORT: Final = 9445


class EndpointsMode(StrEnum):
    """Whether Services get Endpoints, which Kubernetes 1.33 deprecated, beside their slices."""

    AUTO = "auto"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """How this replica runs.

    Attributes:
        kubeconfig: None inside of a cluster.
        pod_name: This replica's name in the Lease and on Events; unique among replicas.
        namespace: Where the Lease lives.
        endpoints: Whether Services get Endpoints.
        concurrency: How many Services are worked on at once.
        health_host: Where /healthz, /readyz and /metrics are served; empty for all addresses.
        health_port: 0 for one that the kernel chooses.
    """

    kubeconfig: Path | None
    pod_name: str
    namespace: str
    endpoints: EndpointsMode
    concurrency: int
    health_host: str
    health_port: int
