"""What metrics and traces were found to cost, as it is kept. Pure."""

from statistics import median
from typing import Final

import msgspec

from tests.lab.bench.results import Kept, Machine, Verdict
from tests.lab.bench.targets import at_most

_LIMIT_PERCENT: Final = 5.0


class Side(Kept, frozen=True, kw_only=True):
    """One load, with or without metrics and traces.

    Attributes:
        time_ms: What is compared: see `Comparison.of`.
        cpu_ms: Processor time of the process that is measured, for each operation.
    """

    time_ms: float
    cpu_ms: float


class Round(Kept, frozen=True, kw_only=True):
    """The same load twice, one right after the other."""

    without: Side
    observed: Side


class Comparison(Kept, frozen=True, kw_only=True):
    """One load, again and again.

    Attributes:
        of: What ``time_ms`` is.
        traced_bytes: What the collector of traces was sent meanwhile.
    """

    load: str
    of: str
    rounds: list[Round]
    traced_bytes: int

    @property
    def time_percent(self) -> float:
        """By how much the time grows: the median of the rounds."""
        return _growth([(each.without.time_ms, each.observed.time_ms) for each in self.rounds])

    @property
    def cpu_percent(self) -> float:
        """By how much the processor time grows: the median of the rounds."""
        return _growth([(each.without.cpu_ms, each.observed.cpu_ms) for each in self.rounds])

    def middle(self) -> Round:
        """Return the medians."""
        return Round(
            without=_middle([each.without for each in self.rounds]),
            observed=_middle([each.observed for each in self.rounds]),
        )


class OverheadRun(Kept, frozen=True, kw_only=True):
    """One whole run."""

    began: str
    quick: bool
    machine: Machine
    comparisons: list[Comparison]
    verdicts: list[Verdict] = msgspec.field(default_factory=list)


def verdicts(found: list[Comparison]) -> list[Verdict]:
    """Judge a run."""
    return [
        at_most(
            f"{each.load}: {each.of}, more than without metrics and traces",
            each.time_percent,
            _LIMIT_PERCENT,
            unit="%",
        )
        for each in found
    ]


def _growth(pairs: list[tuple[float, float]]) -> float:
    return (median(after / before for before, after in pairs) - 1) * 100


def _middle(sides: list[Side]) -> Side:
    return Side(
        time_ms=median(each.time_ms for each in sides),
        cpu_ms=median(each.cpu_ms for each in sides),
    )
