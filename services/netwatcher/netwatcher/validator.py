"""Judges DanmNets and writes the verdicts (SPEC N1, N3, N5): one replica at a time, by Lease.

Verdicts are given one after the other. What this replica wrote counts at once for the next one,
before its own watch brings it back; a new leader begins with a consistent list. A spec claims what
it asks for in the API before it is accepted, and the Lease is looked at in between: a replica that
was frozen meanwhile accepts nothing any more. So two DanmNets that contradict each other are never
both accepted (decision 0022).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from danm_api.codec.danmnet import decode_danmnet
from danm_api.codec.danmnet_update import with_mark, with_status
from danm_api.errors import DanmError, NotFoundError
from danm_api.kube.api import DANMNETS, KubeApi, RawObject
from danm_api.kube.backoff import delay_after
from danm_api.kube.events import EventRecorder, EventType, reference_to
from danm_api.kube.informer import Change, Informer, ObjectKey
from danm_api.kube.workqueue import LeadersQueue, run_workers
from danm_api.model.danmnet import DanmNet, NetworkStatus
from danm_api.telemetry import get_logger
from danm_api.validation import hands_out_addresses
from netwatcher.applied import UNUSED, InForce, bring_into_force, depends_on_use, loses
from netwatcher.metrics import VERDICTS
from netwatcher.network_use import UseReader
from netwatcher.verdict import (
    Accepted,
    Refused,
    Verdict,
    claim_keys,
    is_settled,
    judge,
    keys_to_rivals,
    news,
    on_the_wire,
    only_words_differ,
    refused_for,
    refused_keys,
    status_after,
    status_meanwhile,
)

_log = get_logger(__name__)

# Names of the informer's indices.
BY_CLAIM: Final = "claim"
BY_REFUSED: Final = "refused"

# Who uses a network is not watched; while an edit waits for the last user it is asked this often,
# and of a network with thousands of users more seldom: a twentieth of the time is spent on it.
_USE_RECHECK_S: Final = 2.0
_USE_SHARE: Final = 20
_MAX_USE_RECHECK_S: Final = 60.0

# Other words for the same, such as who else uses a network meanwhile: every node reads them.
_WORDS_PERIOD: Final = timedelta(seconds=30)
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)

# Of the list that a new leader begins with.
_BASE_DELAY_S: Final = 0.1
_MAX_DELAY_S: Final = 5.0


class Validator:
    """The validator role."""

    def __init__(
        self,
        *,
        api: KubeApi,
        networks: Informer[DanmNet],
        use: UseReader,
        events: EventRecorder,
        confirm: Callable[[], Awaitable[None]],
        now: Callable[[], datetime],
        use_recheck_s: float = _USE_RECHECK_S,
    ) -> None:
        """Take the edges; ``networks`` has the indices BY_CLAIM and BY_REFUSED.

        ``confirm`` raises a DanmError unless this replica leads, by a consistent read.
        """
        self._api = api
        self._networks = networks
        self._use = use
        self._events = events
        self._confirm = confirm
        self._now = now
        self._use_recheck_s = use_recheck_s
        self._queue: LeadersQueue[ObjectKey] = LeadersQueue()
        # What was read or written and has not come by the watch yet.
        self._ahead: dict[ObjectKey, DanmNet] = {}
        self._told: dict[ObjectKey, datetime] = {}
        networks.subscribe_restore(self._ahead.clear)

    def on_network(self, change: Change[DanmNet]) -> None:
        """Judge a DanmNet that came or changed, and those for which it may have made way."""
        ahead = self._ahead.get(change.key)
        if change.new is None or (ahead is not None and not _is_newer(ahead, change.new)):
            self._ahead.pop(change.key, None)
        if change.new is None:
            self._told.pop(change.key, None)
        if not self._queue.is_open:
            return
        self._queue.add(change.key)
        for net in (change.old, change.new):
            for key in () if net is None else {*claim_keys(net), *refused_keys(net)}:
                for loser in self._networks.by_index(BY_REFUSED, key):
                    self._queue.add(_key(loser))

    async def lead(self) -> None:
        """Judge all DanmNets, and whatever changes, until cancelled."""
        self._ahead.clear()
        for net in await self._read_all():
            self._remember(net)
        known = {_key(net): net for net in (*self._networks.items(), *self._ahead.values())}
        # Those that were never judged are judged by age, whatever came by the watch before.
        with self._queue.opened() as queue:
            for net in sorted(known.values(), key=lambda n: (n.created, n.namespace, n.name)):
                queue.add(_key(net))
            await run_workers(queue, self.reconcile, concurrency=1, name="validator")

    async def reconcile(self, key: ObjectKey) -> None:
        """Bring a DanmNet's verdict up to date.

        Raises:
            DanmError: It has to be tried again.
        """
        net = self._untold().get(key) or self._networks.get(key)
        # The spec in force stays while a deleted network is still used (SPEC A5).
        if net is None or net.deleting:
            return
        verdict, in_force = await self._decide(net)
        status = self._status(net, verdict, in_force, net.generation)
        if status == net.status:
            return
        since = self._now() - self._told.get(key, _LONG_AGO)
        if since < _WORDS_PERIOD and only_words_differ(status, net.status):
            self._queue.add_after(key, (_WORDS_PERIOD - since).total_seconds())
            return
        try:
            raw = await self._api.get(DANMNETS, key.name, namespace=key.namespace)
        except NotFoundError:
            self._ahead.pop(key, None)
            return
        await self._write(raw)

    async def _read_all(self) -> list[DanmNet]:
        """Read all DanmNets consistently, however long the API server is away."""
        failures = 0
        while True:
            try:
                listed = await self._api.list(DANMNETS)
            except DanmError as error:
                failures += 1
                delay_s = delay_after(failures, base_s=_BASE_DELAY_S, max_s=_MAX_DELAY_S)
                _log.warning("Cannot list DanmNets", error=error, retry_in_s=delay_s)
                await asyncio.sleep(delay_s)
            else:
                return [decode_danmnet(raw) for raw in listed.items]

    async def _write(self, raw: RawObject) -> None:
        net = decode_danmnet(raw)
        if net.deleting:
            return
        verdict, in_force = await self._decide(net)
        raw = await self._mark(raw, verdict)
        claims, changes = _takes_away(net, verdict, in_force)
        fence = changes or (claims and self._has_neighbours(net, verdict))
        if claims or changes:
            status = status_meanwhile(
                net,
                claims=claims,
                changes=changes,
                generation=decode_danmnet(raw).generation,
                now=self._now(),
            )
            raw = await self._put_status(raw, status)
            # Whoever leads after this look begins with a list that has the claim.
            await self._confirm()
            verdict, in_force = await self._decide(net, fence=fence)
            raw = await self._mark(raw, verdict)
        status = self._status(net, verdict, in_force, decode_danmnet(raw).generation)
        if status != decode_danmnet(raw).status:
            raw = await self._put_status(raw, status)
        self._told[_key(net)] = self._now()
        VERDICTS.labels(verdict=type(verdict).__name__).inc()
        valid = isinstance(verdict, Accepted)
        _log.info("Judged DanmNet", namespace=net.namespace, name=net.name, valid=valid)
        await self._tell(raw, before=net.status, after=status)

    async def _mark(self, raw: RawObject, verdict: Verdict) -> RawObject:
        """Write the mark: before the status, which names the generation that the mark makes."""
        marked = with_mark(raw, valid=isinstance(verdict, Accepted))
        if marked == raw:
            return raw
        raw = await self._api.replace(DANMNETS, marked, namespace=decode_danmnet(raw).namespace)
        self._remember(decode_danmnet(raw))
        return raw

    async def _put_status(self, raw: RawObject, status: NetworkStatus) -> RawObject:
        raw = await self._api.replace(
            DANMNETS,
            with_status(raw, status),
            namespace=decode_danmnet(raw).namespace,
            subresource="status",
        )
        self._remember(decode_danmnet(raw))
        return raw

    def _has_neighbours(self, net: DanmNet, verdict: Verdict) -> bool:
        """Say whether somebody else may have addresses on the wire that a network asks for."""
        return isinstance(verdict, Accepted) and bool(
            on_the_wire(net, verdict.spec, self._rivals(net))
        )

    async def _decide(self, net: DanmNet, *, fence: bool = False) -> tuple[Verdict, InForce | None]:
        """Judge a network by who uses it; with ``fence`` the answer stays true."""
        verdict = judge(net, self._rivals(net))
        if isinstance(verdict, Accepted) and not is_settled(net):
            verdict = await self._judge_holders(net, verdict, fence=fence)
        match verdict:
            case Refused():
                return verdict, None
            case Accepted(spec=spec):
                applied = net.status.applied
                use, spent_s = UNUSED, 0.0
                if applied is not None and depends_on_use(applied, spec):
                    lost = partial(loses, applied, spec) if fence else None
                    asked_at = time.monotonic()
                    use = await self._use.use_of(net, fence=lost)
                    spent_s = time.monotonic() - asked_at
                in_force = bring_into_force(applied, spec, use)
                if in_force.waiting:
                    self._queue.add_after(_key(net), self._recheck_after(spent_s))
                return verdict, in_force

    def _recheck_after(self, spent_s: float) -> float:
        return max(self._use_recheck_s, min(spent_s * _USE_SHARE, _MAX_USE_RECHECK_S))

    async def _judge_holders(self, net: DanmNet, verdict: Accepted, *, fence: bool) -> Verdict:
        """Refuse a network whose pools have addresses that others hold (SPEC N1; DESIGN P1)."""
        spec = verdict.spec
        if not hands_out_addresses(spec):
            return verdict
        others = on_the_wire(net, spec, self._rivals(net))
        asked_at = time.monotonic()
        holders = await self._use.holders_in_pools(net, spec, others, fence=fence)
        spent_s = time.monotonic() - asked_at
        if not holders:
            return verdict
        # Who holds them is not watched.
        self._queue.add_after(_key(net), self._recheck_after(spent_s))
        return refused_for(holders, spec)

    def _rivals(self, net: DanmNet) -> Iterable[DanmNet]:
        found = {
            _key(rival): rival
            for key in keys_to_rivals(net)
            for rival in self._networks.by_index(BY_CLAIM, key)
        }
        # Few, and only for the moment: the rules themselves sort out who does not matter.
        return {**found, **self._untold()}.values()

    def _status(
        self, net: DanmNet, verdict: Verdict, in_force: InForce | None, generation: int
    ) -> NetworkStatus:
        return status_after(net, verdict, in_force, generation=generation, now=self._now())

    def _remember(self, net: DanmNet) -> None:
        known = self._networks.get(_key(net))
        if known is None or _is_newer(net, known):
            self._ahead[_key(net)] = net

    def _untold(self) -> Mapping[ObjectKey, DanmNet]:
        """Return what was read or written and has not come by the watch yet.

        What the watch has passed is gone where it knows none of the name: its end was told before
        the answer to our own request was read, and will not be told again.
        """
        passed = self._networks.version
        for key, net in list(self._ahead.items()):
            if int(net.resource_version) <= passed:
                del self._ahead[key]
        return self._ahead

    async def _tell(self, raw: RawObject, *, before: NetworkStatus, after: NetworkStatus) -> None:
        for condition in news(before, after):
            await self._events.record(
                reference_to(raw),
                type=EventType.NORMAL if condition.status else EventType.WARNING,
                reason=condition.reason,
                message=condition.message,
            )


def _takes_away(net: DanmNet, verdict: Verdict, in_force: InForce | None) -> tuple[bool, bool]:
    """Say whether a verdict takes rights from others, and from the network itself.

    Then neither ipam-svc nor another validator may go on by what it has read before (decisions
    0010, 0022).
    """
    if not isinstance(verdict, Accepted) or in_force is None:
        return False, False
    applied = net.status.applied
    changes = (
        applied is not None and applied != in_force.spec and depends_on_use(applied, in_force.spec)
    )
    return bool(keys_to_rivals(net)) and not is_settled(net), changes


def _key(net: DanmNet) -> ObjectKey:
    return ObjectKey(namespace=net.namespace, name=net.name)


def _is_newer(one: DanmNet, other: DanmNet) -> bool:
    # Versions of one resource grow as numbers (Kubernetes 1.35 says so, and etcd always did so).
    return int(one.resource_version) > int(other.resource_version)
