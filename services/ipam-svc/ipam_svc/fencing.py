"""Seeing to it that no write succeeds any more that was sent on an earlier reading."""

from collections.abc import Collection
from typing import Final

from danm_api.record.entries import held_entries
from ipam_svc.address_space import BLOCK_SIZE, Version, version_of
from ipam_svc.block_change import Fence
from ipam_svc.block_ref import BlockRef, NetworkRef
from ipam_svc.committer import Committer
from ipam_svc.ledger import Ledger
from ipam_svc.steps import for_each

# Many more would make whoever waits for an address wait longer.
_FENCES_AT_ONCE: Final = 16


async def fence(
    ledger: Ledger,
    committer: Committer,
    network: NetworkRef,
    families: Collection[Version],
    *,
    deadline: float,
) -> None:
    """Make writes lose that were sent on an earlier reading of a network's blocks.

    A full block takes no entry from such a write, and a new block is created without any (decision
    0005); so only blocks with room are written.

    Raises:
        DanmError: Not all blocks are known to be fenced.
    """
    refs = [
        network.block_of(block.cidr.network_address)
        for block in ledger.blocks_of(network.uid)
        if version_of(block.cidr.network_address) in families
        and not block.sealed
        and len(held_entries(block)) < BLOCK_SIZE
    ]

    async def fence_one(ref: BlockRef) -> None:
        await committer.commit(ref, Fence(), deadline=deadline)

    await for_each(refs, fence_one, at_once=_FENCES_AT_ONCE)
