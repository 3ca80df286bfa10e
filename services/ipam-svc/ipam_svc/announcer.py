"""Tells of what is freed without its owner: a metric and a log line for each, Events together."""

import asyncio
from collections import defaultdict
from contextlib import suppress
from typing import Final

from danm_api.kube.events import EventRecorder, EventType, reference_to_network
from danm_api.model.danmep import EndpointIdentity
from danm_api.model.ip_block import Held
from danm_api.names import NodeName
from danm_api.record.entries import describe_owner
from danm_api.record.reasons import LOST_NODE, Reason
from danm_api.telemetry import get_logger
from ipam_svc import metrics
from ipam_svc.block_ref import NetworkRef
from ipam_svc.freed import DELETED_ENDPOINT, tell_addresses, tell_endpoints

_log = get_logger(__name__)

# One Event tells what was freed in this time.
GATHER_S: Final = 2.0


class Announcer:
    """Counts and logs at once; gathers for a while what one Event may tell.

    Whoever frees waits for no Event, and the API server gets few of them.
    """

    def __init__(self, events: EventRecorder, *, gather_s: float = GATHER_S) -> None:
        """Write Events with a recorder, so long after the first news."""
        self._events = events
        self._gather_s = gather_s
        self._closing = asyncio.Event()
        self._telling: asyncio.Task[None] | None = None
        self._addresses: defaultdict[tuple[NetworkRef, Reason, NodeName], list[Held]] = defaultdict(
            list
        )
        self._endpoints: defaultdict[tuple[NetworkRef, NodeName], list[EndpointIdentity]] = (
            defaultdict(list)
        )

    def freed(self, network: NetworkRef, held: Held, reason: Reason) -> None:
        """Note an address that was freed."""
        metrics.RECLAIMED.labels(reason.label).inc()
        _log.info(
            "Freed an address",
            namespace=network.namespace,
            network=network.name,
            address=str(held.address),
            owner=describe_owner(held.owner),
            node=held.node,
            reason=reason.label,
        )
        node = held.node if reason is LOST_NODE else NodeName("")
        self._addresses[network, reason, node].append(held)
        self._tell_soon()

    def deleted(self, network: NetworkRef, endpoint: EndpointIdentity) -> None:
        """Note a DanmEp of a lost node that was deleted."""
        metrics.ENDPOINTS_DELETED.inc()
        _log.info(
            "Deleted DanmEp of a lost node",
            namespace=network.namespace,
            network=network.name,
            name=endpoint.name,
            pod=endpoint.pod,
            interface=endpoint.interface,
            node=endpoint.node,
        )
        self._endpoints[network, endpoint.node].append(endpoint)
        self._tell_soon()

    async def tell(self) -> None:
        """Write the Events of what was noted since the last time."""
        addresses = dict(self._addresses)
        endpoints = dict(self._endpoints)
        self._addresses.clear()
        self._endpoints.clear()
        for (network, reason, _), freed in addresses.items():
            await self._record(network, reason.event, tell_addresses(reason, freed))
        for (network, _), deleted in endpoints.items():
            await self._record(network, DELETED_ENDPOINT, tell_endpoints(deleted))

    async def close(self) -> None:
        """Write what is left."""
        self._closing.set()
        if self._telling is not None:
            await asyncio.wait((self._telling,))

    def _tell_soon(self) -> None:
        if self._telling is None:
            self._telling = asyncio.create_task(self._gather())

    async def _gather(self) -> None:
        try:
            while self._addresses or self._endpoints:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._gather_s):
                        await self._closing.wait()
                await self.tell()
        finally:
            self._telling = None

    async def _record(self, network: NetworkRef, event: str, message: str) -> None:
        await self._events.record(
            reference_to_network(namespace=network.namespace, name=network.name, uid=network.uid),
            type=EventType.NORMAL,
            reason=event,
            message=message,
        )
