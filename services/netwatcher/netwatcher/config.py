"""netwatcher's flags and environment variables, as one value for each role."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from danm_api.names import NodeName

VALIDATOR_LEASE: Final = "danm-validator"
NODE_HEALTH_PORT: Final = 9442
VALIDATOR_HEALTH_PORT: Final = 9444

# Events tell of all changes at once, and that some were lost; this finds what no event told.
# Comparing 200 links costs 0.1 to 0.3 s of CPU, so this stays well below half a percent of a core.
COMPARE_PERIOD_S: Final = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """How the node role runs.

    Attributes:
        kubeconfig: None inside of a cluster.
        node_name: The Node that this process runs on.
        compare_period_s: All links are compared this often.
        group_limit_file: Where the node's limit of multicast groups is raised.
        health_host: Where /healthz, /readyz and /metrics are served; empty for all addresses.
        health_port: 0 for one that the kernel chooses.
    """

    kubeconfig: Path | None
    node_name: NodeName
    compare_period_s: float
    group_limit_file: Path
    health_host: str
    health_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidatorConfig:
    """How the validator role runs.

    Attributes:
        kubeconfig: None inside of a cluster.
        pod_name: This replica's name in the Lease and on Events; unique among replicas.
        namespace: Where the Lease lives.
        health_host: Where /healthz, /readyz and /metrics are served; empty for all addresses.
        health_port: 0 for one that the kernel chooses.
    """

    kubeconfig: Path | None
    pod_name: str
    namespace: str
    health_host: str
    health_port: int
