"""``services``: why an endpoint is or is not in."""

import click

from danm_api.codec.endpoint_slice import (
    MANAGED_BY_LABEL,
    SERVICE_NAME_LABEL,
    decode_endpoint_slice,
)
from danm_api.codec.service import decode_service
from danm_api.errors import NotFoundError
from danm_api.kube.api import ENDPOINT_SLICES, SERVICES
from danm_api.membership.endpoints import SLICES_MANAGED_BY
from danm_api.model.endpoint_slice import EndpointSlice
from danm_api.model.service import Service
from kubectl_danm import reading
from kubectl_danm.completing import names_of
from kubectl_danm.connection import Session
from kubectl_danm.options import Options, Scope, with_options
from kubectl_danm.reading import Notes, read_all
from kubectl_danm.view.events import latest_warnings
from kubectl_danm.view.report import Report
from kubectl_danm.view.services import ServiceView, Surroundings, all_of, is_ours, view_service
from kubectl_danm.view.services_report import report_service, report_services


@click.command(name="services")
@click.argument("name", required=False, shell_complete=names_of(SERVICES))
@with_options(namespace=True, all_namespaces=True)
def services(options: Options, *, name: str | None) -> None:
    """Show Services that carry DANM's annotations.

    With a NAME, why each Pod that could be meant is or is not an endpoint: selector, network,
    readiness, termination, missing DanmEp; and whether svcwatcher has written it.
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
    listed = scope.listed(session)
    ours = await read_all(
        session.api, SERVICES, decode_service, notes, namespace=listed, keep=is_ours
    )
    views: list[ServiceView] = []
    # Namespace by namespace, so that never more than one is in memory.
    for namespace in sorted({service.namespace for service in ours}):
        around = await _around(session, notes, namespace)
        views += all_of((each for each in ours if each.namespace == namespace), around)
    return report_services(tuple(views), where=scope.where(session), notes=notes.all())


async def _one(session: Session, namespace: str, name: str) -> Report:
    notes = Notes()
    service = await _service(session, namespace, name)
    around = await _around(session, notes, namespace, service=name)
    events = await notes.optional(
        "Events (the last errors)",
        reading.events_about(session.api, notes, kind="Service", namespace=namespace, name=name),
        otherwise=[],
    )
    errors = latest_warnings(events, {service.uid})
    return report_service(view_service(service, around), errors, notes=notes.all())


async def _service(session: Session, namespace: str, name: str) -> Service:
    try:
        return decode_service(await session.api.get(SERVICES, name, namespace=namespace))
    except NotFoundError as error:
        raise NotFoundError(
            f"There is no Service {name} in namespace {namespace}; kubectl danm services -n"
            f" {namespace} lists those with DANM's annotations, and -n names another namespace"
        ) from error


async def _around(
    session: Session, notes: Notes, namespace: str, *, service: str | None = None
) -> Surroundings:
    """Read what decides about the Services of a namespace, and what was written for them."""
    api = session.api
    networks = await reading.networks(api, notes, namespace=namespace)
    endpoints = await reading.endpoints(api, notes, namespace=namespace)
    pods = await reading.pods(api, notes, namespace=namespace)
    slices = await _slices(session, notes, namespace, service)
    return Surroundings(
        pods=pods,
        endpoints=endpoints,
        networks={net.name: net for net in networks},
        slices=slices,
    )


async def _slices(
    session: Session, notes: Notes, namespace: str, service: str | None
) -> list[EndpointSlice]:
    selector = f"{MANAGED_BY_LABEL}={SLICES_MANAGED_BY}"
    if service is not None:
        selector += f",{SERVICE_NAME_LABEL}={service}"
    return await read_all(
        session.api,
        ENDPOINT_SLICES,
        decode_endpoint_slice,
        notes,
        namespace=namespace,
        label_selector=selector,
    )
