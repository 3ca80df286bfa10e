"""Names of objects, while somebody types them.

A shell waits for the answer at every press of a key: it comes soon or not at all, and an error is
no answer.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from danm_api.kube.api import Resource
from kubectl_danm.connection import Session, Target, World

_TIMEOUT_S: Final = 2.0
_MOST: Final = 500

NAMESPACES: Final = Resource(
    group="", version="v1", plural="namespaces", kind="Namespace", namespaced=False
)

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def names_of(resource: Resource) -> Complete:
    """Return what completes the names of a kind, in the namespace that is typed before."""

    def complete(
        context: click.Context, _parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        given = context.params
        target = Target(kubeconfig=given.get("kubeconfig"), context=given.get("context"))
        world = context.find_root().obj
        known = world if isinstance(world, World) else World()

        async def ask() -> list[str]:
            async with asyncio.timeout(_TIMEOUT_S), known.connect(target) as session:
                return await _names(session, resource, given, incomplete)

        try:
            found = asyncio.run(ask())
        except Exception:  # noqa: BLE001  (an error is no answer, whatever it is)
            return []
        return [CompletionItem(name) for name in found]

    return complete


async def _names(
    session: Session, resource: Resource, given: dict[str, Any], incomplete: str
) -> list[str]:
    namespace = given.get("namespace") or session.namespace if resource.namespaced else None
    if given.get("all_namespaces"):
        namespace = None
    names: set[str] = set()
    async with aclosing(session.api.pages(resource, namespace=namespace)) as pages:
        async for page in pages:
            all_names = (raw["metadata"]["name"] for raw in page.items)
            names.update(name for name in all_names if name.startswith(incomplete))
            if len(names) >= _MOST:
                break
    return sorted(names)
