"""Giving entries back, also those that are dead and stand in the way of a request.

The Lease holder frees the same within seconds (``reclaim``); no request waits for that.
"""

from danm_api.model.ip_block import Cooling, Held, owner_key
from danm_api.record.reasons import DOUBLE, EXPIRED
from ipam_svc.address_space import AddressSpace
from ipam_svc.announcer import Announcer
from ipam_svc.block_change import GaveBack, GiveBack, NotHeld, Sweep, Swept
from ipam_svc.block_ref import BlockRef, NetworkRef
from ipam_svc.claim import Claim
from ipam_svc.committer import Committer
from ipam_svc.ledger import Ledger


async def give_back(
    committer: Committer,
    network: NetworkRef,
    held: Held,
    *,
    cooldown_s: int,
    deadline: float,
    pending: bool = False,
    cooled: Cooling | None = None,
) -> GaveBack | NotHeld:
    """Free an entry if it is still of this owner and attempt; and with ``pending``, if it is so.

    With ``cooled`` it cools at least as long as before it was taken.

    Raises:
        DanmError: The outcome is not known.
    """
    outcome = await committer.commit(
        network.block_of(held.address),
        GiveBack(
            key=owner_key(held.owner),
            attempt=held.attempt,
            address=held.address,
            cooldown_s=cooldown_s,
            pending=pending,
            cooled=cooled,
        ),
        deadline=deadline,
    )
    return outcome if isinstance(outcome, GaveBack | NotHeld) else NotHeld(holder=None)


class Clearing:
    """Frees dead entries."""

    def __init__(self, *, ledger: Ledger, committer: Committer, announcer: Announcer) -> None:
        """Work on the blocks of a ledger through a committer."""
        self._ledger = ledger
        self._committer = committer
        self._announcer = announcer

    async def free_double(self, network: NetworkRef, dead: Held, claim: Claim) -> None:
        """Free an entry whose owner has a newer one; it cools: it may have been in use until now.

        Raises:
            DanmError: The outcome is not known.
        """
        outcome = await give_back(
            self._committer,
            network,
            dead,
            cooldown_s=claim.cooldown_s,
            deadline=claim.deadline,
        )
        if isinstance(outcome, GaveBack):
            self._announcer.freed(network, dead, DOUBLE)

    async def sweep(self, network: NetworkRef, block: BlockRef, claim: Claim) -> None:
        """Free all of a block that its owners agreed to lose by now.

        Raises:
            DanmError: The outcome is not known.
        """
        outcome = await self._committer.commit(
            block, Sweep(cooldown_s=claim.cooldown_s), deadline=claim.deadline
        )
        for held in outcome.held if isinstance(outcome, Swept) else ():
            self._announcer.freed(network, held, EXPIRED)

    async def make_room(self, network: NetworkRef, space: AddressSpace, claim: Claim) -> bool:
        """Free what is dead on a network that has just been read, until a space has room.

        Returns:
            Whether there was anything; then what was read is no proof any more.

        Raises:
            DanmError: The outcome is not known.
        """
        doubles = self._ledger.dead_doubles(network.uid)
        for dead in doubles:
            await self.free_double(network, dead, claim)
        starts = self._ledger.to_be_swept(network.uid, space, cooldown_s=claim.cooldown_s)
        for start in starts:
            await self.sweep(network, network.block_at(space.version, start), claim)
            if self._ledger.room(network.uid, space, start) > 0:
                # Each write costs: the other blocks are for those who need more.
                break
        return bool(doubles or starts)
