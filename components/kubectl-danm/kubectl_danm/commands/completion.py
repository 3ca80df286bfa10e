"""``completion``: what shells and kubectl ask while somebody types."""

import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import click
from click.shell_completion import ShellComplete, get_completion_class

from kubectl_danm.options import fail

PROGRAM: Final = "danmctl"
# What kubectl starts to complete the words after ``kubectl danm``.
KUBECTL_FILE: Final = "kubectl_complete-danm"
COMPLETE: Final = "__complete"

_VARIABLE: Final = "_DANMCTL_COMPLETE"
# Directives of kubectl's own completion (cobra): files may follow, or nothing else may.
_FILES: Final = 0
_NO_FILES: Final = 4


class Asker(StrEnum):
    """Who completes."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    KUBECTL = "kubectl"


@click.command(name="completion")
@click.argument("shell", type=click.Choice([asker.value for asker in Asker]))
@click.pass_context
def completion(context: click.Context, *, shell: str) -> None:
    """Print the script that makes a shell, or kubectl, complete commands and names.

    \b
    bash:    source <(danmctl completion bash)
    zsh:     source <(danmctl completion zsh)
    fish:    danmctl completion fish | source
    kubectl: kubectl danm completion kubectl > ~/bin/kubectl_complete-danm
             chmod +x ~/bin/kubectl_complete-danm    # in a directory of the PATH
    """  # noqa: D301  (click's mark for lines that stay as they are)
    if shell == Asker.KUBECTL:
        program = Path(sys.argv[0]).absolute()
        click.echo(f'#!/bin/sh\nexec {shlex.quote(str(program))} {COMPLETE} "$@"')
        return
    kind = get_completion_class(shell)
    if kind is None:
        fail(f"This release cannot complete for {shell}; choose another shell")
    root = context.find_root().command
    click.echo(kind(root, {}, PROGRAM, _VARIABLE).source())


@click.command(
    name=COMPLETE,
    hidden=True,
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def complete(context: click.Context, *, words: tuple[str, ...]) -> None:
    """Print what could stand in place of the last of the WORDS, in kubectl's form."""
    root = context.find_root()
    asked = ShellComplete(root.command, _context_of(root), PROGRAM, _VARIABLE)
    *before, incomplete = words or ("",)
    directive = _NO_FILES
    for item in asked.get_completions(before, incomplete):
        if item.type != "plain":
            directive = _FILES
        elif item.help:
            click.echo(f"{item.value}\t{item.help}")
        else:
            click.echo(item.value)
    click.echo(f":{directive}")


def _context_of(root: click.Context) -> dict[str, Any]:
    return {"obj": root.obj}
