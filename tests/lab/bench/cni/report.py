"""A run of `lab bench cni` for people: tables on a terminal, a page for the repository. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final

from rich.table import Table

from tests.lab.bench.cni.results import CniRun, Phase, Row, Times
from tests.lab.bench.report import TARGET_COLUMNS, described, judged, markdown, table

_Lines = list[tuple[str, ...]]

_START_COLUMNS: Final = ("start", "p50 ms", "p90 ms", "p99 ms", "to macvlan")
_ROW_COLUMNS: Final = (
    "interfaces",
    "times",
    *(
        f"{verb} {what}"
        for verb in ("ADD", "DEL")
        for what in ("p50 ms", "p90 ms", "max ms", "reference p50 ms", "to reference")
    ),
)
_STORM_COLUMNS: Final = (
    "Pods at once",
    *(
        f"{verb} {what}"
        for verb in ("ADD", "DEL")
        for what in ("all s", "p50 ms", "p99 ms", "failed")
    ),
)
_MEMORY_COLUMNS: Final = ("danmd's memory", "MB")
_CPU: Final = "danmd's CPU, ADD and DEL"
_REST_OF_AN_ADD: Final = "danm and all else"
_CPU_SUMS: Final = ("all", "of all cores")


def tables(run: CniRun) -> Iterator[Table]:
    """Yield the tables of a run."""
    for title, columns, lines in _parts(run):
        yield table(title, columns, lines)


def page(run: CniRun) -> str:
    """Return a run as Markdown."""
    lines = [
        "# danm and danmd, measured",
        "",
        f"`./lab bench cni` wrote this page and cni.json beside it, {run.began}:"
        f" {described(run.machine)}. danmd, ipam-svc (one replica), the API server, etcd and the"
        " plugins share the cores.",
        "",
        *_METHOD,
    ]
    for title, columns, found in _parts(run):
        lines += ["", f"## {title}", "", *markdown(columns, found)]
    failures = [
        f"- {storm.who}, {verb}: {failure}"
        for storm in run.storms
        for verb, phase in (("ADD", storm.add), ("DEL", storm.delete))
        for failure in phase.failures
    ]
    if failures:
        lines += ["", "## What failed", "", *failures]
    return "\n".join((*lines, ""))


_METHOD: Final = (
    "Every call is a process of its own, started as a container runtime does it, with CNI's"
    " variables and a network namespace that is new for every Pod; its time is from before the"
    " start until its end. Of `danm` there is one call; the reference plugins of"
    " containernetworking/plugins (bridge, macvlan, ipvlan, each with host-local) are called one"
    " after another, and their times added up: a sequential meta-plugin that costs nothing. The two"
    " sides take turns, Pod by Pod. Each interface beside eth0 is on a network of its own.",
    "",
    "- *bridge alone*, *bridge and n macvlan*: eth0 is the plugin bridge's on both sides, since a"
    " macvlan link costs the kernel much less. danmd's eth0 is a static type, whose"
    " configuration has `fakeipam` with a DanmNet instead of host-local; all others are DanmNets"
    " of type macvlan, whose links danmd makes itself. So all its addresses come from ipam-svc, and"
    " each ADD writes DanmEps.",
    "- *n macvlan*: eth0 is a DanmNet of type macvlan, too.",
    "- *fallback*: a Pod that asks for nothing; danmd calls bridge with host-local.",
    "- *n x 200 ms*: a static type whose plugin sleeps 200 ms at ADD and at DEL.",
    "- *n ipvlan*: in a guest, a user-mode kernel in which every system call costs many times"
    " more; the executable `danm`, danmd's flow and its kernel work are real, its API server and"
    " ipam-svc are in memory.",
    "",
    "A Pod is terminating before its DEL, so DEL gives its addresses back. The Pods at once are"
    " driven by cnitool with a kubelet's deadline (240 s, and danm's own of 10 s): eth0 by bridge,"
    " three macvlan.",
)


def _parts(run: CniRun) -> Iterator[tuple[str, Sequence[str], _Lines]]:
    yield "Starts", _START_COLUMNS, _starts(run)
    yield "One Pod after another", _ROW_COLUMNS, [_row(row) for row in run.rows]
    steps = [row for row in run.rows if row.steps_ms]
    if steps:
        found = dict.fromkeys(name for row in steps for name in row.steps_ms)
        # danmd tells whole milliseconds: most of its steps take none.
        names = [name for name in found if any(row.steps_ms.get(name) for row in steps)]
        columns = ("ADD by danm, ms", *names, _REST_OF_AN_ADD, _CPU)
        yield "Where an ADD's time goes", columns, [_steps(row, names) for row in steps]
    counted = [row for row in run.rows if row.add_cpu_ms]
    if counted:
        columns = ("processor time while an ADD runs, ms", *counted[0].add_cpu_ms, *_CPU_SUMS)
        yield "Whose processor time an ADD takes", columns, [_processors(row) for row in counted]
    if run.storms:
        lines = [(storm.who, *_phase(storm.add), *_phase(storm.delete)) for storm in run.storms]
        yield "Many Pods at once", _STORM_COLUMNS, lines
    yield "Memory", _MEMORY_COLUMNS, _memory(run)
    if run.verdicts:
        yield "Targets", TARGET_COLUMNS, judged(run.verdicts)


def _starts(run: CniRun) -> _Lines:
    base = run.start("macvlan", "VERSION")
    return [
        (
            f"{each.program} {each.call}",
            f"{each.times.p50:.1f}",
            f"{each.times.p90:.1f}",
            f"{each.times.p99:.1f}",
            _ratio(each.times, base.times if base else None),
        )
        for each in run.starts
    ]


def _row(row: Row) -> tuple[str, ...]:
    return (
        row.case.name,
        str(row.danm.add.count),
        *_verb(row.danm.add, row.reference.add if row.reference else None),
        *_verb(row.danm.delete, row.reference.delete if row.reference else None),
    )


def _verb(ours: Times, theirs: Times | None) -> Iterator[str]:
    yield from (f"{ours.p50:,.0f}", f"{ours.p90:,.0f}", f"{ours.max:,.0f}")
    yield "" if theirs is None else f"{theirs.p50:,.0f}"
    yield _ratio(ours, theirs)


def _ratio(ours: Times, theirs: Times | None) -> str:
    return "" if theirs is None else f"{ours.p50 / theirs.p50:.2f}"


def _steps(row: Row, names: Sequence[str]) -> tuple[str, ...]:
    told = [row.steps_ms.get(name, 0.0) for name in names]
    # Both are medians, and danmd tells whole milliseconds: what is left may be below nothing.
    rest = max(row.danm.add.p50 - sum(told), 0.0)
    numbers = (*told, rest, row.danmd_cpu_ms)
    return (row.case.name, *(f"{each:,.0f}" for each in numbers))


def _processors(row: Row) -> tuple[str, ...]:
    numbers = (*row.add_cpu_ms.values(), sum(row.add_cpu_ms.values()))
    return (row.case.name, *(f"{each:,.0f}" for each in numbers), f"{row.add_cpu_share:.0%}")


def _phase(phase: Phase) -> Iterator[str]:
    yield f"{phase.seconds:,.1f}"
    yield "" if phase.times is None else f"{phase.times.p50:,.0f}"
    yield "" if phase.times is None else f"{phase.times.p99:,.0f}"
    yield str(phase.failed)


def _memory(run: CniRun) -> _Lines:
    return [
        ("at rest, before the first Pod", f"{run.memory.rest:,.0f}"),
        ("the greatest since its start", f"{run.memory.storm:,.0f}"),
        ("after all Pods are deleted", f"{run.memory.after:,.0f}"),
    ]
