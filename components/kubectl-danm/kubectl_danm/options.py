"""The options that all commands share, and how a command runs."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final, Never, TypeVar, cast

import click

from danm_api.errors import DanmError
from kubectl_danm.completing import NAMESPACES, names_of
from kubectl_danm.connection import Session, Target, World
from kubectl_danm.rendering import Form, print_report
from kubectl_danm.view.refusals import explain
from kubectl_danm.view.report import Report, harmless

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What somebody says of every command: which cluster, where in it, and in which form.

    Attributes:
        world: Through which the cluster is reached.
    """

    world: World
    scope: Scope
    form: Form

    def refuse_name_of_all(self, name: str | None) -> None:
        """Refuse a name together with all namespaces.

        Raises:
            click.UsageError: Both were given.
        """
        if name is not None and self.scope.all_namespaces:
            raise click.UsageError("a NAME is of one namespace: give -n instead of -A")

    def answer(self, ask: Callable[[Session], Awaitable[Report]]) -> Never:
        """Ask the cluster, print the answer, and end with its status."""
        report = run(self.world, self.scope.target, ask)
        print_report(report, self.form)
        sys.exit(ANSWERED if report.found else NOT_AS_HOPED)


_TARGET: Final = (
    click.option(
        "--context", metavar="NAME", help="Context of the kubeconfig, instead of its current."
    ),
    click.option(
        "--kubeconfig",
        metavar="FILE",
        help="How to reach the API server; by default $KUBECONFIG or ~/.kube/config.",
    ),
)
_NAMESPACE: Final = click.option(
    "-n",
    "--namespace",
    metavar="NAME",
    help="Instead of the context's own.",
    shell_complete=names_of(NAMESPACES),
)
_ALL_NAMESPACES: Final = click.option(
    "-A", "--all-namespaces", is_flag=True, help="Look at all namespaces."
)
_OUTPUT: Final = click.option(
    "-o",
    "--output",
    type=click.Choice([form.value for form in Form]),
    default=Form.TABLE.value,
    show_default=True,
    help="table for people; json, yaml or name for programs.",
)


def with_options(*, namespace: bool = False, all_namespaces: bool = False) -> Callable[[F], F]:
    """Give a command the options of all commands, as one ``Options`` before its own arguments.

    It stands below the command's own options, right above its function.

    Args:
        namespace: One may be named.
        all_namespaces: All may be asked for.
    """
    shared: list[Decorator] = [
        *([_NAMESPACE] if namespace else []),
        *([_ALL_NAMESPACES] if all_namespaces else []),
        *_TARGET,
        _OUTPUT,
    ]

    def decorate(command: F) -> F:
        @click.pass_obj
        @wraps(command)
        def gathered(
            world: World,
            /,
            *,
            context: str | None,
            kubeconfig: str | None,
            output: str,
            namespace: str | None = None,
            all_namespaces: bool = False,
            **own: object,
        ) -> None:
            scope = Scope(
                target=Target(kubeconfig=kubeconfig, context=context),
                namespace=namespace,
                all_namespaces=all_namespaces,
            )
            if all_namespaces and namespace is not None:
                raise click.UsageError(
                    "-A looks at all namespaces, and -n at one: give one of the two"
                )
            command(Options(world=world, scope=scope, form=Form(output)), **own)

        whole: Callable[..., Any] = gathered
        for option in reversed(shared):
            whole = option(whole)
        return cast(F, whole)

    return decorate


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
    click.echo(f"Error: {harmless(sentence)}", err=True)
    sys.exit(COULD_NOT_LOOK)
