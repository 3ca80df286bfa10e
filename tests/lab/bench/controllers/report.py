"""A run of `lab bench controllers` for people: tables and a page. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final

from rich.table import Table

from tests.lab.bench.controllers.results import ControllersRun, LinkFindings, Repair
from tests.lab.bench.report import TARGET_COLUMNS, described, judged, markdown, table

_REPAIR_COLUMNS: Final = (
    "links", "one after another", "p50 ms", "p90 ms", "p99 ms", "max ms", "all at once s",
)  # fmt: skip
_COST_COLUMNS: Final = ("netwatcher", "")
_METHOD: Final = (
    "A whole node role of netwatcher on the kernel of a guest, a user-mode kernel in which every"
    " system call costs many times more; its API server is in memory. Another process damages links"
    " and looks at them every millisecond: a time is from before the damage until the link is as it"
    " was, up, under its name, marked and with its MTU."
)


def tables(run: ControllersRun) -> Iterator[Table]:
    """Yield the tables of a run."""
    for title, columns, lines in _parts(run):
        yield table(title, columns, lines)


def page(run: ControllersRun) -> str:
    """Return a run as Markdown."""
    lines = [
        "# netwatcher, measured",
        "",
        f"`./lab bench controllers` wrote this page and controllers.json beside it, {run.began}:"
        f" {described(run.machine)}.",
        "",
        _METHOD,
    ]
    for title, columns, found in _parts(run):
        lines += ["", f"## {title}", "", *markdown(columns, found)]
    return "\n".join((*lines, ""))


def _parts(run: ControllersRun) -> Iterator[tuple[str, Sequence[str], list[tuple[str, ...]]]]:
    links = run.links
    title = f"{links.vlans} VLAN and {links.vxlans} VXLAN links, damaged and repaired"
    yield title, _REPAIR_COLUMNS, [_repair(each) for each in links.repairs]
    yield "What it costs", _COST_COLUMNS, _costs(links)
    if run.verdicts:
        yield "Targets", TARGET_COLUMNS, judged(run.verdicts)


def _repair(repair: Repair) -> tuple[str, ...]:
    single = repair.single
    return (
        repair.damage,
        str(single.count),
        f"{single.p50:.1f}",
        f"{single.p90:.1f}",
        f"{single.p99:.1f}",
        f"{single.max:.1f}",
        f"{repair.all_s:.2f}",
    )


def _costs(links: LinkFindings) -> list[tuple[str, ...]]:
    lines: list[tuple[str, ...]] = [
        ("all links made after its start, s", f"{links.made_s:.2f}"),
        ("memory at most, the API server in memory included, MB", f"{links.rss_mb:.0f}"),
    ]
    if links.rest_s:
        lines.append((f"CPU over {links.rest_s:.0f} s at rest, %", f"{links.rest_cpu:.2f}"))
    return lines
