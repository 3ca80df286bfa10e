"""The command `lab bench`."""

import asyncio
import tempfile
from pathlib import Path

import click
import msgspec
from rich.console import Console

from tests.lab.bench.report import page, tables
from tests.lab.bench.results import Run
from tests.lab.bench.run import run_bench
from tests.lab.binaries import Binaries
from tests.lab.cache import Cache, default_cache_directory
from tests.lab.lab import repository
from tests.lab.progress import Progress

# Wide enough for the table where output goes to a file.
_WIDTH = 200


@click.group()
def bench() -> None:
    """Measure parts of DANM on this machine."""


@bench.command()
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the figures to this file, too.",
)
@click.option("--check", is_flag=True, help="Exit with 1 when a target is missed; it is named.")
@click.option("--quick", is_flag=True, help="A minute: fewer cases, each shorter, nothing kept.")
@click.option("--only", default="", help="Only cases whose name has this in it; nothing is kept.")
@click.option(
    "--keep/--no-keep", default=True, help="Whether to keep the results in docs/benchmarks/."
)
def ipam(*, json_file: Path | None, check: bool, quick: bool, only: str, keep: bool) -> None:
    """Measure ipam-svc against a real API server and etcd with fsync, and the raw ones beside it.

    A run takes some minutes. Nothing else should run on the machine meanwhile.
    """
    progress = Progress()
    binaries = Binaries(Cache(directory=default_cache_directory()), progress)
    # Where a disk is: /tmp may be memory.
    with tempfile.TemporaryDirectory(prefix="danm-lab-bench-", dir="/var/tmp") as directory:
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
    found = msgspec.json.format(msgspec.json.encode(run), indent=2)
    if json_file is not None:
        json_file.write_bytes(found + b"\n")
    if keep and not (quick or only):
        kept = repository() / "docs" / "benchmarks"
        kept.mkdir(parents=True, exist_ok=True)
        (kept / "ipam.json").write_bytes(found + b"\n")
        (kept / "ipam.md").write_text(page(run))
    tell(run, check=check)


def tell(run: Run, *, check: bool) -> None:
    """Print a run's tables.

    Raises:
        SystemExit: A target is missed, and that is to be an error.
    """
    console = Console(width=None if Console().is_terminal else _WIDTH)
    for table in tables(run):
        console.print(table)
    missed = [each for each in run.verdicts if not each.met]
    if check and missed:
        for each in missed:
            click.echo(f"Missed: {each.target}: {each.measured}, {each.limit}", err=True)
        raise SystemExit(1)
