"""`lab chaos`: ipam-svc while everything around it breaks."""

import asyncio
import logging
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click

from danm_api.uv_loop import UvLoop
from tests.lab.binaries import Binaries
from tests.lab.cache import Cache, default_cache_directory
from tests.lab.chaos.refill import Refill, run_refill
from tests.lab.chaos.run import KEEPS_S, Result, run_chaos
from tests.lab.progress import Progress

_SHOWN = 20
_SHOWN_OF_HISTORY = 40


_directory = click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="For logs and histories; by default a new temporary one.",
)


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
    help="Reserves and releases; 2000 take a minute or two.",
)
@click.option(
    "--keeps",
    type=click.FloatRange(min=0),
    default=KEEPS_S,
    show_default=True,
    help="Seconds for which an owner keeps what it has, at most; with 0.1 callers hardly pause.",
)
@click.option(
    "--crowd",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How many times as many callers as usual.",
)
@_directory
@click.option("--keep", is_flag=True, help="Keep the histories of good rounds too.")
def ipam(
    *,
    seed: int,
    operations: int,
    keeps: float,
    crowd: int,
    directory: Path | None,
    keep: bool,
) -> None:
    """Reserve and release with many callers while replicas, etcd and the API server break.

    Three replicas of ipam-svc are killed, frozen and cut off, requests and answers are lost, the
    API server and etcd are restarted, nodes are lost. Everything that callers did and were answered
    is written down, and a checker that knows nothing of ipam-svc proves from it that no address had
    two owners, no owner lost one, no free pool was called full, and nothing was left behind.

    Exits with 1 when it finds otherwise; the history is kept then.
    """
    directory = _made(directory)
    good = _run(
        run_chaos(
            directory,
            binaries=_binaries(),
            seed=seed,
            operations=operations,
            tell=_tell,
            keep=keep,
            keeps_s=keeps,
            crowd=crowd,
        )
    )
    if not good:
        raise SystemExit(1)


@chaos.command()
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="A round takes some seconds; a thousand take an hour or two.",
)
@_directory
def refill(rounds: int, directory: Path | None) -> None:
    """Put 1000 Pods into a pool of 1000 addresses, empty it and fill it again.

    Each time every Pod must get an address of its own, the next one must hear that the pool is
    full, and nothing may be left when all have gone. Exits with 1 when it finds otherwise.
    """
    directory = _made(directory)
    good = _run(run_refill(directory, binaries=_binaries(), rounds=rounds, tell=_tell_refill))
    if not good:
        raise SystemExit(1)


def _run(work: Coroutine[Any, Any, bool]) -> bool:
    # Callers and proxies take as much of the machine as what they try.
    with asyncio.Runner(loop_factory=UvLoop) as runner:
        return runner.run(work)


def _made(directory: Path | None) -> Path:
    # The client warns of each answer that is lost, which is what a run is about.
    logging.getLogger("danm_api").setLevel(logging.ERROR)
    directory = directory or Path(tempfile.mkdtemp(prefix="danm-chaos-"))
    directory.mkdir(parents=True, exist_ok=True)
    click.echo(f"logs and histories: {directory}")
    return directory


def _binaries() -> Binaries:
    return Binaries(Cache(directory=default_cache_directory()), Progress())


def _tell_refill(result: Refill) -> None:
    click.echo(
        f"round {result.number}: full after {result.full_s:.1f} s, empty after"
        f" {result.empty_s:.1f} s: {len(result.violations)} violations"
    )
    for violation in result.violations[:_SHOWN]:
        click.echo(f"  {violation}")


def _tell(result: Result) -> None:
    click.echo(
        f"seed {result.seed}: {result.operations} operations, {result.faults} faults,"
        f" {result.seconds:.0f} s: {len(result.violations)} violations"
    )
    for violation in result.violations[:_SHOWN]:
        click.echo(f"  {violation}")
    for line in result.evidence[-_SHOWN_OF_HISTORY:]:
        click.echo(f"    {line}")
    if result.history:
        click.echo(f"  history: {result.history}")
