"""Creating blocks: when a change needs one, or shortly before, so that nobody waits for it.

A new block costs two requests before its first entry can be written: it is created empty, and then
its DanmNet is read (decision 0005).
"""

import asyncio

from danm_api.errors import ConflictError, DanmError
from danm_api.model.ip_block import IPBlock
from danm_api.telemetry import get_logger
from ipam_svc.admission import Admissions
from ipam_svc.block_ref import BlockRef
from ipam_svc.ledger import Ledger, block_id
from ipam_svc.store import BlockStore

_log = get_logger(__name__)


class Openings:
    """Creates blocks and tells the ledger."""

    def __init__(self, *, store: BlockStore, ledger: Ledger, admissions: Admissions) -> None:
        """Create in a store."""
        self._store = store
        self._ledger = ledger
        self._admissions = admissions
        self._tasks: dict[BlockRef, asyncio.Task[None]] = {}

    async def create(self, block: IPBlock) -> IPBlock:
        """Create a block without entries and return it as it is stored.

        Raises:
            ConflictError: It exists.
        """
        created = await self._store.create_block(block)
        self._ledger.observe(created)
        self._ledger.contention.end(block_id(created))
        return created

    def begin(self, ref: BlockRef) -> None:
        """Open a block in the background, if nobody does so already."""
        if ref in self._tasks:
            return
        task = asyncio.create_task(self._open(ref), name=f"open {ref.name}")
        self._tasks[ref] = task
        task.add_done_callback(lambda _: self._tasks.pop(ref))

    async def settled(self, ref: BlockRef) -> None:
        """Wait until nobody opens a block in the background."""
        task = self._tasks.get(ref)
        if task is not None:
            await asyncio.wait([task])

    async def close(self) -> None:
        """Wait for what is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks.values())

    async def _open(self, ref: BlockRef) -> None:
        try:
            await self._admissions.prepare(await self.create(ref.new_block()))
        except ConflictError:
            # The watch will tell what is in it.
            self._ledger.contention.mark((ref.network_uid, ref.version, ref.start))
        except DanmError as error:
            # Nobody waits for this block: who needs one opens it, and hears why it cannot be done.
            _log.debug("Could not open a block ahead", block=ref.name, error=error)
