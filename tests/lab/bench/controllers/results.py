"""What a run of `lab bench controllers` found, in memory and in JSON. Pure."""

from tests.lab.bench.cni.results import Times
from tests.lab.bench.results import Kept, Machine, Verdict


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


class ControllersRun(Kept, frozen=True, kw_only=True):
    """One whole run."""

    began: str
    quick: bool
    machine: Machine
    links: LinkFindings
    verdicts: list[Verdict]
