"""Frees what nobody can give back himself. Run by the Lease holder (DESIGN, "IPAM").

Entries of nodes that are gone or declared lost, of external owners that expired, dead doubles; and
blocks that have been empty for a while. Every removal acts on exactly the entry that was judged: an
attempt made since then is not touched.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from danm_api import labels
from danm_api.codec.danmep import decode_danmep
from danm_api.codec.node import decode_node
from danm_api.errors import ConflictError, DanmError, NotFoundError
from danm_api.kube.api import DANMEPS, NODES, KubeApi, RawObject
from danm_api.kube.events import EventRecorder, EventType, ObjectReference
from danm_api.model.ip_block import Held, IPBlock
from danm_api.names import API_VERSION, NetworkUid, NodeName
from danm_api.telemetry import get_logger
from ipam_svc import metrics
from ipam_svc.block import (
    GaveBack,
    describe_owner,
    has_expired,
    held_entries,
    is_empty,
)
from ipam_svc.ledger import Ledger
from ipam_svc.networks import NetworkCache, cooldown_of
from ipam_svc.owners import dead_doubles
from ipam_svc.store import BlockStore
from ipam_svc.taking import NetworkRef, Taker

_log = get_logger(__name__)

_TIMEOUT_S: Final = 10.0
# A block that Pods come to and go from is not made anew each time.
_EMPTY_S: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reason:
    """Why entries are freed: the metric's label, and the sentence."""

    label: str
    event: str
    sentence: str


_LOST_NODE: Final = _Reason(
    label="lost_node",
    event="FreedAddressOfLostNode",
    sentence="its node is gone or declared out of service",
)
_EXPIRED: Final = _Reason(
    label="expired", event="FreedExpiredAddress", sentence="its owner's time is over"
)
_DOUBLE: Final = _Reason(
    label="double", event="FreedDeadAddress", sentence="its owner has a newer one"
)


class Reclaimer:
    """Looks for dead entries and frees them."""

    def __init__(
        self,
        api: KubeApi,
        *,
        store: BlockStore,
        ledger: Ledger,
        cache: NetworkCache,
        taker: Taker,
        events: EventRecorder,
        known_nodes: Callable[[], Iterable[NodeName]],
        now: Callable[[], datetime],
        clock: Callable[[], float],
    ) -> None:
        """Work on the blocks of a ledger.

        Args:
            api: For nodes and DanmEps.
            store: Where blocks are removed.
            ledger: What is known of the blocks.
            cache: What is known of the DanmNets.
            taker: Gives entries back.
            events: Tells the owners of DanmNets.
            known_nodes: The nodes that are there and in service, by a watch.
            now: The time that expiries are compared with.
            clock: Monotonic seconds.
        """
        self._api = api
        self._store = store
        self._ledger = ledger
        self._cache = cache
        self._taker = taker
        self._events = events
        self._known_nodes = known_nodes
        self._now = now
        self._clock = clock
        self._scanned: dict[NetworkUid, int] = {}
        self._restless: set[NetworkUid] = set()
        self._empty_since: dict[str, float] = {}

    async def reconcile(self) -> None:
        """Free what is dead by now; call it every few seconds."""
        await self._free_lost_nodes()
        for uid in self._ledger.networks():
            revision = self._ledger.network_revision(uid)
            if self._scanned.get(uid) != revision or uid in self._restless:
                await self._scan(uid)
                self._scanned[uid] = revision
        for uid in self._scanned.keys() - self._ledger.networks():
            del self._scanned[uid]
            self._restless.discard(uid)

    async def free_node(self, node: NodeName) -> None:
        """Free a node's entries and delete its DanmEps, if it is gone or declared lost.

        The API server is asked, not the watch: a node that may still run Pods keeps all it has.
        """
        # Noted before that: when the answer is read, by a Lease holder that was frozen, the node
        # may be back with other Pods.
        entries = [
            (block, held)
            for block in self._ledger.node_blocks(node)
            for held in held_entries(block)
            if held.node == node
        ]
        endpoints = await self._endpoints_of(node)
        if not await self._is_lost(node):
            return
        for block, held in entries:
            await self._free(block, held, _LOST_NODE)
        for raw in endpoints:
            await self._delete_endpoint(raw, node)

    async def _free_lost_nodes(self) -> None:
        present = set(self._known_nodes())
        for node in self._ledger.nodes():
            if node not in present:
                try:
                    await self.free_node(node)
                except DanmError as error:
                    _log.warning("Could not free a lost node", node=node, error=error)

    async def _is_lost(self, node: NodeName) -> bool:
        try:
            return decode_node(await self._api.get(NODES, node)).out_of_service
        except NotFoundError:
            return True

    async def _endpoints_of(self, node: NodeName) -> list[RawObject]:
        found = await self._api.list(
            DANMEPS, label_selector=f"{labels.NODE}={labels.label_value(node)}"
        )
        # A long name's label is a hash.
        return [raw for raw in found.items if decode_danmep(raw).node == node]

    async def _delete_endpoint(self, raw: RawObject, node: NodeName) -> None:
        metadata = raw["metadata"]
        try:
            await self._api.delete(
                DANMEPS,
                metadata["name"],
                namespace=metadata["namespace"],
                uid=metadata["uid"],
                resource_version=metadata["resourceVersion"],
            )
        except (ConflictError, NotFoundError):
            # It is gone, or somebody, so the node too, is alive.
            return
        _log.info(
            "Deleted DanmEp of a lost node",
            namespace=metadata["namespace"],
            name=metadata["name"],
            node=node,
        )

    async def _scan(self, uid: NetworkUid) -> None:
        """Look through one network; it is restless while something there will change by itself."""
        blocks = self._ledger.blocks_of(uid)
        now = self._now()
        self._restless.discard(uid)
        by_address = {
            held.address: (block, held) for block in blocks for held in held_entries(block)
        }
        for dead in dead_doubles(blocks):
            block, held = by_address[dead.address]
            await self._free(block, held, _DOUBLE)
        for block, held in by_address.values():
            if has_expired(held, now=now):
                await self._free(block, held, _EXPIRED)
            elif has_expired(held, now=datetime.max.replace(tzinfo=now.tzinfo)):
                self._restless.add(uid)
        for block in blocks:
            await self._remove_if_empty(block, now)

    async def _remove_if_empty(self, block: IPBlock, now: datetime) -> None:
        if held_entries(block):
            self._empty_since.pop(block.uid, None)
            return
        self._restless.add(block.network_uid)
        since = self._empty_since.setdefault(block.uid, self._clock())
        if not is_empty(block, now=now) or self._clock() - since < _EMPTY_S:
            return
        try:
            await self._store.remove_block(block)
        except NotFoundError:
            # The watch may have told so before the answer to the write that let it go.
            self._ledger.forget(block)
            return
        except ConflictError:
            # Somebody uses it again: the watch tells.
            return
        except DanmError as error:
            _log.warning("Could not remove an empty block", block=block.name, error=error)
            return
        self._empty_since.pop(block.uid, None)
        _log.info("Removed an empty block", namespace=block.namespace, block=block.name)

    async def _free(self, block: IPBlock, held: Held, why: _Reason) -> None:
        network = NetworkRef.of(block)
        net = self._cache.find(block.namespace, block.network)
        cooldown_s = 0 if net is None else cooldown_of(net)
        try:
            outcome = await self._taker.give_back(
                network, held, cooldown_s=cooldown_s, deadline=self._clock() + _TIMEOUT_S
            )
        except DanmError as error:
            self._restless.add(block.network_uid)
            _log.warning("Could not free an address", address=str(held.address), error=error)
            return
        if not isinstance(outcome, GaveBack):
            return
        metrics.RECLAIMED.labels(why.label).inc()
        owner = describe_owner(held.owner)
        _log.info(
            "Freed an address",
            namespace=block.namespace,
            network=block.network,
            address=str(held.address),
            owner=owner,
            node=held.node,
            reason=why.label,
        )
        await self._events.record(
            ObjectReference(
                api_version=API_VERSION,
                kind="DanmNet",
                namespace=block.namespace,
                name=block.network,
                uid=block.network_uid,
            ),
            type=EventType.NORMAL,
            reason=why.event,
            message=f"freed {held.address} of {owner}: {why.sentence}",
        )
