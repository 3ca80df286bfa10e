"""Writes the DanmNode of this node (SPEC N6).

One write tells about all networks, only when something changed, and at most one a second: nobody
waits for it but people and the validator's sum. Every few minutes the same is written once more,
which changes nothing for anybody unless somebody has deleted or changed the object meanwhile, such
as the netwatcher that this one replaced.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final

from danm_api.codec.danm_node import encode_danm_node_of, encode_danm_node_status
from danm_api.codec.meta import decode_metadata
from danm_api.errors import ConflictError, DanmError, NotFoundError
from danm_api.kube.api import DANMNODES, NODES, KubeApi
from danm_api.model.danm_node import DanmNode, NodeNetwork
from danm_api.names import NodeName
from danm_api.telemetry import get_logger

_log = get_logger(__name__)

_MIN_INTERVAL_S: Final = 1.0
_RETRY_S: Final = 5.0
# 5,000 nodes make 17 requests a second by it.
_AGAIN_S: Final = 300.0


class NodeStatusWriter:
    """Keeps one DanmNode equal to what ``networks`` returns."""

    def __init__(
        self,
        *,
        api: KubeApi,
        node: NodeName,
        networks: Callable[[], tuple[NodeNetwork, ...]],
        now: Callable[[], datetime],
        min_interval_s: float = _MIN_INTERVAL_S,
        retry_s: float = _RETRY_S,
        again_s: float = _AGAIN_S,
    ) -> None:
        self._api = api
        self._node = node
        self._networks = networks
        self._now = now
        self._min_interval_s = min_interval_s
        self._retry_s = retry_s
        self._again_s = again_s
        self._changed = asyncio.Event()
        self._written: tuple[NodeNetwork, ...] | None = None

    def changed(self) -> None:
        """Say that ``networks`` may return something else now."""
        self._changed.set()

    async def run(self) -> None:
        """Write now and after each change until cancelled."""
        self._changed.set()
        while True:
            again = False
            try:
                async with asyncio.timeout(self._again_s):
                    await self._changed.wait()
            except TimeoutError:
                again = True
            self._changed.clear()
            pause_s = self._min_interval_s
            try:
                await self.write(again=again)
            except DanmError as error:
                _log.warning("Cannot write DanmNode", node=self._node, error=error)
                self._changed.set()
                pause_s = self._retry_s
            await asyncio.sleep(pause_s)

    async def write(self, *, again: bool = False) -> None:
        """Write what is true now, unless it was written already; with ``again`` even so.

        Raises:
            DanmError: The API server did not take it.
        """
        networks = self._networks()
        news = networks != self._written
        if not news and not again:
            return
        # Without a new time the API server finds nothing to store, and tells nobody.
        updated = self._now() if news else None
        node = DanmNode(name=self._node, networks=networks, updated=updated)
        try:
            await self._patch(node)
        except NotFoundError:
            await self._create(node)
            await self._patch(node)
        self._written = networks

    async def _patch(self, node: DanmNode) -> None:
        # Nobody else writes it, so there is nothing to guard.
        patch = encode_danm_node_status(node)
        await self._api.patch(DANMNODES, self._node, patch, subresource="status")

    async def _create(self, node: DanmNode) -> None:
        owner = decode_metadata(await self._api.get(NODES, self._node))
        try:
            await self._api.create(DANMNODES, encode_danm_node_of(node, node_uid=owner.uid))
        except ConflictError:
            # The other netwatcher of a rolling update was quicker.
            _log.info("DanmNode exists already", node=self._node)
