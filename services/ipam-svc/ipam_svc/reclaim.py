"""Frees what nobody can give back himself. Run by the Lease holder (DESIGN, "IPAM").

Entries of nodes that are gone or declared lost, of external owners that expired, dead doubles, and
what requests have left pending; and blocks that have been empty for a while. Every removal acts on
exactly the entry that was judged: an attempt made since then is not touched. What fails keeps
nothing else from being freed, and is tried again in the next round.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from danm_api import labels
from danm_api.codec.danmep import decode_endpoint_identity
from danm_api.codec.node import decode_node
from danm_api.errors import ConflictError, DanmError, NotFoundError
from danm_api.kube.api import DANMEPS, NODES, KubeApi
from danm_api.model.addresses import IPAddress
from danm_api.model.danmep import EndpointIdentity
from danm_api.model.ip_block import ExternalOwner, Held, IPBlock
from danm_api.names import NetworkUid, NodeName
from danm_api.record.entries import has_expired, held_entries, is_abandoned
from danm_api.record.reasons import DOUBLE, EXPIRED, LOST_NODE, UNFINISHED, Reason
from danm_api.telemetry import get_logger
from ipam_svc import metrics
from ipam_svc.announcer import Announcer
from ipam_svc.block_change import GaveBack
from ipam_svc.block_ref import NetworkRef
from ipam_svc.ledger import Ledger
from ipam_svc.networks import NetworkCache, cooldown_of
from ipam_svc.readings import is_empty
from ipam_svc.steps import for_each
from ipam_svc.store import BlockStore
from ipam_svc.taking import Taker

_log = get_logger(__name__)

_TIMEOUT_S: Final = 10.0
# A block that Pods come to and go from is not made anew each time.
_EMPTY_S: Final = 30.0

# Many more would make whoever waits for an address wait longer. The write of a block carries all of
# its entries, up to 64: so the queues (see Committer) have room left too.
_WRITES_AT_ONCE: Final = 16
_NODES_AT_ONCE: Final = 8
_NETWORKS_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dead:
    """The dead entries of one block."""

    block: IPBlock
    entries: Sequence[tuple[Held, Reason]]


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
        announcer: Announcer,
        known_nodes: Callable[[], Iterable[NodeName] | None],
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
            announcer: Tells of what is freed.
            known_nodes: The nodes that are there and in service, by a watch; None before they have
                been read.
            now: The time that expiries are compared with.
            clock: Monotonic seconds.
        """
        self._api = api
        self._store = store
        self._ledger = ledger
        self._cache = cache
        self._taker = taker
        self._announcer = announcer
        self._known_nodes = known_nodes
        self._now = now
        self._clock = clock
        self._writes = asyncio.Semaphore(_WRITES_AT_ONCE)
        self._scanned: dict[NetworkUid, int] = {}
        # By network and block: versions in which nothing is dead, nor will be by itself.
        self._calm: dict[NetworkUid, dict[str, str]] = {}
        self._restless: set[NetworkUid] = set()
        # By network and block: since when there is nothing in it.
        self._empty_since: dict[NetworkUid, dict[str, float]] = {}
        self._suspects: set[NodeName] = set()
        self._knows_nodes_of_endpoints = False

    def begin(self) -> None:
        """Prepare for the rounds of a replica that begins to lead.

        A node may have gone while nobody led, with interfaces that have no address.
        """
        self._knows_nodes_of_endpoints = False

    @property
    def empty_blocks(self) -> int:
        """Return of how many blocks it is remembered since when they are empty."""
        return sum(map(len, self._empty_since.values()))

    def suspect(self, node: NodeName) -> None:
        """Look at a node in the next round: it may be lost, and have DanmEps without address."""
        self._suspects.add(node)

    async def reconcile(self) -> None:
        """Free what is dead by now; call it every few seconds."""
        # Without them every node would have to be asked for, of an API server that answers no list.
        if (present := self._known_nodes()) is not None:
            await self._free_lost_nodes(set(present))
        await for_each(self._ledger.networks(), self._look_through, at_once=_NETWORKS_AT_ONCE)
        known = self._scanned.keys() | self._calm.keys() | self._empty_since.keys()
        for uid in known - self._ledger.networks():
            self._scanned.pop(uid, None)
            self._calm.pop(uid, None)
            self._empty_since.pop(uid, None)
            self._restless.discard(uid)

    async def _free_lost_nodes(self, present: Collection[NodeName]) -> None:
        if not self._knows_nodes_of_endpoints:
            self._knows_nodes_of_endpoints = await self._attempt(
                self._suspect_nodes_of_endpoints(present)
            )
        absent = {node for node in self._ledger.nodes() if node not in present}
        await for_each(self._suspects | absent, self._try_node, at_once=_NODES_AT_ONCE)

    async def free_node(self, node: NodeName) -> None:
        """Free a node's entries and delete its DanmEps, if it is gone or declared lost.

        The API server is asked, not the watch: a node that may still run Pods keeps all it has.
        """
        # Noted before that: when the answer is read, by a Lease holder that was frozen, the node
        # may be back with other Pods.
        dead = [
            _Dead(
                block=block,
                entries=[(held, LOST_NODE) for held in held_entries(block) if held.node == node],
            )
            for block in self._ledger.node_blocks(node)
        ]
        endpoints = await self._endpoints_of(node)
        if not await self._is_lost(node):
            return
        await for_each(dead, self._free, at_once=_WRITES_AT_ONCE)
        await for_each(endpoints, self._delete_endpoint, at_once=_WRITES_AT_ONCE)

    async def _suspect_nodes_of_endpoints(self, present: Collection[NodeName]) -> None:
        async with aclosing(self._api.pages(DANMEPS)) as pages:
            async for page in pages:
                nodes = {decode_endpoint_identity(raw).node for raw in page.items}
                # One that was made by hand may name no node.
                self._suspects |= nodes.difference(present, [NodeName("")])

    async def _try_node(self, node: NodeName) -> None:
        # Before it is asked about: it may be lost while the answer is on its way.
        self._suspects.discard(node)
        if not await self._attempt(self.free_node(node), node=node):
            self._suspects.add(node)

    async def _attempt(self, work: Awaitable[None], **keys: object) -> bool:
        """Do a part of a round and say whether it worked; what fails is tried again in the next."""
        try:
            await work
            return True
        except DanmError as error:
            _log.warning("Could not free what is dead", **keys, error=error)
        except Exception as error:  # noqa: BLE001  (one odd object must not keep the others)
            _log.exception("Could not free what is dead", **keys, error=error)
        metrics.RECLAIM_FAILURES.inc()
        return False

    async def _is_lost(self, node: NodeName) -> bool:
        try:
            return decode_node(await self._api.get(NODES, node)).out_of_service
        except NotFoundError:
            return True

    async def _endpoints_of(self, node: NodeName) -> list[EndpointIdentity]:
        found = await self._api.list(
            DANMEPS, label_selector=f"{labels.NODE}={labels.label_value(node)}"
        )
        endpoints = map(decode_endpoint_identity, found.items)
        # A long name's label is a hash.
        return [endpoint for endpoint in endpoints if endpoint.node == node]

    async def _delete_endpoint(self, endpoint: EndpointIdentity) -> None:
        try:
            async with self._writes:
                await self._api.delete(
                    DANMEPS,
                    endpoint.name,
                    namespace=endpoint.namespace,
                    uid=endpoint.uid,
                    resource_version=endpoint.resource_version,
                )
        except (ConflictError, NotFoundError):
            # It is gone, or somebody, so the node too, is alive.
            return
        net = self._cache.find(endpoint.namespace, endpoint.network)
        self._announcer.deleted(
            NetworkRef(
                namespace=endpoint.namespace,
                name=endpoint.network,
                uid=NetworkUid("") if net is None else net.uid,
            ),
            endpoint,
        )

    async def _look_through(self, uid: NetworkUid) -> None:
        revision = self._ledger.network_revision(uid)
        if self._scanned.get(uid) == revision and uid not in self._restless:
            return
        if await self._attempt(self._scan(uid), network_uid=uid):
            self._scanned[uid] = revision

    async def _scan(self, uid: NetworkUid) -> None:
        """Look through one network; it is restless while something there will change by itself."""
        blocks = self._ledger.blocks_of(uid)
        now = self._now()
        self._restless.discard(uid)
        doubles = {each.address for each in self._ledger.dead_doubles(uid)}
        last, calm = self._calm.get(uid, {}), dict[str, str]()
        self._calm[uid] = calm
        dead: list[_Dead] = []
        changed: list[IPBlock] = []
        for block in blocks:
            if not doubles and last.get(block.uid) == block.resource_version:
                calm[block.uid] = block.resource_version
                continue
            changed.append(block)
            entries = list(_dead_of(block, doubles, now))
            if entries:
                dead.append(_Dead(block=block, entries=entries))
            elif _may_die(block):
                self._restless.add(uid)
            elif held_entries(block):
                calm[block.uid] = block.resource_version
        await for_each(dead, self._free, at_once=_WRITES_AT_ONCE)
        before = self._empty_since.pop(uid, {})
        for block in changed:
            if not held_entries(block):
                since = before.get(block.uid, self._clock())
                self._empty_since.setdefault(uid, {})[block.uid] = since
                await self._remove_if_quiet(block, since, now)

    async def _remove_if_quiet(self, block: IPBlock, since: float, now: datetime) -> None:
        self._restless.add(block.network_uid)
        # One that somebody has deleted is of no more use.
        quiet = block.deleting or self._clock() - since >= _EMPTY_S
        if not is_empty(block, now=now) or not quiet:
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
        _log.info("Removed an empty block", namespace=block.namespace, block=block.name)

    async def _free(self, dead: _Dead) -> None:
        """Free entries of a block all at once: one write carries them."""
        async with self._writes:
            await asyncio.gather(
                *(self._free_entry(dead.block, held, reason) for held, reason in dead.entries)
            )

    async def _free_entry(self, block: IPBlock, held: Held, reason: Reason) -> None:
        network = NetworkRef.of(block)
        net = self._cache.find(block.namespace, block.network)
        cooldown_s = 0 if net is None else cooldown_of(net)
        try:
            outcome = await self._taker.give_back(
                network,
                held,
                cooldown_s=cooldown_s,
                deadline=self._clock() + _TIMEOUT_S,
                pending=reason is UNFINISHED,
            )
        except DanmError as error:
            self._restless.add(block.network_uid)
            metrics.RECLAIM_FAILURES.inc()
            _log.warning("Could not free an address", address=str(held.address), error=error)
            return
        if isinstance(outcome, GaveBack):
            self._announcer.freed(network, held, reason)


def _dead_of(
    block: IPBlock, doubles: Collection[IPAddress], now: datetime
) -> Iterator[tuple[Held, Reason]]:
    for held in held_entries(block):
        if held.address in doubles:
            yield held, DOUBLE
        elif has_expired(held, now=now):
            yield held, EXPIRED
        elif is_abandoned(held, now=now):
            yield held, UNFINISHED


def _may_die(block: IPBlock) -> bool:
    """Say whether something there will be dead by the passing of time."""
    return any(
        held.is_pending
        or (isinstance(held.owner, ExternalOwner) and held.owner.expires is not None)
        for held in held_entries(block)
    )
