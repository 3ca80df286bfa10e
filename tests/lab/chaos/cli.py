"""`lab chaos`: DANM's services and danmd while everything around them breaks."""

import asyncio
import logging
import tempfile
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import click

from danm_api.uv_loop import UvLoop
from tests.lab.binaries import Binaries
from tests.lab.cache import Cache, default_cache_directory
from tests.lab.chaos.cni.cases import cases
from tests.lab.chaos.cni.failpoints import NODES, Findings, run_failpoints
from tests.lab.chaos.cni.lab_node import LabNode, LabReach
from tests.lab.chaos.cni.lab_plan import Kind as LabKind
from tests.lab.chaos.cni.lab_run import GRACE_S, LabChaos, run_lab_chaos
from tests.lab.chaos.cni.lab_run import Result as LabResult
from tests.lab.chaos.controllers.deck import KINDS as CONTROLLER_KINDS
from tests.lab.chaos.controllers.run import CHANGES, ControllerChaos, run_controller
from tests.lab.chaos.controllers.run import GRACE_S as CONTROLLER_GRACE_S
from tests.lab.chaos.controllers.run import Result as ControllerResult
from tests.lab.chaos.controllers.subjects import SUBJECTS
from tests.lab.chaos.refill import Refill, run_refill
from tests.lab.chaos.run import KEEPS_S, Result, run_chaos
from tests.lab.chaos.schedule import Kind
from tests.lab.demo_cli import LOCAL_PREFIX, install_on_lab
from tests.lab.installation import DEMO_IMAGE, image_names
from tests.lab.lab import Lab
from tests.lab.progress import Progress
from tests.lab.topology import NODES as LAB_NODES

_SHOWN = 20
_SHOWN_OF_HISTORY = 40


_directory = click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="For logs and histories; by default a new temporary one.",
)


@click.group()
def chaos() -> None:
    """Prove promises of DANM's parts while everything around them breaks."""


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
@click.option(
    "--apart",
    type=click.FloatRange(min=0.1),
    default=1.0,
    show_default=True,
    help="How many times as long as usual it is from fault to fault; by default about 2 s, and"
    " hardly a moment in which all is whole.",
)
@_directory
@click.option("--keep", is_flag=True, help="Keep the histories of good rounds too.")
def ipam(
    *,
    seed: int,
    operations: int,
    keeps: float,
    crowd: int,
    apart: float,
    directory: Path | None,
    keep: bool,
) -> None:
    """Reserve and release with many callers while replicas, etcd and the API server break.

    Three replicas of ipam-svc are killed, frozen and cut off, requests and answers are lost, the
    API server and etcd are restarted, nodes are lost. Everything that callers did and were answered
    is written down, and a checker that knows nothing of ipam-svc proves from it that no address of
    a wire had two owners, no owner lost one, none was given to another one before it had cooled, no
    free pool was called full, and nothing was left behind.

    Exits with 1 when it finds otherwise; the history is kept then.
    """
    directory = _made(directory)
    settled_s: list[float] = []

    def tell(result: Result) -> None:
        settled_s.append(result.settled_s)
        _tell(result)

    good = _run(
        run_chaos(
            directory,
            binaries=_binaries(),
            seed=seed,
            operations=operations,
            tell=tell,
            keep=keep,
            keeps_s=keeps,
            crowd=crowd,
            apart=apart,
        )
    )
    _tell_slowest(settled_s)
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


@chaos.command()
@click.option("--seed", type=int, default=1, show_default=True, help="Of the first round.")
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Three meet every failpoint in every way; one takes some ten minutes.",
)
@click.option(
    "--without",
    multiple=True,
    type=click.Choice([kind.name.lower() for kind in LabKind]),
    help="Leave a kind of fault out.",
)
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=GRACE_S,
    show_default=True,
    help="Seconds after the last fault within which all must be right.",
)
@click.option("--name", default="chaos", show_default=True, help="The lab to use.")
@_directory
def cni(
    *,
    seed: int,
    rounds: int,
    without: tuple[str, ...],
    grace: float,
    name: str,
    directory: Path | None,
) -> None:
    """Let Pods come and go on the lab while everything around their networks breaks.

    On both nodes danmd is killed, stopped and failed at every step of an ADD and a DEL; its
    executables, delegates, sandboxes and containerd are killed; nodes are cut off, rebooted and
    replaced.
    Afterwards interfaces, rules, routes, addresses, DanmEps, journals and host-local files are
    compared with the Pods that live, and then with none.

    Exits with 1 when something is missing or left, or when a kind of fault that was tried several
    times met nobody; the lab is left as it is then.
    """
    directory = _made(directory)
    lab = Lab.named(name)
    install_on_lab(lab)
    chaos = LabChaos(
        cluster=lab,
        nodes=[LabNode(name=node.name, reach=LabReach(lab=lab, node=node)) for node in LAB_NODES],
        image=image_names(LOCAL_PREFIX)[DEMO_IMAGE.name],
        directory=directory,
        without=[LabKind[each.upper()] for each in without],
        grace_s=grace,
    )
    if not run_lab_chaos(chaos, seed=seed, rounds=rounds, tell=_tell_lab):
        click.echo(f"The lab {name} is left as it is: ./lab status --name {name}", err=True)
        raise SystemExit(1)
    lab.down()


@chaos.command()
@click.option("--only", default="", help="Play the cases whose names have this text.")
@click.option("--nodes", type=click.IntRange(min=1), default=NODES, show_default=True)
@_directory
def failpoints(*, only: str, nodes: int, directory: Path | None) -> None:
    """Meet every failpoint of an ADD and a DEL with every action, once, without a lab.

    Nodes are network namespaces of this machine, each with a danmd, on a real API server and
    ipam-svc. Exits with 1 when something is missing or left.
    """
    directory = _made(directory)
    found: list[Findings] = []
    chosen = [each for each in cases() if only in str(each)]

    def tell(findings: Findings) -> None:
        found.append(findings)
        click.echo(
            f"{findings.moment}, {findings.seconds:.0f} s, right after {findings.settled_s:.1f} s:"
            f" {len(findings.differences)} differences"
        )
        for each in findings.differences[:_SHOWN]:
            click.echo(f"  {each}")

    with asyncio.Runner() as runner:
        runner.run(
            run_failpoints(directory, binaries=_binaries(), tell=tell, chosen=chosen, nodes=nodes)
        )
    click.echo(f"{len(chosen)} cases")
    _tell_slowest([each.settled_s for each in found])
    if any(each.differences for each in found):
        raise SystemExit(1)


@chaos.command()
@click.option("--seed", type=int, default=1, show_default=True, help="Of the first round.")
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Of each controller; one takes two to five minutes.",
)
@click.option(
    "--changes",
    type=click.IntRange(min=1),
    default=CHANGES,
    show_default=True,
    help="Of objects and links, in a round; tries count, since some come too early or late.",
)
@click.option(
    "--only",
    type=click.Choice(sorted(SUBJECTS)),
    help="Try svcwatcher (services), netwatcher's validator (networks) or its node role (links; it"
    " needs root) alone.",
)
@click.option(
    "--without",
    multiple=True,
    type=click.Choice([kind.name.lower() for kind in CONTROLLER_KINDS]),
    help="Leave a kind of fault out.",
)
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=CONTROLLER_GRACE_S,
    show_default=True,
    help="Seconds after the last fault and change within which all must be right.",
)
@_directory
def controllers(
    *,
    seed: int,
    rounds: int,
    changes: int,
    only: str | None,
    without: tuple[str, ...],
    grace: float,
    directory: Path | None,
) -> None:
    """Change, create and delete what controllers follow while everything around them breaks.

    Two netwatchers on one node, three replicas of netwatcher's validator and then of svcwatcher are
    killed, frozen for longer than their Lease and cut off, requests and answers are lost, the API
    server and etcd are restarted, and watches cannot go on. After quiet links and objects must be
    what a slow model computes from the objects alone, and what others made must be as it was.

    Exits with 1 when it finds otherwise; history, objects and differences are kept then.
    """
    directory = _made(directory)
    left_out = {Kind[each.upper()] for each in without}
    for name in [only] if only else sorted(SUBJECTS):
        tried = ControllerChaos(
            directory=directory / name,
            binaries=_binaries(),
            only=[kind for kind in CONTROLLER_KINDS if kind not in left_out],
            changes=changes,
            grace_s=grace,
        )
        run = run_controller(
            tried, SUBJECTS[name](), seed=seed, rounds=rounds, tell=_tell_controller
        )
        if not _run(run):
            raise SystemExit(1)


def _tell_controller(result: ControllerResult) -> None:
    click.echo(
        f"{result.controller}, seed {result.seed}: {result.changes} changes, {result.faults}"
        f" faults, {result.seconds:.0f} s, right after {result.settled_s:.1f} s:"
        f" {len(result.differences)} differences"
    )
    for each in result.differences[:_SHOWN]:
        click.echo(f"  {each}")
    if result.kept:
        click.echo(f"  history, objects and differences: {result.kept}")


def _tell_lab(result: LabResult) -> None:
    click.echo(
        f"seed {result.seed}: {result.pods} Pods, {result.traps} failpoints, {result.faults} other"
        f" faults, {result.seconds:.0f} s, all Pods ran after {result.running_s:.0f} s, right after"
        f" {result.right_s:.0f} s, empty after {result.emptied_s:.0f} s:"
        f" {len(result.differences)} differences"
    )
    for each in result.told_strikes():
        click.echo(f"  {each}")
    for each in result.differences[:_SHOWN]:
        click.echo(f"  {each}")
    for kind in result.idle:
        click.echo(f"  nothing is shown of {kind!r}: it met nobody")
    if result.kept:
        click.echo(f"  the world: {result.kept}")


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


def _tell_slowest(settled_s: Sequence[float]) -> None:
    click.echo(f"all was right again after {max(settled_s, default=0.0):.1f} s at most")


def _tell(result: Result) -> None:
    click.echo(
        f"seed {result.seed}: {result.operations} operations, {result.faults} faults,"
        f" {result.seconds:.0f} s, right after {result.settled_s:.1f} s:"
        f" {len(result.violations)} violations"
    )
    for violation in result.violations[:_SHOWN]:
        click.echo(f"  {violation}")
    for line in result.evidence[-_SHOWN_OF_HISTORY:]:
        click.echo(f"    {line}")
    if result.history:
        click.echo(f"  history: {result.history}")
