"""``kubectl danm``, or ``danmctl``: looks at a cluster's DANM with the rights of who asks."""

import sys
from pathlib import Path
from typing import Final

import click

from kubectl_danm.commands.check import check
from kubectl_danm.commands.completion import COMPLETE, KUBECTL_FILE, complete, completion
from kubectl_danm.commands.diagnose import diagnose
from kubectl_danm.commands.networks import networks
from kubectl_danm.commands.pod import pod
from kubectl_danm.commands.services import services
from kubectl_danm.commands.who import who
from kubectl_danm.connection import World
from kubectl_danm.faults import describe_fault
from kubectl_danm.options import fail
from kubectl_danm.version import VERSION

# kubectl starts a plugin by its file's name and shows users this one.
_PLUGIN: Final = "kubectl-danm"
_AS_PLUGIN: Final = "kubectl danm"


def name_of(path: str) -> str:
    """Return how users know the program that a path starts."""
    name = Path(path).name
    return _AS_PLUGIN if name == _PLUGIN else name


class Program(click.Group):
    """All commands; each ends with a sentence and the status for it, whatever goes wrong."""

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; a fault must not look like the answer "no", whose status is 1."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError):
            raise
        except Exception as error:  # noqa: BLE001  (nobody knows which)
            fail(describe_fault(error))


@click.group(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(VERSION, prog_name=_PLUGIN)
@click.pass_context
def main(context: click.Context) -> None:
    """Look at DANM's networks in a cluster, with your own kubeconfig and rights.

    All commands only read. They end with status 0, with 1 when the answer is not as one hopes
    (nobody has the address, something does not fit), and with 2 when they could not look.
    """
    if context.obj is None:
        context.obj = World()


for command in (networks, pod, who, services, check, diagnose, completion, complete):
    main.add_command(command)


def start(arguments: list[str]) -> None:
    """Run the program under the name by which it was called; ``arguments`` begin with it."""
    path, *words = arguments
    if Path(path).name == KUBECTL_FILE:
        words = [COMPLETE, *words]
    main(args=words, prog_name=name_of(path))


def run() -> None:
    """Run the program; the entry point of the PEX, which so keeps the name of a link to it."""
    start(sys.argv)


if __name__ == "__main__":
    run()
