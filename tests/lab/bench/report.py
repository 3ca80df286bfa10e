"""A run for people: tables on a terminal, a page for the repository. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from rich.table import Table

from tests.lab.bench.figures import Figures
from tests.lab.bench.results import Machine, Row, Run, Verdict

_COLUMNS: Final = (
    "load",
    "per s",
    "addresses per s",
    "p50 ms",
    "p99 ms",
    "failed",
    "p50 to PUT",
    "bytes each",
    "writes each",
    "replica MB",
    "replica CPU ms each",
    "CPU replica / API / etcd / load / others",
)
TARGET_COLUMNS: Final = ("target", "measured", "limit", "")
_PROCESSES: Final = ("ipam-svc", "kube-apiserver", "etcd", "generator", "others")


def tables(run: Run) -> Iterator[Table]:
    """Yield the tables of a run."""
    yield table("Measured", _COLUMNS, _lines(run))
    if run.verdicts:
        yield table("Targets", TARGET_COLUMNS, judged(run.verdicts))


def page(run: Run) -> str:
    """Return a run as Markdown."""
    return "\n".join(
        (
            "# ipam-svc, measured",
            "",
            f"`./lab bench ipam` wrote this page and ipam.json beside it, {run.began}:"
            f" {described(run.machine)}. Replicas, API server, etcd and the load generator share"
            " the cores.",
            "",
            "Each load differs in what its name says from external owners that reserve one IPv4"
            " address each on one network of 65,534, with nobody else in it, through one replica."
            " Every reservation is a new one, over TLS 1.3 with TokenReview and"
            ' SubjectAccessReview. "p50 to PUT" compares with one caller\'s PUTs of a 1 KB object,'
            " measured just before. Bytes and writes are those of DanmIPBlocks at the API server,"
            ' per reservation. CPU is in cores; "others" is what else ran on the machine: the more,'
            " the less the figures say. etcd's database grew to"
            f" {run.etcd_mb:,.0f} MB (its quota: 2,048).",
            "",
            *markdown(_COLUMNS, _lines(run)),
            "",
            "## Targets",
            "",
            *markdown(TARGET_COLUMNS, judged(run.verdicts)),
            "",
        )
    )


def described(machine: Machine) -> str:
    """Say in words where a run took place."""
    return (
        f"{machine.cores} cores of {machine.processor}, {machine.memory_gb:g} GB, Linux"
        f" {machine.kernel}, Python {machine.python}, Kubernetes {machine.kubernetes}, etcd"
        f" {machine.etcd} with fsync ({machine.fsync_ms:g} ms, median)"
    )


def _lines(run: Run) -> list[tuple[str, ...]]:
    raw = (
        ("raw: one caller creates", run.raw.create),
        ("raw: one caller PUTs", run.raw.put),
        ("raw: 32 callers GET, PUT, retry", run.raw.contended),
    )
    return [*(_raw_line(name, found) for name, found in raw), *map(_line, run.rows)]


def _raw_line(name: str, found: Figures) -> tuple[str, ...]:
    numbers = (f"{found.rate:,.0f}", "", f"{found.p50_ms:,.1f}", f"{found.p99_ms:,.1f}")
    return (name, *numbers, str(found.failed), *[""] * (len(_COLUMNS) - 6))


def _line(row: Row) -> tuple[str, ...]:
    found, cost = row.figures, row.cost
    return (
        row.case.name,
        f"{found.rate:,.0f}",
        f"{row.addresses_per_s:,.0f}",
        f"{found.p50_ms:,.1f}",
        f"{found.p99_ms:,.1f}",
        str(found.failed),
        f"{found.p50_ms / row.put.p50_ms:,.1f}",
        f"{cost.block_bytes:,.0f}",
        f"{cost.block_writes:.2f}",
        f"{cost.rss_mb:,.0f}",
        f"{cost.cpu['ipam-svc'] / found.rate * 1000:.2f}",
        " / ".join(f"{cost.cpu[name]:.2f}" for name in _PROCESSES),
    )


def judged(verdicts: Iterable[Verdict]) -> list[tuple[str, ...]]:
    """Return a line for each target."""
    return [
        (each.target, each.measured, each.limit, "met" if each.met else "MISSED")
        for each in verdicts
    ]


def table(title: str, columns: Sequence[str], lines: Sequence[Sequence[str]]) -> Table:
    """Return lines for a terminal."""
    shown = Table(title=title)
    for position, column in enumerate(columns):
        shown.add_column(column, justify="left" if position == 0 else "right")
    for line in lines:
        shown.add_row(*line)
    return shown


def markdown(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> Iterator[str]:
    """Return lines for a page."""
    yield f"| {' | '.join(columns)} |"
    yield f"| {' | '.join('---' if n == 0 else '---:' for n in range(len(columns)))} |"
    for line in lines:
        yield f"| {' | '.join(line)} |"
