"""What a run found, as it is kept: the same form in memory and in JSON. Pure."""

import msgspec

from tests.lab.bench.cases import Case
from tests.lab.bench.figures import Figures


class Kept(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of all that is kept."""


class Machine(Kept, frozen=True, kw_only=True):
    """Where a run took place, without its name.

    Attributes:
        fsync_ms: Median of an fdatasync after 2 KB, where etcd writes.
    """

    processor: str
    cores: int
    memory_gb: float
    kernel: str
    python: str
    kubernetes: str
    etcd: str
    fsync_ms: float


class Cost(Kept, frozen=True, kw_only=True):
    """What one load took of the machine.

    Attributes:
        cpu: Processor seconds per second of the load, by process.
        block_bytes: Bytes of block writes that the API server received, per reservation.
        block_writes: Block writes per reservation.
        rss_mb: The greatest resident memory of any replica since it started.
    """

    cpu: dict[str, float]
    block_bytes: float
    block_writes: float
    rss_mb: float


class Raw(Kept, frozen=True, kw_only=True):
    """The API server alone, with an object of 1 KB.

    Attributes:
        create: One caller creates objects.
        put: One caller replaces an object by its resourceVersion.
        contended: 32 callers GET one object, PUT it, and on a conflict wait 0 to 50 ms and try
            again: the way of IPAMs that keep a pool in one object.
    """

    create: Figures
    put: Figures
    contended: Figures


class Row(Kept, frozen=True, kw_only=True):
    """One case, measured.

    Attributes:
        figures: Of reservations; the median of the repeats.
        put: One caller's raw PUTs, measured immediately before each repeat.
    """

    case: Case
    figures: Figures
    cost: Cost
    put: Figures
    repeats: list[Figures]

    @property
    def addresses_per_s(self) -> float:
        """How many addresses were handed out per second."""
        each = 2 if self.case.families == "dual" else 1
        return self.figures.rate * self.case.batch * each


class Verdict(Kept, frozen=True, kw_only=True):
    """One target.

    Attributes:
        measured: What was found, as text.
        limit: What was asked, as text.
    """

    target: str
    measured: str
    limit: str
    met: bool


class Run(Kept, frozen=True, kw_only=True):
    """One whole run.

    Attributes:
        etcd_mb: Size of etcd's database at its largest; its quota is 2,048 unless set.
    """

    began: str
    quick: bool
    machine: Machine
    raw: Raw
    rows: list[Row]
    etcd_mb: float
    verdicts: list[Verdict] = []

    def row(self, **wanted: object) -> Row | None:
        """Return the row of the case that differs from the usual one only in what is wanted."""
        defaults = Case(callers=1, count=1)
        for row in self.rows:
            names = [name for name in Case.__struct_fields__ if name not in ("count", "repeats")]
            if all(
                getattr(row.case, name) == wanted.get(name, getattr(defaults, name))
                for name in names
            ):
                return row
        return None
