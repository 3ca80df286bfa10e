"""Telling again what the API server has forgotten (DESIGN, "Nodes fence").

An etcd that was restored from a backup knows less than the nodes: their interfaces exist, so their
addresses are claimed again, and their DanmEps created again. Where somebody else has an address by
now, or the Pod is gone, the interface goes: a node that was declared lost and comes back has Pods
that were made anew elsewhere.
"""

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import msgspec

from danm_api.errors import AddressTakenError, PodNotFoundError
from danm_api.ipam_api import AttachmentRequest
from danm_api.model.danmep import DanmEp
from danm_api.names import ContainerId, InterfaceName, Namespace, NodeName, PodName, PodUid
from danm_api.telemetry import get_logger
from danm_cni.claims import is_final
from danm_cni.concurrency import all_of
from danm_cni.edges import AddressService, EndpointStore, PodSource
from danm_cni.endpoints import recorded_endpoint
from danm_cni.journal import InterfaceRecord, Journal, SandboxRecord
from danm_cni.metrics import ENDPOINTS_RESTORED
from danm_cni.news import CLAIMED, AddressNews, of_interface
from danm_cni.removal import SandboxRemoval, owner_of
from danm_cni.request import PodIdentity

log = get_logger(__name__)

_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reassertion:
    """Claims addresses and creates DanmEps again; the caller holds the sandbox's locks."""

    node: NodeName
    journal: Journal
    endpoints: EndpointStore
    addresses: AddressService
    pods: PodSource
    removal: SandboxRemoval
    news: AddressNews

    async def restore(self, container_id: ContainerId, endpoints: Collection[str]) -> None:
        """Create DanmEps of a sandbox, by their names, unless the Pod is on its way out.

        Raises:
            DanmError: The API server did not answer, or refused.
        """
        record = self.journal.existing(container_id)
        try:
            pod = await self.pods.find(_identity(record))
        except PodNotFoundError:
            return
        if pod.deleting or pod.ended:
            return
        await all_of(
            self._restore(recorded_endpoint(record, each, pod=pod, node=self.node))
            for each in record.interfaces
            if each.endpoint in endpoints
        )

    async def _restore(self, endpoint: DanmEp) -> None:
        if await self.endpoints.restore(endpoint):
            ENDPOINTS_RESTORED.inc()
            log.warning("Restored forgotten DanmEp", pod=endpoint.pod, name=endpoint.name)

    async def claim(self, container_id: ContainerId, forgotten: Collection[str]) -> None:
        """Claim the addresses of interfaces of a sandbox of which some are forgotten.

        Raises:
            DanmError: ipam-svc did not answer, or its refusal is not final.
        """
        for each in self.journal.existing(container_id).interfaces:
            if each.reserved and not each.addresses.isdisjoint(forgotten):
                await self._claim(container_id, each, forgotten)

    async def _claim(
        self, container_id: ContainerId, interface: InterfaceRecord, forgotten: Collection[str]
    ) -> None:
        record = self.journal.existing(container_id)
        wanted = AttachmentRequest(
            network=interface.network,
            interface=interface.interface,
            ip=interface.ip or "none",
            ip6=interface.ip6 or "none",
        )
        try:
            answer = await self.addresses.reserve(
                owner_of(record),
                [wanted],
                deadline_s=time.monotonic() + _TIMEOUT_S,
                note_attempt=lambda attempt: self.journal.remember_attempt(
                    container_id, [interface.interface], attempt
                ),
                fresh=False,
            )
        except (AddressTakenError, PodNotFoundError) as error:
            if not is_final(error, owner_of(record)):
                raise
            await self._give_up(record, interface, error)
            return
        claimed = msgspec.structs.replace(
            interface, attempt=answer.attempt, network_uid=answer.attachments[0].network_uid
        )
        await self.journal.change(
            container_id, InterfaceName(interface.interface), lambda _: claimed
        )
        self.news.note(
            CLAIMED,
            [each for each in of_interface(record, claimed) if each.address in forgotten],
        )

    async def _give_up(
        self,
        record: SandboxRecord,
        interface: InterfaceRecord,
        error: AddressTakenError | PodNotFoundError,
    ) -> None:
        await self.removal.drop(record, interface)
        await self.news.lost(
            of_interface(record, interface),
            owner_of(record),
            error,
            message=(
                f"interface {interface.interface} was taken down: ipam-svc has forgotten that it "
                f"had its address, and somebody else has it now ({error.reason}); delete the Pod "
                "to get a new one"
            ),
        )


def _identity(record: SandboxRecord) -> PodIdentity:
    return PodIdentity(
        namespace=Namespace(record.namespace),
        name=PodName(record.pod),
        uid=PodUid(record.pod_uid),
    )
