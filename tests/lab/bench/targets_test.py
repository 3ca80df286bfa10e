"""Judging a run."""

from typing import Any

import msgspec
import pytest

from tests.lab.bench.cases import BATCH, Case, cases
from tests.lab.bench.cli import tell
from tests.lab.bench.expected import ipam_targets
from tests.lab.bench.figures import Figures
from tests.lab.bench.report import page, tables
from tests.lab.bench.results import Cost, Machine, Raw, Row, Run
from tests.lab.bench.targets import verdicts

_MACHINE = Machine(
    processor="p",
    cores=2,
    memory_gb=8.0,
    kernel="6",
    python="3.11",
    kubernetes="v1.35",
    etcd="v3",
    fsync_ms=0.5,
)


def _figures(*, rate: float = 600.0, p50_ms: float = 2.0, p99_ms: float = 4.0) -> Figures:
    return Figures(
        done=100, failed=0, seconds=1.0, rate=rate, p50_ms=p50_ms, p99_ms=p99_ms, max_ms=9.0
    )


def _row(case: Case, found: Figures, *, block_bytes: float = 1000.0, rss_mb: float = 90.0) -> Row:
    names = ("ipam-svc", "kube-apiserver", "etcd", "generator", "others")
    cost = Cost(
        cpu=dict.fromkeys(names, 0.5), block_bytes=block_bytes, block_writes=0.1, rss_mb=rss_mb
    )
    return Row(case=case, figures=found, cost=cost, put=_figures(), repeats=[found])


def _good() -> list[Row]:
    many = _figures(rate=2400.0, p50_ms=12.0, p99_ms=50.0)
    return [
        _row(Case(callers=1, count=1), _figures(rate=200.0, p50_ms=5.0)),
        _row(Case(callers=1, count=1, used=60_000), _figures(rate=200.0, p50_ms=5.5)),
        _row(Case(callers=32, count=1), many),
        _row(Case(callers=32, count=1, used=60_000), _figures(rate=2300.0)),
        _row(Case(callers=32, count=1, replicas=2), _figures(rate=2000.0)),
        _row(Case(callers=32, count=1, batch=BATCH), _figures(rate=1300.0)),
        _row(Case(callers=512, count=1), _figures(p99_ms=800.0)),
        _row(Case(callers=512, count=1, replicas=2), _figures(p99_ms=900.0)),
    ]


def _run(rows: list[Row]) -> Run:
    raw = Raw(
        create=_figures(), put=_figures(), contended=_figures(rate=70.0, p50_ms=90.0, p99_ms=2500.0)
    )
    return Run(
        began="2026-01-01T00:00:00+00:00",
        quick=False,
        machine=_MACHINE,
        raw=raw,
        rows=rows,
        etcd_mb=90.0,
    )


def test_a_run_that_meets_every_target() -> None:
    """All that the issue asks is judged, and met."""
    found = verdicts(_run(_good()))
    assert [each.target for each in found if not each.met] == []
    assert len(found) == 17


@pytest.mark.parametrize(
    ("case", "worse", "named"),
    [
        pytest.param({"callers": 1}, {"p50_ms": 6.1}, "one caller", id="one caller is slow"),
        pytest.param({"callers": 32}, {"rate": 2099.0}, "GET, PUT", id="rate, to contended"),
        pytest.param({"callers": 32}, {"rate": 1799.0}, "raw PUTs", id="rate, to PUTs"),
        pytest.param({"callers": 32}, {"p99_ms": 101.0}, "p99", id="p99, to contended"),
        pytest.param({"callers": 512}, {"p99_ms": 1001.0}, "512", id="512 callers wait"),
        pytest.param(
            {"callers": 512, "replicas": 2}, {"p99_ms": 1001.0}, "512", id="of two replicas, too"
        ),
        pytest.param({"callers": 512}, {"failed": 1}, "failed", id="one fails"),
        pytest.param({"callers": 32, "batch": 4}, {"rate": 1199.0}, "batches", id="batches"),
        pytest.param({"callers": 1, "used": 60_000}, {"p50_ms": 6.1}, "cost", id="use costs"),
        pytest.param({"callers": 32, "replicas": 2}, {"rate": 1919.0}, "two", id="replicas"),
    ],
)
def test_a_missed_target_is_named(
    case: dict[str, Any], worse: dict[str, float], named: str
) -> None:
    """One figure just beyond its limit misses its target, and the verdict says which."""
    wanted = Case(count=1, **case)
    rows = [
        (
            msgspec.structs.replace(row, figures=msgspec.structs.replace(row.figures, **worse))
            if row.case == wanted
            else row
        )
        for row in _good()
    ]
    missed = [each.target for each in verdicts(_run(rows)) if not each.met]
    assert any(named in target for target in missed)


@pytest.mark.parametrize(
    ("cost", "named"),
    [
        pytest.param({"rss_mb": 150.1}, "memory", id="memory"),
        pytest.param({"block_bytes": 1201.0}, "bytes", id="bytes"),
    ],
)
def test_cost_of_many_used_is_judged(cost: dict[str, float], named: str) -> None:
    """Memory and bytes written at 60,000 used have limits of their own."""
    rows = [
        (
            msgspec.structs.replace(row, cost=msgspec.structs.replace(row.cost, **cost))
            if row.case.used
            else row
        )
        for row in _good()
    ]
    missed = [each.target for each in verdicts(_run(rows)) if not each.met]
    assert missed
    assert all(named in target for target in missed)


def test_what_was_not_measured_is_not_judged() -> None:
    """A run of some cases misses no target of the others."""
    assert [each.target for each in verdicts(_run([]))] == ["reservations that failed"]


@pytest.mark.parametrize("quick", [True, False])
def test_all_that_is_measured_is_judged(quick: bool) -> None:
    """A run of all cases gives exactly the targets that are asked: none is lost with its case."""
    rows = [_row(case, _figures()) for case in cases(quick=quick)]
    judged = [each.target for each in verdicts(_run(rows))]
    assert sorted(judged) == sorted(ipam_targets(quick=quick))


def test_a_target_that_was_not_judged_is_an_error_where_asked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`--check` names it; a run of some cases is asked for none."""
    run = _run([row for row in _good() if row.case.replicas == 1])
    run = msgspec.structs.replace(run, verdicts=verdicts(run))
    tell(run, check=True)
    tell(run, check=False, expected=ipam_targets(quick=True))
    with pytest.raises(SystemExit) as exit_:
        tell(run, check=True, expected=ipam_targets(quick=True))
    assert exit_.value.code == 1
    told = [line for line in capsys.readouterr().err.splitlines() if line]
    assert told == ["Not measured: 32 callers on one network: two replicas' rate, to one's"]


def test_a_missed_target_is_an_error_where_asked(capsys: pytest.CaptureFixture[str]) -> None:
    """`--check` exits with 1 and names what is missed; without it a miss is only shown."""
    run = _run([_row(Case(callers=512, count=1), _figures(p99_ms=1001.0))])
    run = msgspec.structs.replace(run, verdicts=verdicts(run))
    tell(run, check=False)
    with pytest.raises(SystemExit) as exit_:
        tell(run, check=True)
    assert exit_.value.code == 1
    assert "Missed: 512 callers: p99" in capsys.readouterr().err


def test_a_run_is_kept_and_shown_whole() -> None:
    """JSON brings back the same run; table and page show every case and verdict."""
    run = _run(_good())
    run = msgspec.structs.replace(run, verdicts=verdicts(run))
    assert msgspec.json.decode(msgspec.json.encode(run), type=Run) == run
    measured, judged = tables(run)
    assert measured.row_count == 3 + len(run.rows)
    assert judged.row_count == len(run.verdicts)
    lines = page(run).splitlines()
    assert all(any(line.startswith(f"| {row.case.name} |") for line in lines) for row in run.rows)
