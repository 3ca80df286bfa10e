"""Ends what an examination has found dead, by the rules of give-back (DESIGN, "IPAM").

Each step acts on exactly what was judged, in the version that was judged, and is judged anew by the
write itself: an attempt that was made since is not touched. What is freed is told as when the Lease
holder frees it.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final, assert_never

from danm_api.codec.node import decode_node
from danm_api.errors import ConflictError, DanmError, NotFoundError
from danm_api.kube.api import DANMEPS, NODES, KubeApi
from danm_api.kube.events import EventRecorder
from danm_api.model.ip_block import IPBlock
from danm_api.names import NodeName
from danm_api.record.diagnosis import Action, DeleteEndpoint, FreeEntry, RemoveBlock
from danm_api.telemetry import get_logger
from ipam_svc.announcer import Announcer
from ipam_svc.block_change import GaveBack
from ipam_svc.block_ref import NetworkRef
from ipam_svc.clearing import give_back
from ipam_svc.committer import Committer
from ipam_svc.kube_store import KubeStore
from ipam_svc.ledger import Ledger

_log = get_logger(__name__)

_TIMEOUT_S: Final = 10.0
# Who did it, in Events: no replica.
_INSTANCE: Final = "fsck"


class Repairer:
    """Carries actions out."""

    def __init__(
        self,
        api: KubeApi,
        *,
        now: Callable[[], datetime],
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        """Write through an API client; ``sleep`` waits between tries."""
        self._api = api
        self._clock = clock
        self._store = KubeStore(api)
        self._ledger = Ledger(now=now)
        self._committer = Committer(
            store=self._store, ledger=self._ledger, now=now, clock=clock, sleep=sleep
        )
        self._announcer = Announcer(
            EventRecorder(api, component="ipam-svc", instance=_INSTANCE, clock=clock, now=now)
        )

    async def run(self, action: Action) -> bool:
        """Carry one action out; return False when it may not be, or failed.

        Whatever is dead and stays is freed by ipam-svc or found by the next examination.
        """
        try:
            match action:
                case FreeEntry():
                    return await self._free(action)
                case DeleteEndpoint():
                    return await self._delete(action)
                case RemoveBlock(block=block):
                    return await self._remove(block)
        except DanmError as error:
            _log.warning("Could not repair", error=error)
            return False
        assert_never(action)

    async def tell(self) -> None:
        """Write the Events of what was freed."""
        await self._announcer.close()

    async def _free(self, action: FreeEntry) -> bool:
        if action.lost_node is not None and not await self._is_lost(action.lost_node):
            return False
        self._ledger.observe(action.block)
        network = NetworkRef.of(action.block)
        outcome = await give_back(
            self._committer,
            network,
            action.held,
            cooldown_s=action.cooldown_s,
            deadline=self._clock() + _TIMEOUT_S,
        )
        if not isinstance(outcome, GaveBack):
            return False
        self._announcer.freed(network, action.held, action.reason)
        return True

    async def _delete(self, action: DeleteEndpoint) -> bool:
        endpoint = action.endpoint
        if not await self._is_lost(endpoint.node):
            return False
        try:
            await self._api.delete(
                DANMEPS,
                endpoint.name,
                namespace=endpoint.namespace,
                resource_version=endpoint.resource_version,
            )
        except (ConflictError, NotFoundError):
            return False
        network = NetworkRef(
            namespace=endpoint.namespace, name=endpoint.network, uid=action.network_uid
        )
        self._announcer.deleted(network, endpoint.identity)
        return True

    async def _remove(self, block: IPBlock) -> bool:
        try:
            await self._store.remove_block(block)
        except (ConflictError, NotFoundError):
            return False
        return True

    async def _is_lost(self, node: NodeName) -> bool:
        try:
            return decode_node(await self._api.get(NODES, node)).out_of_service
        except NotFoundError:
            return True
