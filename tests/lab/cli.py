"""The command `lab`."""

import contextlib
import io
import os
import signal
import sys
import tempfile
from pathlib import Path

import click

from tests.lab.apiserver import ApiServer
from tests.lab.bench.cli import bench
from tests.lab.binaries import API_SERVER, HELM, NEWEST, RELEASES, Binaries
from tests.lab.cache import Cache, default_cache_directory
from tests.lab.chaos.cli import chaos
from tests.lab.demo_cli import demo, prepare_images
from tests.lab.e2e import e2e
from tests.lab.errors import LabError
from tests.lab.guest_kernel import run_bare
from tests.lab.lab import Lab
from tests.lab.progress import Progress
from tests.lab.topology import NODES, node_named


class _Commands(click.Group):
    """Shows errors that tell a person what to do as one sentence, without a traceback."""

    def invoke(self, context: click.Context) -> object:
        try:
            return super().invoke(context)
        except LabError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
def lab() -> None:
    """A real Kubernetes with two nodes on this machine, for demonstrations and tests.

    Everything runs in a network namespace of its own. What must be built is built once and kept
    in $DANM_LAB_CACHE (~/.cache/danm-lab).
    """


lab.add_command(bench)
lab.add_command(chaos)
lab.add_command(demo)
lab.add_command(e2e)

_name = click.option(
    "--name", default="danm", show_default=True, envvar="DANM_LAB_NAME", help="Which lab."
)


def _without_dashes(
    _context: click.Context, _parameter: click.Parameter, value: tuple[str, ...]
) -> tuple[str, ...]:
    """Accept `--` in front of a command, as people write it, and do without."""
    return value[1:] if value[:1] == ("--",) else value


_command_argument = click.argument(
    "command", nargs=-1, required=True, type=click.UNPROCESSED, callback=_without_dashes
)
_PASS_ON = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@lab.command()
@click.option(
    "--kubernetes",
    type=click.Choice(tuple(RELEASES)),
    default=NEWEST.minor,
    show_default=True,
    help="For labs with this release.",
)
def build(kubernetes: str) -> None:
    """Build everything that labs, images and tests need (minutes, once)."""
    the_lab = Lab.named("build", kubernetes=kubernetes)
    the_lab.prepare()
    the_lab.binaries.directory(HELM)
    the_lab.images.offer_python_base()


@lab.command()
@_name
@click.option(
    "--kubernetes",
    type=click.Choice(tuple(RELEASES)),
    help=f"Its release; by default {NEWEST.minor}.",
)
def up(name: str, kubernetes: str | None) -> None:
    """Start a lab; again on one that is up does nothing."""
    Lab.named(name, kubernetes=kubernetes).up()


@lab.command()
@_name
def load(name: str) -> None:
    """Build this tree's images and give them to a lab, up or not, as localhost/danm/..."""
    for image in prepare_images(Lab.named(name)):
        click.echo(image)


@lab.command()
@_name
def down(name: str) -> None:
    """End a lab and remove everything of it."""
    Lab.named(name).down()


@lab.command()
@_name
def status(name: str) -> None:
    """Show whether a lab is up, and what runs in it. Exits with 1 when it is not up."""
    the_lab = Lab.named(name)
    if not the_lab.is_up():
        click.echo(f"The lab {name} is not up.")
        raise SystemExit(1)
    click.echo(f"The lab {name} is up.")
    click.echo(f"network namespace  {the_lab.namespace.name}")
    click.echo(f"logs               {the_lab.state}/*/log")
    click.echo(f"kubeconfig         {the_lab.kubeconfig} (within the network namespace)")
    for what in ("nodes", "pods"):
        click.echo()
        click.echo(the_lab.kubectl("get", what, "-A", "-o", "wide"), nl=False)


@lab.command(context_settings=_PASS_ON)
@_name
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def kubectl(name: str, arguments: tuple[str, ...]) -> None:
    """Run kubectl against a lab."""
    the_lab = Lab.named(name)
    command = the_lab.kubectl_command(*arguments)
    os.execvpe(command[0], command, the_lab.environment())  # noqa: S606 - no shell is the point


@lab.command(name="exec", context_settings=_PASS_ON)
@_name
@_command_argument
def execute(name: str, command: tuple[str, ...]) -> None:
    """Run a program of this machine in a lab's network, with KUBECONFIG and kubectl there."""
    the_lab = Lab.named(name)
    the_lab.kubectl_command()
    line = the_lab.namespace.command(command)
    environment = the_lab.environment()
    kubectl = Path(the_lab.binaries.program(API_SERVER, "kubectl")).parent
    environment["PATH"] += f":{kubectl}"
    os.execvpe(line[0], line, environment)  # noqa: S606 - no shell is the point


@lab.command(context_settings=_PASS_ON)
@_name
@click.argument("node")
@_command_argument
def node(name: str, node: str, command: tuple[str, ...]) -> None:
    """Run a command in a node: `lab node 1 -- ip link`."""
    chosen = node_named(node)
    if chosen is None:
        known = ", ".join(each.name for each in NODES)
        raise LabError(f"There is no node {node!r}. There are: {known}")
    agent = Lab.named(name).agent(chosen)
    # A person at a terminal has nothing to send: without this the agent would wait for it.
    stdin = io.BytesIO() if sys.stdin.isatty() else sys.stdin.buffer
    status = agent.stream(command, stdin=stdin, stdout=sys.stdout.buffer, stderr=sys.stderr.buffer)
    raise SystemExit(status)


@lab.command(context_settings=_PASS_ON)
@click.option("--timeout", default=600.0, show_default=True, help="Seconds.")
@_command_argument
def guest(timeout: float, command: tuple[str, ...]) -> None:
    """Run a command under a kernel with IPVLAN, VLAN and VXLAN: `lab guest -- pytest ...`.

    The guest sees this machine's files; what it writes is gone afterwards. It has no network.
    """
    status = run_bare(
        Cache(directory=default_cache_directory()),
        command,
        stdout=sys.stdout.buffer,
        stderr=sys.stderr.buffer,
        timeout_s=timeout,
    )
    raise SystemExit(status)


@lab.command()
def apiserver() -> None:
    """Run etcd and an API server alone on loopback, until Ctrl-C. Ready in 4 seconds."""
    binaries = Binaries(Cache(directory=default_cache_directory()), Progress())
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        tempfile.TemporaryDirectory(prefix="danm-lab-apiserver-") as directory,
        ApiServer.start(Path(directory), binaries=binaries) as server,
    ):
        click.echo(f"export KUBECONFIG={server.kubeconfig}")
        click.echo(f"# {server.url} is ready; Ctrl-C ends it.")
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
