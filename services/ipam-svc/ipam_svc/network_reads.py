"""Reading all blocks of one network into the ledger."""

from ipam_svc.block_ref import NetworkRef
from ipam_svc.ledger import Ledger
from ipam_svc.listed import take_in
from ipam_svc.store import BlockStore, KnownBlock, nothing_known


async def read_network(store: BlockStore, ledger: Ledger, network: NetworkRef) -> None:
    """Read a network's blocks consistently; what the ledger knows already is not decoded again.

    Raises:
        ApiUnavailableError: The API server did not answer.
    """
    before = ledger.newest_version(network.uid)
    known: KnownBlock = ledger.at_version
    while True:
        doubts = ledger.doubt_count
        found = await store.list_blocks(network.namespace, network.uid, known=known)
        if known is not nothing_known and before > int(found.resource_version):
            ledger.doubt_everything()
        if ledger.doubt_count == doubts and await take_in(ledger, network.uid, found):
            return
        # Versions of one history were taken for those of another, or may have been.
        known = nothing_known
