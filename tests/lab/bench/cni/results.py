"""What a run of `lab bench cni` found, as it is kept: the same form in memory and in JSON. Pure."""

from collections.abc import Sequence

import msgspec

from tests.lab.bench.cni.cases import Case, Kind
from tests.lab.bench.figures import percentile
from tests.lab.bench.results import Kept, Machine, Verdict


class Times(Kept, frozen=True, kw_only=True):
    """A series of measured times, in milliseconds.

    Attributes:
        count: How many there are.
        p50: Half of them are no longer; likewise p90 and p99.
    """

    count: int
    p50: float
    p90: float
    p99: float
    max: float


def times(measured_ms: Sequence[float]) -> Times:
    """Sum up a series.

    Raises:
        ValueError: It is empty.
    """
    if not measured_ms:
        raise ValueError("nothing was measured")
    ordered = sorted(measured_ms)
    return Times(
        count=len(ordered),
        p50=percentile(ordered, 50),
        p90=percentile(ordered, 90),
        p99=percentile(ordered, 99),
        max=ordered[-1],
    )


class Start(Kept, frozen=True, kw_only=True):
    """One executable, started again and again.

    Attributes:
        call: What it was asked: nothing of it needs a network namespace.
    """

    program: str
    call: str
    times: Times


class Side(Kept, frozen=True, kw_only=True):
    """ADD and DEL of one Pod, by danm or by the reference plugins."""

    add: Times
    delete: Times


class Row(Kept, frozen=True, kw_only=True):
    """One case, measured.

    Attributes:
        reference: The plugins called one after another; None where there is nothing to compare.
        steps_ms: What each step of an ADD took as danmd tells it; medians. In a guest nothing.
        danmd_cpu_ms: Processor time of danmd for one Pod's ADD and DEL. In a guest nothing.
        add_cpu_ms: Processor time while an ADD ran, by whose it was; means. In a guest nothing.
        add_cpu_share: How much of all processors that was, 0 to 1.
    """

    case: Case
    danm: Side
    reference: Side | None = None
    steps_ms: dict[str, float] = msgspec.field(default_factory=dict)
    danmd_cpu_ms: float = 0.0
    add_cpu_ms: dict[str, float] = msgspec.field(default_factory=dict)
    add_cpu_share: float = 0.0


class Phase(Kept, frozen=True, kw_only=True):
    """All Pods of a storm, added or deleted at once.

    Attributes:
        times: Of those that succeeded; None when none did.
        seconds: From the first start to the last end.
        failures: What some of the failed ones said.
    """

    times: Times | None
    seconds: float
    failed: int
    failures: list[str] = msgspec.field(default_factory=list)


class Storm(Kept, frozen=True, kw_only=True):
    """Many Pods at once on one node."""

    who: str
    pods: int
    interfaces: int
    add: Phase
    delete: Phase


class Memory(Kept, frozen=True, kw_only=True):
    """danmd's resident memory, in MB.

    Attributes:
        rest: When it was ready and had done nothing yet.
        storm: The greatest since its start, the storm included.
        after: When everything was deleted again.
    """

    rest: float
    storm: float
    after: float


class NodeFindings(Kept, frozen=True, kw_only=True):
    """What was found on this machine's own kernel.

    Attributes:
        left: Addresses that somebody still held when every Pod was deleted.
    """

    starts: list[Start]
    rows: list[Row]
    storms: list[Storm]
    memory: Memory
    left: int


class CniRun(Kept, frozen=True, kw_only=True):
    """One whole run.

    Attributes:
        rows: Of the machine's own kernel and of the guest.
    """

    began: str
    quick: bool
    machine: Machine
    starts: list[Start]
    rows: list[Row]
    storms: list[Storm]
    memory: Memory
    left: int
    verdicts: list[Verdict] = msgspec.field(default_factory=list)

    def row(self, kind: Kind, interfaces: int) -> Row | None:
        """Return what was measured of a case."""
        for row in self.rows:
            if (row.case.kind, row.case.interfaces) == (kind, interfaces):
                return row
        return None

    def start(self, program: str, call: str) -> Start | None:
        """Return what was measured of an executable."""
        for start in self.starts:
            if (start.program, start.call) == (program, call):
                return start
        return None
