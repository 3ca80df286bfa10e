"""ipam-svc as danmd uses it: for the Pods of its node, with attempts out of its journal."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

from danm_api.ipam_api import (
    AttachmentRequest,
    OwnerMessage,
    ReleaseAnswer,
    ReleaseRequest,
    Reservation,
    ReserveAnswer,
    ReserveRequest,
)
from danm_api.ipam_client import IpamClient
from danm_api.names import NodeName
from danm_cni.attempts import AttemptCounter

_LIST_TIMEOUT_S: Final = 5.0


class NodeAddresses:
    """ipam-svc for this node's Pods and containers; every send carries a new attempt."""

    def __init__(self, client: IpamClient, *, node: NodeName, attempts: AttemptCounter) -> None:
        """Ask through a client."""
        self._client = client
        self._node = node
        self._attempts = attempts

    async def reserve(
        self,
        owner: OwnerMessage,
        attachments: Sequence[AttachmentRequest],
        *,
        deadline_s: float,
        note_attempt: Callable[[int], None],
        fresh: bool,
        via_fakeipam: bool = False,
    ) -> ReserveAnswer:
        """Reserve all or nothing; every send carries a new attempt, which is noted before.

        Raises:
            DanmError: As ipam-svc says, or IpamUnavailableError.
        """

        async def next_attempt(above: int = 0) -> int:
            attempt = await asyncio.to_thread(self._attempts.next_attempt, above=above)
            note_attempt(attempt)
            return attempt

        request = ReserveRequest(
            owner=owner,
            attempt=await next_attempt(),
            attachments=list(attachments),
            node=self._node,
            timeout_s=deadline_s - time.monotonic(),
            fresh=fresh,
            via_fakeipam=via_fakeipam,
        )
        return await self._client.reserve(request, deadline=deadline_s, next_attempt=next_attempt)

    async def release(self, request: ReleaseRequest, *, deadline_s: float) -> ReleaseAnswer:
        """Give back what an owner holds under exactly that attempt; nothing there is no error."""
        return await self._client.release(request, deadline=deadline_s)

    async def node_reservations(self) -> Sequence[Reservation]:
        """Return all entries of this node."""
        listed = await self._client.node_reservations(
            self._node, deadline=time.monotonic() + _LIST_TIMEOUT_S
        )
        return listed.items
