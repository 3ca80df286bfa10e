"""The command `lab`."""

import contextlib
import signal
import sys
import tempfile
from pathlib import Path

import click

from tests.lab.apiserver import ApiServer
from tests.lab.binaries import ALL_COMPONENTS, Binaries
from tests.lab.cache import Cache, default_cache_directory
from tests.lab.errors import LabError
from tests.lab.progress import Progress
from tests.lab.system import install_missing_packages


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


@lab.command()
def build() -> None:
    """Build everything that a lab needs (minutes, once)."""
    progress = Progress()
    binaries = Binaries(Cache(directory=default_cache_directory()), progress)
    install_missing_packages(progress, log=binaries.logs / "debian-packages.log")
    for component in ALL_COMPONENTS:
        binaries.directory(component)


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
