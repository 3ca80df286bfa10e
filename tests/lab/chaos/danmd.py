"""A node as ipam-svc knows it: its danmd, with a journal of what it has asked for.

It does what danmd does with addresses, and nothing with interfaces.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from danm_api.errors import DanmError
from danm_api.ipam_api import AttachmentRequest, PodOwnerMessage
from tests.lab.chaos.caller import TIMEOUT_S, Caller

# DESIGN, "Nodes fence".
PERIOD_S: Final = 10.0


@dataclass(slots=True, kw_only=True)
class Sandbox:
    """What the journal has of one Pod.

    Attributes:
        attempt: The last one that was sent; of the answer once there is one.
        added: Whether it has its addresses.
    """

    owner: PodOwnerMessage
    attachments: Sequence[AttachmentRequest]
    attempt: int = 0
    added: bool = False


@dataclass(slots=True, kw_only=True)
class Danmd:
    """One node's danmd.

    Attributes:
        node: The node's name.
        journal: By the Pods' UIDs.
        lost: The node is declared lost: others free what it has.
    """

    node: str
    caller: Caller
    lost: bool = False
    journal: dict[str, Sandbox] = field(default_factory=dict)

    async def add(
        self, owner: PodOwnerMessage, attachments: Sequence[AttachmentRequest], *, fresh: bool
    ) -> bool:
        """Make a sandbox, or make it anew; return whether that was answered.

        A failed one leaves nothing, unless the Pod had addresses before (SPEC C3). A node that is
        lost makes none.
        """
        if self.lost:
            return False
        sandbox = self.journal.setdefault(owner.uid, Sandbox(owner=owner, attachments=attachments))

        def note(attempt: int) -> None:
            sandbox.attempt = attempt

        outcome = await self.caller.reserve(
            owner, attachments, node=self.node, fresh=fresh, note=note
        )
        if outcome.answer == "held":
            sandbox.attempt = outcome.attempt
            sandbox.added = True
        elif not sandbox.added:
            await self.delete(owner.uid)
        return outcome.answer == "held"

    async def delete(self, uid: str) -> None:
        """Give back what a Pod has, and forget it."""
        sandbox = self.journal[uid]
        await self.caller.release_for_sure(
            sandbox.owner,
            sandbox.attachments,
            attempt=sandbox.attempt,
            node=self.node,
            gives_up=lambda: self.lost,
        )
        del self.journal[uid]

    async def compare_for_ever(self) -> None:
        """Release what the record has of this node and the journal has not, every 10 s."""
        while True:
            await asyncio.sleep(PERIOD_S)
            try:
                await self.compare()
            except DanmError:
                # The next time, then.
                continue

    async def compare(self) -> None:
        """Release what the record has of this node and the journal has not.

        Raises:
            DanmError: The record could not be read.
        """
        entries = await self.caller.client.node_reservations(
            self.node, deadline=time.monotonic() + TIMEOUT_S
        )
        for entry in entries.items:
            owner = entry.owner
            if isinstance(owner, PodOwnerMessage) and owner.uid not in self.journal:
                lost = AttachmentRequest(network=entry.network, interface=entry.interface)
                await self.caller.release(owner, [lost], attempt=entry.attempt, node=self.node)
