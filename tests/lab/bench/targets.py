"""The targets: ratios within one run, since machines differ. Pure."""

from collections.abc import Iterator
from typing import Final

from tests.lab.bench.cases import BATCH
from tests.lab.bench.results import Row, Run, Verdict

_ONE_CALLER_TO_PUT: Final = 3.0
_RATE_TO_CONTENDED: Final = 30.0
_RATE_TO_PUT: Final = 3.0
_P99_TO_CONTENDED: Final = 1 / 25
_P99_OF_512_MS: Final = 1000.0
_BATCH_ADDRESSES_TO_PUT: Final = 8.0
_USED_COST: Final = 1.2
_MEMORY_MB: Final = 150.0
_TWO_REPLICAS: Final = 0.8
_MANY_USED: Final = 60_000


def verdicts(run: Run) -> list[Verdict]:
    """Judge a run; what was not measured is not judged."""
    return [
        *_one_caller(run),
        *_32_callers(run),
        *_512_callers(run),
        *_batches(run),
        *_used(run),
        *_memory(run),
        *_replicas(run),
        *_failures(run),
    ]


def at_most(target: str, value: float, limit: float, *, unit: str = "x") -> Verdict:
    """Judge what should be small."""
    return Verdict(
        target=target,
        measured=f"{value:,.2f} {unit}",
        limit=f"at most {limit:,.2f} {unit}",
        met=value <= limit,
    )


def _at_least(target: str, value: float, limit: float) -> Verdict:
    return Verdict(
        target=target,
        measured=f"{value:,.2f} x",
        limit=f"at least {limit:,.2f} x",
        met=value >= limit,
    )


def _one_caller(run: Run) -> Iterator[Verdict]:
    row = run.row(callers=1)
    if row is not None:
        yield at_most(
            "one caller: median, to a raw PUT's",
            row.figures.p50_ms / row.put.p50_ms,
            _ONE_CALLER_TO_PUT,
        )


def _32_callers(run: Run) -> Iterator[Verdict]:
    row = run.row(callers=32)
    if row is None:
        return
    contended = run.raw.contended
    yield _at_least(
        "32 callers: rate, to 32 that GET, PUT and retry",
        row.figures.rate / contended.rate,
        _RATE_TO_CONTENDED,
    )
    yield _at_least(
        "32 callers: rate, to one caller's raw PUTs", row.figures.rate / row.put.rate, _RATE_TO_PUT
    )
    yield at_most(
        "32 callers: p99, to that of 32 that GET, PUT and retry",
        row.figures.p99_ms / contended.p99_ms,
        _P99_TO_CONTENDED,
    )


def _512_callers(run: Run) -> Iterator[Verdict]:
    for row in run.rows:
        if row.case.callers == 512:
            yield at_most(f"{row.case.name}: p99", row.figures.p99_ms, _P99_OF_512_MS, unit="ms")


def _batches(run: Run) -> Iterator[Verdict]:
    row = run.row(callers=32, batch=BATCH)
    if row is not None:
        yield _at_least(
            "32 callers, batches of 4: addresses per second, to one caller's raw PUTs",
            row.addresses_per_s / row.put.rate,
            _BATCH_ADDRESSES_TO_PUT,
        )


def _used(run: Run) -> Iterator[Verdict]:
    for callers in (1, 32):
        none, many = run.row(callers=callers), run.row(callers=callers, used=_MANY_USED)
        if none is None or many is None:
            continue
        who = f"{callers} caller{'s' if callers > 1 else ''}, 60,000 used"
        yield at_most(
            f"{who}: cost, to none", _cost(many, callers) / _cost(none, callers), _USED_COST
        )
        yield at_most(
            f"{who}: bytes per reservation, to none",
            many.cost.block_bytes / none.cost.block_bytes,
            _USED_COST,
        )


def _cost(row: Row, callers: int) -> float:
    """Return the median time of one caller; of many, the time that passes for each reservation."""
    return row.figures.p50_ms if callers == 1 else 1 / row.figures.rate


def _memory(run: Run) -> Iterator[Verdict]:
    for row in run.rows:
        if row.case.used == _MANY_USED or row.case.callers == 512:
            yield at_most(
                f"{row.case.name}: a replica's memory", row.cost.rss_mb, _MEMORY_MB, unit="MB"
            )


def _replicas(run: Run) -> Iterator[Verdict]:
    one, two = run.row(callers=32), run.row(callers=32, replicas=2)
    if one is not None and two is not None:
        yield _at_least(
            "32 callers on one network: two replicas' rate, to one's",
            two.figures.rate / one.figures.rate,
            _TWO_REPLICAS,
        )


def _failures(run: Run) -> Iterator[Verdict]:
    failed = sum(row.figures.failed for row in run.rows)
    yield Verdict(
        target="reservations that failed", measured=str(failed), limit="none", met=failed == 0
    )
