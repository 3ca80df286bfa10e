"""One replica without its edges: what it knows, and what it does with it."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from datetime import datetime
from typing import Final

from danm_api.codec.danmnet import decode_danmnet
from danm_api.codec.ip_block import read_ip_block, version_of
from danm_api.errors import OverloadedError
from danm_api.kube.api import DANMIPBLOCKS, DANMNETS, KubeApi, RawObject
from danm_api.kube.events import EventRecorder
from danm_api.kube.informer import Change, Informer, ObjectKey
from danm_api.model.danmnet import DanmNet, NetworkSpec
from danm_api.model.ip_block import IPBlock, UnreadableBlock
from danm_api.names import Namespace, NetworkName
from danm_api.telemetry import get_logger
from danm_api.validation.wire import claims
from ipam_svc import metrics
from ipam_svc.announcer import GATHER_S, Announcer
from ipam_svc.committer import Committer
from ipam_svc.kube_store import KubeStore
from ipam_svc.ledger import Ledger
from ipam_svc.networks import Networks, links_of
from ipam_svc.possession import Possessions
from ipam_svc.readings import block_id, is_newer
from ipam_svc.releases import Releases
from ipam_svc.reservations import Reservations
from ipam_svc.taking import Taker

_log = get_logger(__name__)

# How long a request waits for the watch, and how often it looks.
_REACH_S: Final = 2.0
_REACH_STEP_S: Final = 0.01

# The index of DanmNets by the links that they hang on.
_BY_LINK = "link"


class InformedNetworks:
    """A ``NetworkCache`` on an informer."""

    def __init__(self, informer: Informer[DanmNet]) -> None:
        """Use an informer that has the index of ``network_informer``."""
        self._informer = informer
        self._revision = 0
        informer.subscribe(self._note)

    def _note(self, change: Change[DanmNet]) -> None:
        # All else of a status is written now and then, of each network that is used.
        if _bond(change.old) != _bond(change.new):
            self._revision += 1

    @property
    def revision(self) -> int:
        """A number that changes with what any DanmNet claims."""
        return self._revision

    def find(self, namespace: Namespace, name: NetworkName) -> DanmNet | None:
        """Return a DanmNet by name."""
        return self._informer.get(ObjectKey(namespace=namespace, name=name))

    def on_link(self, link: str) -> Collection[DanmNet]:
        """Return the DanmNets that hang on a link of the nodes, or whose own link hangs on it."""
        return self._informer.by_index(_BY_LINK, link)

    def all(self) -> Collection[DanmNet]:
        """Return every DanmNet."""
        return self._informer.items()


class Replica:
    """Everything of one replica but its edges.

    Attributes:
        store: The record.
        ledger: What is known of the blocks.
        cache: What the watch knows of the DanmNets.
        networks: Finds DanmNets and judges them.
        committer: Writes blocks.
        announcer: Tells what is freed without its owner.
        taker: Takes addresses and gives entries back.
        reservations: Reserves.
        releases: Releases.
        possessions: Judges what nodes claim.
    """

    def __init__(
        self,
        api: KubeApi,
        *,
        events: EventRecorder,
        now: Callable[[], datetime],
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        gather_s: float = GATHER_S,
    ) -> None:
        """Put the parts together.

        Args:
            api: The API server.
            events: Tells the owners of DanmNets what was freed.
            now: The time that entries carry.
            clock: Monotonic seconds.
            sleep: Waits between tries.
            gather_s: How long news of freed addresses are gathered for one Event.
        """
        self._clock = clock
        self._sleep = sleep
        self._nets = Informer(
            api, DANMNETS, decode_danmnet, indexers={_BY_LINK: _links}, sleep=sleep
        )
        self._blocks = Informer(
            api, DANMIPBLOCKS, self._decode_block, list_after_outage=True, sleep=sleep
        )
        self.store = KubeStore(api)
        self.ledger = Ledger(now=now)
        self.cache = InformedNetworks(self._nets)
        self.networks = Networks(cache=self.cache, store=self.store)
        self.committer = Committer(
            store=self.store, ledger=self.ledger, now=now, clock=clock, sleep=sleep
        )
        self.announcer = Announcer(events, gather_s=gather_s)
        self.taker = Taker(
            store=self.store,
            ledger=self.ledger,
            committer=self.committer,
            announcer=self.announcer,
            clock=clock,
        )
        self.reservations = Reservations(
            networks=self.networks, store=self.store, taker=self.taker, clock=clock, now=now
        )
        self.releases = Releases(
            networks=self.networks, ledger=self.ledger, taker=self.taker, clock=clock
        )
        self.possessions = Possessions(taker=self.taker, ledger=self.ledger, clock=clock)
        self._blocks.subscribe_restore(self.ledger.doubt_everything)
        self._blocks.subscribe(self._on_block)

    @property
    def synced(self) -> bool:
        """Whether the blocks and the DanmNets have been read once."""
        return self._nets.synced and self._blocks.synced

    async def run(self) -> None:
        """Follow the API server until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._nets.run())
            group.create_task(self._blocks.run())

    async def wait_synced(self, timeout_s: float | None) -> None:
        """Wait until the blocks and the DanmNets have been read once; None waits for ever.

        Raises:
            DeadlineExceededError: They were not read within ``timeout_s``.
        """
        await self._nets.wait_synced(timeout_s)
        await self._blocks.wait_synced(timeout_s)

    async def reach(self, revision: int) -> None:
        """Wait until the watch of the blocks has come to a resourceVersion: milliseconds.

        Raises:
            OverloadedError: It stays behind.
        """
        deadline = self._clock() + _REACH_S
        while self._blocks.version < revision:
            if self._clock() >= deadline:
                raise OverloadedError(
                    "this replica does not know yet what the page before shows; ask again"
                )
            await self._sleep(_REACH_STEP_S)

    async def close(self) -> None:
        """Wait for what is under way to end."""
        await self.reservations.close()
        await self.committer.close()
        await self.announcer.close()

    def on_network_change(self, handler: Callable[[Change[DanmNet]], None]) -> None:
        """Call a handler for each change of a DanmNet."""
        self._nets.subscribe(handler)

    def _decode_block(self, raw: RawObject) -> IPBlock | UnreadableBlock:
        """Read a block; what this replica wrote itself it need not read again."""
        return self.ledger.at_version(*version_of(raw)) or read_ip_block(raw)

    def _on_block(self, change: Change[IPBlock | UnreadableBlock]) -> None:
        if change.new is not None and change.old is not None and is_newer(change.old, change.new):
            # Only an etcd that was restored from a backup has an older one than it had before.
            self.ledger.forget(change.old)
        match change.new:
            case IPBlock() as block:
                if change.old is None and self._blocks.synced:
                    self._note_new(block)
                self.ledger.observe(block)
            case UnreadableBlock() as odd:
                if not isinstance(change.old, UnreadableBlock) or change.old.reason != odd.reason:
                    _log.error("Left a DanmIPBlock out of use", block=odd.name, reason=odd.reason)
                self.ledger.observe_unreadable(odd)
            case None if change.old is not None:
                self.ledger.forget(change.old)
        if change.new is None and isinstance(change.old, IPBlock):
            self.committer.forget(change.old)
        metrics.UNREADABLE_BLOCKS.set(len(self.ledger.unreadable))

    def _note_new(self, block: IPBlock) -> None:
        """Leave a block that another replica has just opened to it, while there are others."""
        identity = block_id(block)
        if self.ledger.get(*identity) is None:
            self.ledger.contention.mark(identity)


def _bond(net: DanmNet | None) -> object:
    """Return what others on a DanmNet's wire are bound by."""
    return None if net is None else (net.uid, claims(net))


def _links(net: DanmNet) -> Iterable[str]:
    """Return the links of what a DanmNet asks and of what is in force."""
    specs = (spec for spec in (net.spec, net.status.applied) if isinstance(spec, NetworkSpec))
    return frozenset(link for spec in specs for link in links_of(spec))
