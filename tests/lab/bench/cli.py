"""The command `lab bench`."""

import asyncio
import signal
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import click
import msgspec
from rich.console import Console
from rich.table import Table

from tests.lab.bench.cni import report as cni_report
from tests.lab.bench.controllers import report as controllers_report
from tests.lab.bench.expected import absent, cni_targets, controllers_targets, ipam_targets
from tests.lab.bench.overhead import report as overhead_report
from tests.lab.bench.report import page, tables
from tests.lab.bench.results import Run, Verdict
from tests.lab.bench.run import run_bench
from tests.lab.binaries import Binaries
from tests.lab.cache import Cache, default_cache_directory
from tests.lab.lab import repository
from tests.lab.progress import Progress

# Wide enough for the tables where output goes to a file.
_WIDTH = 200
_OPTIONS: Final = (
    click.option(
        "--json",
        "json_file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Write the figures to this file, too.",
    ),
    click.option(
        "--check",
        is_flag=True,
        help="Exit with 1 when a target is missed, or without --only was not judged; it is named.",
    ),
    click.option(
        "--quick", is_flag=True, help="A few minutes: fewer cases, each shorter, nothing kept."
    ),
    click.option(
        "--only", default="", help="Only cases whose name has this in it; nothing is kept."
    ),
    click.option(
        "--keep/--no-keep", default=True, help="Whether to keep the results in docs/benchmarks/."
    ),
)


def _with_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.group()
def bench() -> None:
    """Measure parts of DANM on this machine."""


@bench.command()
@_with_options
def ipam(*, json_file: Path | None, check: bool, quick: bool, only: str, keep: bool) -> None:
    """Measure ipam-svc against a real API server and etcd with fsync, and the raw ones beside it.

    A run takes some minutes. Nothing else should run on the machine meanwhile.
    """
    progress = Progress()
    binaries = Binaries(Cache(directory=default_cache_directory()), progress)
    with _directory() as directory:
        run = asyncio.run(
            run_bench(
                Path(directory),
                repository=repository(),
                binaries=binaries,
                progress=progress,
                quick=quick,
                only=only,
            )
        )
    _write(run, "ipam", page(run), json_file=json_file, keep=keep and not (quick or only))
    tell(run, check=check, expected=() if only else ipam_targets(quick=quick))


@bench.command()
@_with_options
@click.option(
    "--executables",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="A directory with the static executables danm and fakeipam; by default they are built.",
)
def cni(
    *,
    json_file: Path | None,
    check: bool,
    quick: bool,
    only: str,
    keep: bool,
    executables: Path | None,
) -> None:
    """Measure danm and danmd on a node of their own, and the reference plugins beside them.

    A run takes some minutes. Nothing else should run on the machine meanwhile.
    """
    # Here, since it imports all of danmd, which no other command needs.
    from tests.lab.bench.cni.run import CniBench

    # Whoever ends this program ends all of it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with _directory() as directory:
        measured = CniBench(
            directory=Path(directory),
            repository=repository(),
            cache=Cache(directory=default_cache_directory()),
            progress=Progress(),
            executables=executables,
        )
        run = measured.run(quick=quick, only=only)
    kept = keep and not (quick or only)
    _write(run, "cni", cni_report.page(run), json_file=json_file, keep=kept)
    expected = () if only else cni_targets()
    _tell(cni_report.tables(run), run.verdicts, check=check, expected=expected)


@bench.command()
@_with_options
def controllers(*, json_file: Path | None, check: bool, quick: bool, only: str, keep: bool) -> None:
    """Measure netwatcher in a guest, and svcwatcher with Kubernetes' own controller beside it.

    How quickly links are repaired, how quickly slices follow Pods, and what both cost. A run takes
    a quarter of an hour. Nothing else should run on the machine meanwhile.
    """
    # Here, since it imports all of netwatcher and svcwatcher, which no other command needs.
    from tests.lab.bench.controllers.run import run_controllers

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with _directory() as directory:
        run = run_controllers(
            Path(directory),
            repository=repository(),
            cache=Cache(directory=default_cache_directory()),
            progress=Progress(),
            quick=quick,
            only=only,
        )
    kept = keep and not (quick or only)
    page_of_run = controllers_report.page(run)
    _write(run, "controllers", page_of_run, json_file=json_file, keep=kept)
    expected = () if only else controllers_targets(quick=quick)
    _tell(controllers_report.tables(run), run.verdicts, check=check, expected=expected)


@bench.command()
@_with_options
def overhead(*, json_file: Path | None, check: bool, quick: bool, only: str, keep: bool) -> None:
    """Measure what metrics and traces cost ipam-svc and danmd: the same loads with and without.

    A run takes a quarter of an hour. Nothing else should run on the machine meanwhile.
    """
    # Here, since it imports all of danmd, which no other command needs.
    from tests.lab.bench.overhead.run import QUICK, USUAL, run_overhead

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with _directory() as directory:
        run = run_overhead(
            Path(directory),
            repository=repository(),
            cache=Cache(directory=default_cache_directory()),
            progress=Progress(),
            amount=QUICK if quick else USUAL,
            only=only,
        )
    kept = keep and not (quick or only)
    _write(run, "overhead", overhead_report.page(run), json_file=json_file, keep=kept)
    _tell(overhead_report.tables(run), run.verdicts, check=check)


def _directory() -> tempfile.TemporaryDirectory[str]:
    # Where a disk is: /tmp may be memory.
    return tempfile.TemporaryDirectory(prefix="danm-lab-bench-", dir="/var/tmp")


def _write(
    run: msgspec.Struct, name: str, text: str, *, json_file: Path | None, keep: bool
) -> None:
    found = msgspec.json.format(msgspec.json.encode(run), indent=2)
    if json_file is not None:
        json_file.write_bytes(found + b"\n")
    if keep:
        kept = repository() / "docs" / "benchmarks"
        kept.mkdir(parents=True, exist_ok=True)
        (kept / f"{name}.json").write_bytes(found + b"\n")
        (kept / f"{name}.md").write_text(text)


def tell(run: Run, *, check: bool, expected: Sequence[str] = ()) -> None:
    """Print a run's tables.

    Args:
        run: With its verdicts.
        check: Whether a target that is missed or not judged is an error.
        expected: The targets that are to be judged; others may be as well.

    Raises:
        SystemExit: There is one, and that is to be an error.
    """
    _tell(tables(run), run.verdicts, check=check, expected=expected)


def _tell(
    shown: Iterable[Table],
    verdicts: Sequence[Verdict],
    *,
    check: bool,
    expected: Sequence[str] = (),
) -> None:
    console = Console(width=None if Console().is_terminal else _WIDTH)
    for table in shown:
        console.print(table)
    missed = [each for each in verdicts if not each.met]
    unjudged = absent(expected, verdicts)
    if check and (missed or unjudged):
        for each in missed:
            click.echo(f"Missed: {each.target}: {each.measured}, {each.limit}", err=True)
        for target in unjudged:
            click.echo(f"Not measured: {target}", err=True)
        raise SystemExit(1)
