"""A run of `lab bench overhead` for people: tables and a page. Pure."""

from collections.abc import Iterator
from typing import Final

from rich.table import Table

from tests.lab.bench.overhead.results import Comparison, OverheadRun
from tests.lab.bench.report import TARGET_COLUMNS, described, judged, markdown, table

_COLUMNS: Final = (
    "load",
    "rounds",
    "without ms",
    "with ms",
    "more",
    "CPU ms each without",
    "with",
    "more CPU",
    "KB of traces",
)


def tables(run: OverheadRun) -> Iterator[Table]:
    """Yield the tables of a run."""
    yield table("Metrics and traces", _COLUMNS, _lines(run))
    yield table("Targets", TARGET_COLUMNS, judged(run.verdicts))


def page(run: OverheadRun) -> str:
    """Return a run as Markdown."""
    return "\n".join(
        (
            "# Metrics and traces, measured",
            "",
            "`./lab bench overhead` wrote this page and overhead.json beside it,"
            f" {run.began}: {described(run.machine)}. All processes share the cores.",
            "",
            "Loads of `./lab bench ipam` and `./lab bench cni`, each again and again on the same"
            " processes, which a switch turns to and fro, of Pods one by one: as they are, with a"
            " collector of traces configured and their metrics scraped every 5 s; and with metrics"
            " that count nothing and no spans at all. What is not part of either (the calls"
            ' themselves, readings of the clock) is in both. "More" is the median of what each'
            " round says; of 32 callers the time that passes for each reservation is compared,"
            " else the median. CPU is ipam-svc's, or danmd's for one Pod's ADD and DEL.",
            "",
            *markdown(_COLUMNS, _lines(run)),
            "",
            "## Targets",
            "",
            *markdown(TARGET_COLUMNS, judged(run.verdicts)),
            "",
        )
    )


def _lines(run: OverheadRun) -> list[tuple[str, ...]]:
    return [_line(each) for each in run.comparisons]


def _line(found: Comparison) -> tuple[str, ...]:
    middle = found.middle()
    return (
        f"{found.load}: {found.of}",
        str(len(found.rounds)),
        f"{middle.without.time_ms:,.2f}",
        f"{middle.observed.time_ms:,.2f}",
        f"{found.time_percent:+.1f} %",
        f"{middle.without.cpu_ms:,.2f}",
        f"{middle.observed.cpu_ms:,.2f}",
        f"{found.cpu_percent:+.1f} %",
        f"{found.traced_bytes / 1024:,.0f}",
    )
