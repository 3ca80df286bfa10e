"""What a series of measured times says. Pure."""

import math
from collections.abc import Sequence
from statistics import median

import msgspec


class Figures(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One load, measured.

    Attributes:
        done: Operations that succeeded.
        failed: Operations that did not.
        seconds: From the first start to the last answer.
        rate: Successful operations per second.
        p50_ms: Half of the successful ones took no longer.
        p99_ms: Of a hundred successful ones, 99 took no longer.
        max_ms: None took longer.
    """

    done: int
    failed: int
    seconds: float
    rate: float
    p50_ms: float
    p99_ms: float
    max_ms: float


def figures(times_ms: Sequence[float], *, failed: int, seconds: float) -> Figures:
    """Sum up the times of the operations that succeeded.

    Raises:
        ValueError: There is none, or the load took no time.
    """
    if not times_ms:
        raise ValueError("no operation succeeded")
    if seconds <= 0:
        raise ValueError("the load took no time")
    ordered = sorted(times_ms)
    return Figures(
        done=len(ordered),
        failed=failed,
        seconds=seconds,
        rate=len(ordered) / seconds,
        p50_ms=percentile(ordered, 50),
        p99_ms=percentile(ordered, 99),
        max_ms=ordered[-1],
    )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the smallest of the sorted values that ``percent`` of them do not exceed.

    This is the nearest rank: a value that was measured, never one between two.
    """
    rank = math.ceil(percent / 100 * len(ordered))
    return ordered[max(rank, 1) - 1]


def middle(several: Sequence[Figures]) -> Figures:
    """Return the median of each figure of repeated loads; failures are added up."""
    return Figures(
        done=round(median(each.done for each in several)),
        failed=sum(each.failed for each in several),
        seconds=median(each.seconds for each in several),
        rate=median(each.rate for each in several),
        p50_ms=median(each.p50_ms for each in several),
        p99_ms=median(each.p99_ms for each in several),
        max_ms=median(each.max_ms for each in several),
    )
