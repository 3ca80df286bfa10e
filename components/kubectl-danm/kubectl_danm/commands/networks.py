"""``networks``: valid or not, how full, on which link, on which nodes."""

import click

from danm_api.kube.api import DANMNETS
from danm_api.model.danm_node import DanmNode
from danm_api.names import GROUP
from kubectl_danm import reading
from kubectl_danm.completing import names_of
from kubectl_danm.connection import Session
from kubectl_danm.options import Options, Scope, with_options
from kubectl_danm.reading import Notes
from kubectl_danm.view.networks import report_network, report_networks, view_networks
from kubectl_danm.view.report import Report


@click.command(name="networks")
@click.argument("name", required=False, shell_complete=names_of(DANMNETS))
@with_options(namespace=True, all_namespaces=True)
def networks(options: Options, *, name: str | None) -> None:
    """Show DanmNets: whether they are valid, how full they are, and on which nodes they work.

    With a NAME, all there is to say of this one: conditions, ranges in use, each node's link.
    """
    options.refuse_name_of_all(name)
    scope = options.scope

    async def ask(session: Session) -> Report:
        if name is None:
            return await _all(session, scope)
        return await _one(session, scope.one(session), name)

    options.answer(ask)


async def _all(session: Session, scope: Scope) -> Report:
    notes = Notes()
    found = await reading.networks(session.api, notes, namespace=scope.listed(session))
    nodes = await _nodes(session, notes)
    views = view_networks(found, nodes)
    return report_networks(views, where=scope.where(session), notes=notes.all())


async def _one(session: Session, namespace: str, name: str) -> Report:
    notes = Notes()
    net = await reading.network(session.api, namespace, name)
    (view,) = view_networks([net], await _nodes(session, notes))
    return report_network(view, notes=notes.all())


async def _nodes(session: Session, notes: Notes) -> list[DanmNode]:
    return await notes.optional(
        f"Each node's links (danmnodes.{GROUP})",
        reading.nodes(session.api, notes),
        otherwise=[],
    )
