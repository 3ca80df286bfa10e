"""`lab chaos`: ipam-svc while everything around it breaks."""

import asyncio
import tempfile
from pathlib import Path

import click

from tests.lab.binaries import Binaries
from tests.lab.cache import Cache, default_cache_directory
from tests.lab.chaos.run import Result, run_chaos
from tests.lab.progress import Progress

_SHOWN = 20


@click.group()
def chaos() -> None:
    """Prove promises of ipam-svc while everything around it breaks."""


@chaos.command()
@click.option("--seed", type=int, default=1, show_default=True, help="Says which faults happen.")
@click.option(
    "--operations",
    type=click.IntRange(min=1),
    default=2000,
    show_default=True,
    help="Reserves and releases; 2000 take a minute or two, a million a night.",
)
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="For logs and histories; by default a new temporary one.",
)
@click.option("--keep", is_flag=True, help="Keep the histories of good rounds too.")
def ipam(seed: int, operations: int, directory: Path | None, *, keep: bool) -> None:
    """Reserve and release with many callers while replicas, etcd and the API server break.

    Three replicas of ipam-svc are killed, frozen and cut off, requests and answers are lost, the
    API server and etcd are restarted, nodes are lost. Everything that callers did and were answered
    is written down, and a checker that knows nothing of ipam-svc proves from it that no address had
    two owners, no owner lost one, no free pool was called full, and nothing was left behind.

    Exits with 1 when it finds otherwise; the history is kept then.
    """
    directory = directory or Path(tempfile.mkdtemp(prefix="danm-chaos-"))
    directory.mkdir(parents=True, exist_ok=True)
    click.echo(f"logs and histories: {directory}")
    good = asyncio.run(
        run_chaos(
            directory,
            binaries=Binaries(Cache(directory=default_cache_directory()), Progress()),
            seed=seed,
            operations=operations,
            tell=_tell,
            keep=keep,
        )
    )
    if not good:
        raise SystemExit(1)


def _tell(result: Result) -> None:
    click.echo(
        f"seed {result.seed}: {result.operations} operations, {result.faults} faults,"
        f" {result.seconds:.0f} s: {len(result.violations)} violations"
    )
    for violation in result.violations[:_SHOWN]:
        click.echo(f"  {violation}")
    if result.history:
        click.echo(f"  history: {result.history}")
