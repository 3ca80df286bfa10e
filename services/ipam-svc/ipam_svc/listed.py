"""Taking a consistent list of a network's blocks into the ledger."""

import asyncio
from typing import Final

from danm_api.model.ip_block import IPBlock, UnreadableBlock
from danm_api.names import NetworkUid
from ipam_svc.ledger import Ledger
from ipam_svc.store import BlockList

# Some 3 ms, if none of them was known.
_AT_ONCE: Final = 16


async def take_in(ledger: Ledger, uid: NetworkUid, found: BlockList) -> bool:
    """Make the ledger know what a list says; others get their turns meanwhile.

    What the list lacks is gone, unless it was created after the list. What it has is so, even where
    a later version was known: then etcd was restored from a backup.

    Returns:
        Whether that was done; not so when the API server's history turns out to have gone back, and
        the list may be of what never happened.
    """
    doubts = ledger.doubt_count
    as_of = int(found.resource_version)
    listed: list[IPBlock | UnreadableBlock] = [*found.blocks, *found.unreadable]
    for number, block in enumerate(listed, start=1):
        ledger.observe_listed(block, as_of=as_of)
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)
            if ledger.doubt_count != doubts:
                return False
    ledger.forget_unlisted(uid, {block.name for block in listed}, as_of=as_of)
    return True
