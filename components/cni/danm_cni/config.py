"""danmd's settings: flags, or the environment (``--node-name`` is DANM_NODE_NAME)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from danm_api.names import NodeName
from danm_cni.delegate_config import DpdkSettings

HEALTH_PORT: Final = 9441
DEFAULT_POD_RESOURCES: Final = "/var/lib/kubelet/pod-resources/kubelet.sock"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPaths:
    """Where things are on the host.

    Attributes:
        root: The host's root directory as danmd sees it.
        cni_config: The runtime's CNI configuration directory, as the host names it.
        cni_bin: Where executables are installed, as the host names it.
        executables: Where the image has ``danm`` and ``fakeipam``.
        state: Journal, tombstones and what the installation remembers.
        run: Socket and marker; empty after a boot.
    """

    root: Path
    cni_config: str
    cni_bin: str
    executables: Path
    state: Path
    run: Path

    @property
    def socket(self) -> Path:
        """Where the executables call."""
        return self.run / "danmd.sock"

    @property
    def ready_marker(self) -> Path:
        """Exists once danmd has been ready since the node booted (DESIGN, step 9)."""
        return self.run / "ready"

    @property
    def journal(self) -> Path:
        """Where the journal of sandboxes is."""
        return self.state / "journal"

    @property
    def fallback_memory(self) -> Path:
        """Remembers which configuration is the fallback."""
        return self.state / "fallback.json"

    @property
    def attempts(self) -> Path:
        """Where the bound of attempt numbers is."""
        return self.state / "attempts"

    @property
    def lock(self) -> Path:
        """Who has it is the node's only danmd."""
        return self.state / "lock"

    @property
    def tombstones(self) -> Path:
        """Where the ``danm`` executable leaves DELs."""
        return self.state / "tombstones"

    @property
    def allocations(self) -> Path:
        """Where the journal of fakeipam's addresses is."""
        return self.state / "allocations"

    @property
    def fakeipam_tombstones(self) -> Path:
        """Where the ``fakeipam`` executable leaves DELs."""
        return self.state / "fakeipam-tombstones"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that danmd is told.

    Attributes:
        pod_uid: Of the Pod that danmd runs in; empty outside of one.
        fallback: The configuration of Pods that ask for nothing, as the host names it; None to
            remember the one that was the node's first.
        allowed_static_types: SPEC E2; None allows all.
        max_sandboxes: ADDs at once.
        max_waiting: ADDs that wait; more are told to come again.
        max_plugins: Chains of other plugins that run at once for ADDs, and as many for all else.
        cni_version: Of the configuration that is installed; None for what the runtime knows.
        pod_resources_socket: The kubelet's, as the host names it.
        ipam_only: Serve fakeipam alone (SPEC F2).
        started_file: Gets danmd's process id when it has started, even if it waits for another.
    """

    node: NodeName
    pod_uid: str
    namespace: str
    paths: HostPaths
    kubeconfig: Path | None
    ipam_token_file: Path
    fallback: str | None
    allowed_static_types: frozenset[str] | None
    max_sandboxes: int
    max_waiting: int
    max_plugins: int
    delegates_in_host_mounts: bool
    health_host: str
    health_port: int
    dpdk: DpdkSettings
    flannel_bridge: str
    install: bool
    cni_version: str | None
    pod_resources_socket: str = DEFAULT_POD_RESOURCES
    ipam_only: bool = False
    started_file: Path | None = None
