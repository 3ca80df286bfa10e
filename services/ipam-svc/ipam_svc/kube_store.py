"""The record in the Kubernetes API: DanmIPBlocks and the finalizers of DanmNets."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from danm_api import labels
from danm_api.codec.danmnet import decode_danmnet
from danm_api.codec.danmnet_update import without_finalizer
from danm_api.codec.ip_block import (
    as_stored,
    encode_end,
    encode_ip_block,
    read_ip_block,
    version_of,
)
from danm_api.errors import (
    ConflictError,
    DanmError,
    NetworkNotFoundError,
    NetworkNotReadyError,
    NotFoundError,
)
from danm_api.kube.api import DANMIPBLOCKS, DANMNETS, Answer, KubeApi, ObjectList, RawObject
from danm_api.kube.api_errors import is_too_old
from danm_api.model.danmnet import DanmNet
from danm_api.model.ip_block import IPBlock, UnreadableBlock
from danm_api.names import Namespace, NetworkName, NetworkUid
from ipam_svc import metrics
from ipam_svc.store import BlockList, KnownBlock, nothing_known

# The validator and the summary write a DanmNet now and then: more conflicts in a row than this are
# somebody else's fault.
_FINALIZER_TRIES: Final = 10

# A list is read in slices of some 3 ms, between which others get their turns. To read a full block
# takes some 0.7 ms, to find that it is known a sixteenth of that.
_SLICE: Final = 64
_COST_OF_KNOWN: Final = 1
_COST_OF_READING: Final = 16


class KubeStore:
    """A ``BlockStore`` on the Kubernetes API."""

    def __init__(self, api: KubeApi) -> None:
        """Use an API client."""
        self._api = api
        self._protecting: dict[NetworkUid, asyncio.Task[None]] = {}

    async def read_block(self, namespace: Namespace, name: str) -> IPBlock | UnreadableBlock:
        """Read one block consistently."""
        return read_ip_block(await self._api.get(DANMIPBLOCKS, name, namespace=namespace))

    async def create_block(self, block: IPBlock) -> IPBlock:
        """Create a block."""
        body = encode_ip_block(block)
        answer = await self._api.create(
            DANMIPBLOCKS, body, namespace=block.namespace, answer=Answer.METADATA
        )
        return as_stored(block, answer)

    async def write_block(self, block: IPBlock) -> IPBlock:
        """Replace a block, guarded by its resource_version."""
        body = encode_ip_block(block)
        answer = await self._api.replace(
            DANMIPBLOCKS, body, namespace=block.namespace, answer=Answer.METADATA
        )
        return as_stored(block, answer)

    async def remove_block(self, block: IPBlock) -> None:
        """Delete an empty block, unless it was written since it was read.

        A block in which only cooled addresses are left is empty too.
        """
        if not block.deleting:
            await self._api.delete(
                DANMIPBLOCKS,
                block.name,
                namespace=block.namespace,
                uid=block.uid,
                resource_version=block.resource_version,
            )
            marked = await self.read_block(block.namespace, block.name)
            if isinstance(marked, UnreadableBlock) or (
                marked.uid != block.uid or marked.entries != block.entries
            ):
                raise ConflictError(f"DanmIPBlock {block.namespace}/{block.name} is used again")
            block = marked
        if not block.is_going:
            block = await self.write_block(replace(block, entries=()))
        # By now nobody takes anything into it, so nothing is lost when the API server removes it
        # some time after it has looked at this write (decision 0024).
        await self._api.replace(DANMIPBLOCKS, encode_end(block), namespace=block.namespace)

    async def list_blocks(
        self,
        namespace: Namespace,
        network_uid: NetworkUid,
        *,
        known: KnownBlock = nothing_known,
    ) -> BlockList:
        """Read all blocks of a network consistently; one page of them is in its JSON form."""
        metrics.CONSISTENT_LISTS.inc()
        selector = f"{labels.NETWORK_UID}={network_uid}"
        pages = self._api.pages(DANMIPBLOCKS, namespace=namespace, label_selector=selector)
        try:
            return await _read_list(pages, known)
        except DanmError as error:
            if not is_too_old(error):
                raise
        # The pages' version was compacted meanwhile: all at once, then.
        whole = await self._api.list(DANMIPBLOCKS, namespace=namespace, label_selector=selector)
        return await _read_list(_one_page(whole), known)

    async def read_network(self, namespace: Namespace, name: NetworkName) -> DanmNet:
        """Read a DanmNet consistently."""
        try:
            return decode_danmnet(await self._api.get(DANMNETS, name, namespace=namespace))
        except NotFoundError as error:
            reason = (
                f"there is no DanmNet {namespace}/{name}; create it, or correct the name in the"
                " Pod's annotation"
            )
            raise NetworkNotFoundError(reason) from error

    async def list_networks(self) -> list[DanmNet]:
        """Read all DanmNets consistently."""
        found = []
        async with aclosing(self._api.pages(DANMNETS)) as pages:
            async for page in pages:
                found += [decode_danmnet(raw) for raw in page.items]
        return found

    async def protect_network(self, net: DanmNet) -> None:
        """Add the finalizer that keeps a DanmNet while it is in use.

        However many ask at once, one asks the API server: else the first Pods of a network would
        conflict with each other.
        """
        if labels.DANMNET_FINALIZER in net.finalizers:
            return
        task = self._protecting.get(net.uid)
        if task is None:
            task = self._protecting[net.uid] = asyncio.create_task(self._protect(net))
            task.add_done_callback(lambda _: self._protecting.pop(net.uid))
        # One caller that gives up must not take it away from the others.
        await asyncio.shield(task)

    async def _protect(self, net: DanmNet) -> None:
        where = f"DanmNet {net.namespace}/{net.name}"
        present = net
        for _ in range(_FINALIZER_TRIES):
            if present.uid != net.uid:
                raise NetworkNotFoundError(f"{where} was deleted and created anew; try again")
            if labels.DANMNET_FINALIZER in present.finalizers:
                return
            if present.deleting:
                raise NetworkNotReadyError(f"{where} is being deleted: it gives no new addresses")
            try:
                await self._add_finalizer(present)
                return
            except (ConflictError, NotFoundError):
                # Reading it says which: it was written, or it is gone.
                present = await self.read_network(net.namespace, net.name)
        raise ConflictError(f"{where} is being written all the time; try again")

    async def _add_finalizer(self, net: DanmNet) -> None:
        finalizers = [*net.finalizers, labels.DANMNET_FINALIZER]
        patch = {"metadata": {"finalizers": finalizers, "resourceVersion": net.resource_version}}
        await self._api.patch(DANMNETS, net.name, patch, namespace=net.namespace)

    async def release_network(self, raw: RawObject) -> None:
        """Take the finalizer away: nothing uses the DanmNet any more.

        A PUT, since the API server removes a deleted object in a second step: after a PUT it looks
        at the object's UID there, after a PATCH at nothing (docs/decisions/0024).

        Args:
            raw: The DanmNet as it was judged.

        Raises:
            ConflictError: Somebody wrote the DanmNet since it was read, or it was created anew.
            NotFoundError: It is gone.
        """
        namespace = raw["metadata"]["namespace"]
        await self._api.replace(DANMNETS, without_finalizer(raw), namespace=namespace)


async def _one_page(whole: ObjectList) -> AsyncGenerator[ObjectList, None]:
    yield whole


async def _read_list(pages: AsyncGenerator[ObjectList, None], known: KnownBlock) -> BlockList:
    blocks: list[IPBlock] = []
    unreadable: list[UnreadableBlock] = []
    version = ""
    cost = 0
    async with aclosing(pages):
        async for page in pages:
            version = page.resource_version
            for raw in page.items:
                block: IPBlock | UnreadableBlock | None = known(*version_of(raw))
                cost += _COST_OF_READING if block is None else _COST_OF_KNOWN
                block = block or read_ip_block(raw)
                if isinstance(block, IPBlock):
                    blocks.append(block)
                else:
                    unreadable.append(block)
                if cost >= _SLICE:
                    cost = 0
                    await asyncio.sleep(0)
    return BlockList(blocks=tuple(blocks), unreadable=tuple(unreadable), resource_version=version)
