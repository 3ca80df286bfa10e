"""``pod``: the interfaces, addresses, routes and delegates of a Pod, and what went wrong."""

import asyncio

import click

from danm_api.kube.api import PODS
from danm_api.model.danmnet import DanmNet
from danm_api.model.observed_event import ObservedEvent
from kubectl_danm import reading
from kubectl_danm.completing import names_of
from kubectl_danm.connection import Session
from kubectl_danm.options import Options, with_options
from kubectl_danm.reading import Notes
from kubectl_danm.view.pod import networks_of, report_pod, view_pod
from kubectl_danm.view.report import Report


@click.command(name="pod")
@click.argument("name", shell_complete=names_of(PODS))
@with_options(namespace=True)
def pod(options: Options, *, name: str) -> None:
    """Show a Pod's networks: what it asks for, what it has, how it is routed, its last errors."""

    async def ask(session: Session) -> Report:
        return await _look(session, options.scope.one(session), name)

    options.answer(ask)


async def _look(session: Session, namespace: str, name: str) -> Report:
    notes = Notes()
    api = session.api
    found = await reading.pod(api, namespace, name)
    endpoints = await reading.endpoints_of_pod(
        api, notes, namespace=namespace, uid=found.runtime_uid
    )
    wanted = sorted(networks_of(found, endpoints))
    networks = await notes.optional(
        "The DanmNets of the Pod (routes, links, whether they are valid)",
        _networks(session, namespace, wanted),
        otherwise={},
    )
    events = await notes.optional(
        "Events (the last errors)",
        _events(session, notes, namespace, name, list(networks)),
        otherwise=[],
    )
    return report_pod(view_pod(found, endpoints, networks, events), notes=notes.all())


async def _networks(session: Session, namespace: str, names: list[str]) -> dict[str, DanmNet]:
    found = await asyncio.gather(
        *(reading.network_if_any(session.api, namespace, name) for name in names)
    )
    return {net.name: net for net in found if net is not None}


async def _events(
    session: Session, notes: Notes, namespace: str, pod_name: str, networks: list[str]
) -> list[ObservedEvent]:
    about = [("Pod", pod_name), *(("DanmNet", name) for name in networks)]
    found = await asyncio.gather(
        *(
            reading.events_about(session.api, notes, kind=kind, namespace=namespace, name=name)
            for kind, name in about
        )
    )
    return [event for events in found for event in events]
