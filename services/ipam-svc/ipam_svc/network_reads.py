"""Reading all blocks of one network into the ledger."""

from ipam_svc.block_ref import NetworkRef
from ipam_svc.ledger import Ledger
from ipam_svc.listed import take_in
from ipam_svc.store import BlockStore, KnownBlock, nothing_known


class NetworkReads:
    """Reads networks consistently; what the ledger knows already is not decoded again."""

    def __init__(self, store: BlockStore, ledger: Ledger) -> None:
        """Read from a store into a ledger."""
        self._store = store
        self._ledger = ledger

    async def read(self, network: NetworkRef) -> None:
        """Read a network's blocks.

        Raises:
            ApiUnavailableError: The API server did not answer.
        """
        before = self._ledger.newest_version(network.uid)
        known: KnownBlock = self._ledger.at_version
        while True:
            doubts = self._ledger.doubt_count
            found = await self._store.list_blocks(network.namespace, network.uid, known=known)
            if known is not nothing_known and before > int(found.resource_version):
                self._ledger.doubt_everything()
            if self._ledger.doubt_count == doubts and await take_in(
                self._ledger, network.uid, found
            ):
                return
            # Versions of one history were taken for those of another, or may have been.
            known = nothing_known
