"""The options that all commands share, and how a command runs."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Never, TypeVar

import click

from danm_api.errors import DanmError
from kubectl_danm.completing import NAMESPACES, names_of
from kubectl_danm.connection import Session, Target, World
from kubectl_danm.rendering import Form, print_report
from kubectl_danm.view.refusals import explain
from kubectl_danm.view.report import Report

F = TypeVar("F", bound=Callable[..., Any])

# Exit statuses, as of ``ipam-svc fsck`` and grep.
ANSWERED: Final = 0
NOT_AS_HOPED: Final = 1
COULD_NOT_LOOK: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What somebody wants to look at.

    Attributes:
        namespace: As given; None for the context's own.
        all_namespaces: All that there are.
    """

    target: Target
    namespace: str | None = None
    all_namespaces: bool = False

    def one(self, session: Session) -> str:
        """Return the one namespace that is meant."""
        return self.namespace or session.namespace

    def listed(self, session: Session) -> str | None:
        """Return the namespace to list; None for all."""
        return None if self.all_namespaces else self.one(session)

    def where(self, session: Session) -> str:
        """Name it in a sentence."""
        listed = self.listed(session)
        return "in any namespace" if listed is None else f"in namespace {listed}"


def with_target(command: F) -> F:
    """Add the options that say which cluster is meant."""
    for option in (
        click.option(
            "--context", metavar="NAME", help="Context of the kubeconfig, instead of its current."
        ),
        click.option(
            "--kubeconfig",
            metavar="FILE",
            help="How to reach the API server; by default $KUBECONFIG or ~/.kube/config.",
        ),
    ):
        command = option(command)
    return command


def with_namespace(command: F) -> F:
    """Add the option that names a namespace."""
    return click.option(
        "-n",
        "--namespace",
        metavar="NAME",
        help="Instead of the context's own.",
        shell_complete=names_of(NAMESPACES),
    )(command)


def with_all_namespaces(command: F) -> F:
    """Add the option for all namespaces."""
    return click.option("-A", "--all-namespaces", is_flag=True, help="Look at all namespaces.")(
        command
    )


def with_output(command: F) -> F:
    """Add the option that chooses a form."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice([form.value for form in Form]),
        default=Form.TABLE.value,
        show_default=True,
        help="table for people; json, yaml or name for programs.",
    )(command)


def scope_of(
    *,
    kubeconfig: str | None,
    context: str | None,
    namespace: str | None = None,
    all_namespaces: bool = False,
) -> Scope:
    """Return what the options say.

    Raises:
        click.UsageError: They contradict each other.
    """
    if all_namespaces and namespace is not None:
        raise click.UsageError("-A looks at all namespaces, and -n at one: give one of the two")
    return Scope(
        target=Target(kubeconfig=kubeconfig, context=context),
        namespace=namespace,
        all_namespaces=all_namespaces,
    )


def answer(
    world: World, scope: Scope, output: str, ask: Callable[[Session], Awaitable[Report]]
) -> None:
    """Ask a cluster, print the answer, and end with its status."""
    report = run(world, scope.target, ask)
    print_report(report, Form(output))
    sys.exit(ANSWERED if report.found else NOT_AS_HOPED)


T = TypeVar("T")


def run(world: World, target: Target, ask: Callable[[Session], Awaitable[T]]) -> T:
    """Return what a cluster answers; end with a sentence when it does not."""

    async def work() -> T:
        async with world.connect(target) as session:
            return await ask(session)

    try:
        return asyncio.run(work())
    except DanmError as error:
        fail(explain(error))


def fail(sentence: str) -> Never:
    """End with a sentence on standard error."""
    click.echo(f"Error: {sentence}", err=True)
    sys.exit(COULD_NOT_LOOK)
