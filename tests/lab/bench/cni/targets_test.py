"""Judging and showing a run."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from tests.lab.bench.cni.cases import Case, Kind, guest_cases, node_cases
from tests.lab.bench.cni.report import page, tables
from tests.lab.bench.cni.results import (
    CniRun,
    Memory,
    Phase,
    Row,
    Side,
    Start,
    Storm,
    Times,
)
from tests.lab.bench.cni.targets import verdicts
from tests.lab.bench.expected import cni_targets
from tests.lab.bench.results import Machine

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


def _times(p50: float) -> Times:
    return Times(count=5, p50=p50, p90=p50 + 1, p99=p50 + 2, max=p50 + 3)


def _start(program: str, call: str, p50: float) -> Start:
    return Start(program=program, call=call, times=_times(p50))


def _side(add: float, delete: float) -> Side:
    return Side(add=_times(add), delete=_times(delete))


def _row(kind: Kind, interfaces: int, danm: Side, reference: Side | None = None) -> Row:
    return Row(
        case=Case(kind=kind, interfaces=interfaces),
        danm=danm,
        reference=reference,
        steps_ms={"planning": 0.0, "making the interfaces": 5.0},
        danmd_cpu_ms=12.0,
        add_cpu_ms={"API server": 18.0, "all else": 7.0},
        add_cpu_share=0.8,
    )


def _phase(failed: int = 0) -> Phase:
    failures = ["no address"] if failed else []
    return Phase(times=_times(900.0), seconds=2.0, failed=failed, failures=failures)


def _good(**changes: Any) -> CniRun:  # noqa: ANN401  (fields of any type)
    run = CniRun(
        began="2026-01-01T00:00:00+00:00",
        quick=False,
        machine=_MACHINE,
        starts=[
            _start("macvlan", "VERSION", 2.0),
            _start("danm", "VERSION", 5.0),
            _start("danm", "CHECK", 9.9),
        ],
        rows=[
            _row(Kind.BRIDGE, 1, _side(29, 29), _side(20, 20)),
            _row(Kind.BRIDGE, 5, _side(79, 79), _side(100, 100)),
            _row(Kind.BRIDGE, 17, _side(119, 119), _side(300, 300)),
            _row(Kind.SLOW, 1, _side(220, 220)),
            _row(Kind.SLOW, 16, _side(280, 280)),
            _row(Kind.IPVLAN, 1, _side(100, 50)),
            _row(Kind.IPVLAN, 16, _side(290, 140)),
        ],
        storms=[
            Storm(who=who, pods=50, interfaces=4, add=_phase(), delete=_phase())
            for who in ("danm", "the reference plugins")
        ],
        memory=Memory(rest=60.0, storm=80.0, after=70.0),
        left=0,
    )
    return msgspec.structs.replace(run, **changes)


def _missed(run: CniRun) -> list[str]:
    return [each.target for each in verdicts(run) if not each.met]


def _with_row(changed: Row) -> CniRun:
    case = changed.case
    rows = [changed if each.case == case else each for each in _good().rows]
    return _good(rows=rows)


def test_a_run_that_meets_every_target() -> None:
    """All that the issue asks is judged, and met."""
    assert _missed(_good()) == []
    # Round trip; ADD and DEL of 3 sizes, of IPVLAN and of slow delegates; the storm's ADDs, DELs
    # and memory; memory at rest before and after; addresses.
    assert len(verdicts(_good())) == 1 + 6 + 2 + 2 + 3 + 2 + 1


@pytest.mark.parametrize(
    ("row", "named"),
    [
        pytest.param(
            _row(Kind.BRIDGE, 1, _side(31, 29), _side(20, 20)), "eth0 alone: ADD", id="alone"
        ),
        pytest.param(
            _row(Kind.BRIDGE, 1, _side(29, 31), _side(20, 20)), "eth0 alone: DEL", id="alone, DEL"
        ),
        pytest.param(
            _row(Kind.BRIDGE, 5, _side(81, 79), _side(100, 100)), "4 more: ADD", id="4 more"
        ),
        pytest.param(
            _row(Kind.BRIDGE, 5, _side(79, 81), _side(100, 100)), "4 more: DEL", id="4 more, DEL"
        ),
        pytest.param(
            _row(Kind.BRIDGE, 17, _side(121, 119), _side(300, 300)), "16 more: ADD", id="16 more"
        ),
        pytest.param(
            _row(Kind.BRIDGE, 17, _side(119, 121), _side(300, 300)), "16 more: DEL", id="16, DEL"
        ),
        pytest.param(_row(Kind.IPVLAN, 16, _side(301, 140)), "IPVLAN", id="IPVLAN"),
        pytest.param(_row(Kind.IPVLAN, 16, _side(290, 151)), "IPVLAN", id="IPVLAN, DEL"),
        pytest.param(_row(Kind.SLOW, 16, _side(287, 280)), "200 ms: ADD", id="slow"),
        pytest.param(_row(Kind.SLOW, 16, _side(280, 287)), "200 ms: DEL", id="slow, DEL"),
    ],
)
def test_one_figure_beyond_its_limit_is_named(row: Row, named: str) -> None:
    """Each ratio just above its limit misses its own target and no other."""
    (missed,) = _missed(_with_row(row))
    assert named in missed


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        pytest.param(
            {
                "starts": [
                    *_good().starts[:2],
                    Start(program="danm", call="CHECK", times=_times(11)),
                ]
            },
            "danmd and back",
            id="round trip",
        ),
        pytest.param({"memory": Memory(rest=111, storm=80, after=70)}, "first Pod", id="at rest"),
        pytest.param({"memory": Memory(rest=60, storm=80, after=111)}, "deleted", id="afterwards"),
        pytest.param({"memory": Memory(rest=60, storm=151, after=70)}, "50 Pods", id="storm"),
        pytest.param({"left": 1}, "addresses", id="addresses are left"),
    ],
)
def test_what_is_no_ratio_is_judged(changes: dict[str, Any], named: str) -> None:
    """Round trip, memory and what is left have limits of their own."""
    (missed,) = _missed(_good(**changes))
    assert named in missed


@pytest.mark.parametrize("verb", ["add", "delete"])
def test_one_pod_that_fails_is_too_many(verb: str) -> None:
    """A storm in which one Pod fails is missed; the reference plugins' failures are not ours."""
    ours, theirs = _good().storms
    failing: Sequence[Storm] = [msgspec.structs.replace(ours, **{verb: _phase(failed=1)}), theirs]
    (missed,) = _missed(_good(storms=failing))
    assert "failed" in missed
    other = [ours, msgspec.structs.replace(theirs, **{verb: _phase(failed=1)})]
    assert _missed(_good(storms=other)) == []


def test_what_was_not_measured_is_not_judged() -> None:
    """A run of some cases misses no target of the others."""
    judged = [each.target for each in verdicts(_good(starts=[], rows=[], storms=[]))]
    assert judged == [
        "danmd's memory at rest, before the first Pod",
        "danmd's memory at rest, after all Pods are deleted",
        "addresses held when all Pods are deleted",
    ]


@pytest.mark.parametrize("quick", [True, False])
def test_all_that_is_measured_is_judged(quick: bool) -> None:
    """A run of all cases gives exactly the targets that are asked: none is lost with its case."""
    measured = [*node_cases(quick=quick), *guest_cases(quick=quick)]
    rows = [_row(each.kind, each.interfaces, _side(1, 1), _side(1, 1)) for each in measured]
    judged = [each.target for each in verdicts(_good(rows=rows))]
    assert sorted(judged) == sorted(cni_targets())


def test_a_run_is_kept_and_shown_whole() -> None:
    """JSON brings back the same run; tables and page show every case, storm and verdict."""
    run = _good()
    run = msgspec.structs.replace(run, verdicts=verdicts(run))
    assert msgspec.json.decode(msgspec.json.encode(run), type=CniRun) == run
    starts, rows, steps, processors, storms, memory, judged = tables(run)
    assert (starts.row_count, rows.row_count, steps.row_count) == (3, 7, 7)
    assert processors.row_count == 7
    assert (storms.row_count, memory.row_count) == (2, 3)
    assert judged.row_count == len(run.verdicts)
    lines = page(run).splitlines()
    for name in [row.case.name for row in run.rows] + [storm.who for storm in run.storms]:
        assert any(line.startswith(f"| {name} |") for line in lines)


def test_steps_that_take_no_time_are_no_columns() -> None:
    """Danmd has more steps than fit; what is left of an ADD is danm and all else."""
    (steps,) = (each for each in tables(_good()) if each.title == "Where an ADD's time goes")
    headers = [str(column.header) for column in steps.columns]
    assert headers[:3] == ["ADD by danm, ms", "making the interfaces", "danm and all else"]
    first = [next(iter(column.cells)) for column in steps.columns]
    assert first == ["bridge alone", "5", "24", "12"]


def test_whose_processor_time_an_add_takes() -> None:
    """By part, all of it, and how much of the machine that was."""
    title = "Whose processor time an ADD takes"
    (processors,) = (each for each in tables(_good()) if each.title == title)
    headers = [str(column.header) for column in processors.columns]
    assert headers[1:] == ["API server", "all else", "all", "of all cores"]
    first = [next(iter(column.cells)) for column in processors.columns]
    assert first == ["bridge alone", "18", "7", "25", "80%"]
    rows = [msgspec.structs.replace(each, add_cpu_ms={}) for each in _good().rows]
    assert title not in [each.title for each in tables(_good(rows=rows))]


def test_what_failed_is_on_the_page() -> None:
    """A person who sees a failure reads what it said."""
    ours, theirs = _good().storms
    storms = [msgspec.structs.replace(ours, add=_phase(failed=1)), theirs]
    text = page(_good(storms=storms))
    assert "- danm, ADD: no address" in text
    assert "What failed" not in page(_good())
