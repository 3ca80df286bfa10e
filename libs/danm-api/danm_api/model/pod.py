"""Pod: what DANM needs to know of one (SPEC A2, B, S1). Pure."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from danm_api.model.addresses import IPAddress
from danm_api.names import Namespace, NodeName, PodName, PodUid


class PodPhase(StrEnum):
    """The phases of a Pod's life, as the API server names them."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    UNKNOWN = "Unknown"


_TERMINAL_PHASES = frozenset({PodPhase.SUCCEEDED, PodPhase.FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """One Pod.

    Attributes:
        node: The node that it is bound to. None before it is scheduled.
        ready: Its condition ``Ready`` is true; says nothing of a deletion.
        deleting: It carries a deletion mark.
        hostname: ``spec.hostname``; a StatefulSet sets it to the Pod's name.
        subdomain: ``spec.subdomain``: the Service that gives the Pod its DNS name.
        mirror_of: The ``kubernetes.io/config.mirror`` annotation: the identity by which kubelet and
            the runtime know a static Pod, whose mirror this object is. None for all other Pods.
        created: When the API server made the object. None if it does not say.
        ips: The addresses of its eth0, as the runtime has reported them.
    """

    namespace: Namespace
    name: PodName
    uid: PodUid
    resource_version: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    node: NodeName | None = None
    phase: PodPhase = PodPhase.PENDING
    ready: bool = False
    deleting: bool = False
    hostname: str | None = None
    subdomain: str | None = None
    host_network: bool = False
    mirror_of: str | None = None
    created: datetime | None = None
    ips: tuple[IPAddress, ...] = ()

    @property
    def ended(self) -> bool:
        """Say whether all its containers have ended for good."""
        return self.phase in _TERMINAL_PHASES

    @property
    def runtime_uid(self) -> PodUid:
        """Return the uid that kubelet and the container runtime use for it."""
        return PodUid(self.mirror_of) if self.mirror_of else self.uid
