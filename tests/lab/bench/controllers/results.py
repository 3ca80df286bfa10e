"""What a run of `lab bench controllers` found, in memory and in JSON. Pure."""

from typing import Final

import msgspec

from tests.lab.bench.cni.results import Times
from tests.lab.bench.controllers.endpoints.cases import Size
from tests.lab.bench.results import Kept, Machine, Verdict

SVCWATCHER: Final = "svcwatcher"
# Its EndpointSlice controller, and no other.
KUBERNETES: Final = "kube-controller-manager"


class Repair(Kept, frozen=True, kw_only=True):
    """How quickly one kind of damage was repaired.

    Attributes:
        damage: What was done to links.
        single: To one link after the other, until it was as before; in milliseconds.
        all_s: To all links, one immediately after the other, until all were as before.
    """

    damage: str
    single: Times
    all_s: float


class LinkFindings(Kept, frozen=True, kw_only=True):
    """What was found out about the node role.

    Attributes:
        vlans: How many of the links were VLANs; the others were VXLANs.
        made_s: From the start of netwatcher until all links were there and up.
        rest_s: How long netwatcher was left alone.
        rest_cpu: Its processor time meanwhile, in percent of one core.
        rss_mb: Its greatest resident memory, with the API server in memory.
    """

    vlans: int
    vxlans: int
    made_s: float
    repairs: list[Repair]
    rest_s: float
    rest_cpu: float
    rss_mb: float


class LoadFindings(Kept, frozen=True, kw_only=True):
    """Readiness changes of Pods, and how a controller followed.

    Attributes:
        at_once: Whether many changed at once: they share what they cost, and Kubernetes' controller
            reached its limit of writes.
        seen: From before a change was sent until a watch showed a slice that says so; in
            milliseconds.
        accepted_ms: From before a change was sent until the API server had taken it; the median.
        rate: Changes per second from the first that was sent until the last that was seen.
        cpu_ms: The controller's processor time per change, with all that it did afterwards.
        slice_writes: Writes of EndpointSlices that the API server counted, per change.
        endpoints_writes: Likewise of Endpoints, which only svcwatcher writes.
    """

    name: str
    at_once: bool
    seen: Times
    accepted_ms: float
    rate: float
    cpu_ms: float
    slice_writes: float
    endpoints_writes: float


class ControllerFindings(Kept, frozen=True, kw_only=True):
    """One controller in a cluster of one size.

    Attributes:
        started_s: From its start, with no slice there, until a watch showed all of them.
        rss_mb: Its resident memory when all was written and nothing went on.
        peak_mb: The greatest since its start, when all loads were over.
        others_cpu: What ran on the machine beside it, the API server, etcd and the generator, in
            cores: the more, the less the figures say.
    """

    controller: str
    size: Size
    started_s: float
    rss_mb: float
    peak_mb: float
    others_cpu: float
    loads: list[LoadFindings]

    def load(self, name: str) -> LoadFindings | None:
        """Return what was found of a load."""
        return next((load for load in self.loads if load.name == name), None)


class ControllersRun(Kept, frozen=True, kw_only=True):
    """One whole run.

    Attributes:
        links: Of netwatcher; None when it was not measured.
        endpoints: Of svcwatcher and Kubernetes' own controller, from the small cluster to the
            large one; empty when they were not measured.
    """

    began: str
    quick: bool
    machine: Machine
    links: LinkFindings | None = None
    endpoints: list[ControllerFindings] = msgspec.field(default_factory=list)
    verdicts: list[Verdict] = msgspec.field(default_factory=list)
