"""Creating blocks: when a change needs one, or shortly before, so that it is there in time.

A new block costs two requests before its first entry can be written: it is created empty, and then
its DanmNet is read (decision 0005).
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from danm_api.errors import ApiError, ConflictError, DanmError, NotFoundError
from danm_api.model.ip_block import IPBlock
from danm_api.names import NetworkUid
from danm_api.telemetry import get_logger
from ipam_svc import metrics
from ipam_svc.address_space import Version
from ipam_svc.admission import Admissions
from ipam_svc.block_ref import BlockRef
from ipam_svc.ledger import Ledger
from ipam_svc.readings import block_id
from ipam_svc.store import BlockStore

_log = get_logger(__name__)

_Family = tuple[NetworkUid, Version]

# Nobody needs the block yet, and what refuses it is rarely over at once.
_PAUSE_S: Final = 5.0


class Openings:
    """Creates blocks and tells the ledger."""

    def __init__(
        self,
        *,
        store: BlockStore,
        ledger: Ledger,
        admissions: Admissions,
        clock: Callable[[], float],
    ) -> None:
        """Create in a store; ``clock`` gives monotonic seconds."""
        self._store = store
        self._ledger = ledger
        self._admissions = admissions
        self._clock = clock
        # One ahead for each family of a network: it is opened long before it is full.
        self._under_way: dict[_Family, tuple[BlockRef, asyncio.Task[None]]] = {}
        self._paused_until: dict[_Family, float] = {}

    async def create(self, block: IPBlock) -> IPBlock:
        """Create a block without entries and return it as it is stored.

        Raises:
            ConflictError: It exists.
            ApiError: No block can be created there.
        """
        try:
            created = await self._store.create_block(block)
        except NotFoundError as error:
            # Of a name that is free, so it is not the block: trying again would find the same.
            reason = (
                f"no DanmIPBlock can be created in namespace {block.namespace}: {error.reason}; is"
                " it gone, or the CustomResourceDefinition?"
            )
            raise ApiError(reason, status=HTTPStatus.NOT_FOUND) from error
        self._ledger.observe(created)
        self._ledger.contention.end(block_id(created))
        return created

    def may_begin(self, family: _Family) -> bool:
        """Say whether a block may be opened ahead: none is, and it did not fail just now."""
        return family not in self._under_way and (
            self._paused_until.get(family, self._clock()) <= self._clock()
        )

    def begin(self, ref: BlockRef) -> None:
        """Open a block in the background, if that may be done."""
        family = ref.family
        if not self.may_begin(family):
            return
        task = asyncio.create_task(self._open(ref), name=f"open {ref.name}")
        self._under_way[family] = ref, task
        task.add_done_callback(lambda _: self._under_way.pop(family))

    async def settled(self, ref: BlockRef) -> None:
        """Wait until nobody opens this block in the background."""
        opened, task = self._under_way.get(ref.family, (None, None))
        if task is not None and opened == ref:
            await asyncio.wait([task])

    def forget(self, family: _Family) -> None:
        """Drop what is remembered of a network."""
        self._paused_until.pop(family, None)

    async def close(self) -> None:
        """Wait for what is under way."""
        while self._under_way:
            await asyncio.wait([task for _, task in self._under_way.values()])

    async def _open(self, ref: BlockRef) -> None:
        try:
            created = await self.create(ref.new_block())
            await self._admissions.prepare(created)
        except ConflictError:
            # The watch will tell what is in it.
            self._ledger.contention.mark((ref.network_uid, ref.version, ref.start))
            metrics.OPENED_AHEAD.labels("exists").inc()
        except DanmError as error:
            # Nobody waits for this block: who needs one opens it, and hears why it cannot be done.
            _log.info("Could not open a block ahead", block=ref.name, error=error)
            self._paused_until[ref.family] = self._clock() + _PAUSE_S
            metrics.OPENED_AHEAD.labels("failed").inc()
        else:
            metrics.OPENED_AHEAD.labels("done").inc()
            known = self._ledger.get(ref.network_uid, ref.version, ref.start)
            if known is None or known.uid != created.uid:
                # It was removed meanwhile, and nobody will forget it once more.
                self._admissions.forget(created)
