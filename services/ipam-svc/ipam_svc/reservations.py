"""Reserving: the attachments of one owner at once, all or nothing (SPEC I2).

Whatever fails, only entries that this very attempt made are given back: one that the owner had
before may be that of a live interface (DESIGN, P3).
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from danm_api import labels
from danm_api.codec.attachment import encode_ip_request
from danm_api.errors import (
    DanmError,
    DeadlineExceededError,
)
from danm_api.ipam_api import AttachmentAnswer
from danm_api.model.addresses import IPAddress, IPNetwork
from danm_api.model.attachment import IPv4Request, IPv6Request
from danm_api.model.ip_block import Cooling, ExternalOwner, Held, Owner
from danm_api.names import NetworkName
from danm_api.record.entries import GIVE_BACK_S
from danm_api.telemetry import get_logger
from danm_api.validation import wire_text
from ipam_svc.address_space import Version
from ipam_svc.allocator import (
    AnyOf,
    Exactly,
    Nothing,
    Wish4,
    Wish6,
    Wishes,
    wishes,
)
from ipam_svc.attaching import Item, take_ipv4, take_ipv6
from ipam_svc.block_ref import NetworkRef
from ipam_svc.claim import Claim
from ipam_svc.networks import Networks, ReadyNetwork, refused_to_fakeipam
from ipam_svc.orders import ReserveOrder
from ipam_svc.request_rules import refusal, violation
from ipam_svc.steps import all_of, leaves_doubt
from ipam_svc.store import BlockStore
from ipam_svc.taking import Taker

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """An entry that a failed request made, and how long its address cools without it."""

    held: Held
    cooldown_s: int = 0
    cooled: Cooling | None = None


class Reservations:
    """Reserves addresses."""

    def __init__(
        self,
        *,
        networks: Networks,
        store: BlockStore,
        taker: Taker,
        clock: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        """Reserve on networks through a taker."""
        self._networks = networks
        self._store = store
        self._taker = taker
        self._clock = clock
        self._now = now
        self._background: set[asyncio.Task[None]] = set()

    async def reserve(
        self, order: ReserveOrder, *, on_take: Callable[[], None] = lambda: None
    ) -> list[AttachmentAnswer]:
        """Take all that an order asks and return it in the order's sequence.

        When this is cancelled nobody hears the answer, and what is new is given back.

        Args:
            order: What is asked.
            on_take: Called before anything is taken: what fails earlier takes no effect later.

        Raises:
            DanmError: Something cannot be had; then nothing new is held.
        """
        work = asyncio.create_task(self._reserve(order, on_take))
        try:
            # A write that is under way can only be undone when it is known how it ended.
            items = await asyncio.shield(work)
        except asyncio.CancelledError:
            _ = self._in_background(self._abandon(work))
            raise
        return [_answer(item) for item in sorted(items, key=lambda item: item.asked.index)]

    async def _abandon(self, work: "asyncio.Task[list[Item]]") -> None:
        with suppress(DanmError):
            await self._undo(await work, look=False)

    def _in_background(self, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    async def _reserve(self, order: ReserveOrder, on_take: Callable[[], None]) -> list[Item]:
        for asked in order.attachments:
            if _has_expired(asked.owner, now=self._now()):
                raise refusal([violation("owner.expires", "lies in the past; choose a later time")])
        items = await self._prepare(order, deadline=self._clock() + order.timeout_s)
        # What fails here has taken nothing yet, so there is nothing to look for and to give back.
        await self._look_first(order, items)
        for item in items:
            made = self._taker.made_by(item.ref, item.claim)
            item.known = frozenset(held.address for held in made)
        on_take()
        try:
            await self._take(items)
            await self._confirm(items)
        except BaseException as error:
            look = leaves_doubt(error)
            undo = self._in_background(self._undo(items, look=look))
            if isinstance(error, DanmError):
                # Who asks again at the answer must not meet the leftovers of this attempt.
                await asyncio.shield(undo)
            raise
        for item in items:
            for took in item.took:
                await self._taker.drop_older(item.ref, item.claim, took.held, item.left)
        return items

    async def _confirm(self, items: Sequence[Item]) -> None:
        """Say of what owners have beside other addresses that it is theirs: all else is taken."""
        await all_of(
            [
                self._taker.confirm(item.ref, took.held, deadline=item.claim.deadline)
                for item in items
                for took in item.took
                if took.held.is_pending
            ]
        )

    async def close(self) -> None:
        """Wait for what failed reservations still give back."""
        while self._background:
            await asyncio.wait(self._background)

    async def _prepare(self, order: ReserveOrder, *, deadline: float) -> list[Item]:
        """Judge everything by the rules before anything is taken; sort by network."""
        ready: dict[NetworkName, ReadyNetwork] = {}
        for name in sorted({asked.network for asked in order.attachments}):
            ready[name] = await self._networks.ready(order.namespace, name)
            if order.via_fakeipam and not ready[name].spec.fakeipam:
                raise refused_to_fakeipam(order.namespace, name)
        items = []
        for asked in sorted(order.attachments, key=lambda each: (each.network, each.index)):
            network = ready[asked.network]
            claim = Claim(
                owner=asked.owner,
                node=order.node,
                attempt=order.attempt,
                deadline=deadline,
                keep_only=network.net.deleting,
                cooldown_s=network.spec.cooldown_s,
                basis=network.spec,
            )
            wanted = wishes(
                network.net,
                network.spec,
                asked.ip,
                asked.ip6,
                shares_wire=network.shares_wire,
                prefix=f"attachments[{asked.index}].",
            )
            items.append(
                Item(
                    asked=asked,
                    network=network,
                    ref=NetworkRef.of(network.net),
                    wishes=wanted,
                    claim=claim,
                )
            )
        return items

    async def _look_first(self, order: ReserveOrder, items: Sequence[Item]) -> None:
        """Make each network ready to be used, and find what earlier sends may have left there.

        Raises:
            DeadlineExceededError: It took too long; nothing is taken yet.
        """
        tracked = [item for item in items if _is_tracked(item.wishes)]
        unprotected = {
            item.ref: item.network.net
            for item in tracked
            if not item.claim.keep_only
            and labels.DANMNET_FINALIZER not in item.network.net.finalizers
        }
        unseen = {
            item.ref
            for item in tracked
            if not order.fresh
            and not self._taker.knows(item.ref, item.claim, _tracked_families(item.wishes))
        }
        if not (unprotected or unseen):
            return
        try:
            async with asyncio.timeout(order.timeout_s):
                await all_of(
                    [
                        *(self._store.protect_network(net) for net in unprotected.values()),
                        *(self._taker.refresh(ref) for ref in unseen),
                    ]
                )
        except TimeoutError as error:
            reason = f"the networks could not be read within {order.timeout_s:g} s"
            raise DeadlineExceededError(reason) from error

    async def _take(self, items: Sequence[Item]) -> None:
        """Take all that is wished, on networks in canonical order where somebody may lack it."""
        plentiful: list[Sequence[Item]] = []
        for _, items_of_network in groupby(items, key=lambda item: item.asked.network):
            group = list(items_of_network)
            if all(self._is_plentiful(item) for item in group):
                plentiful.append(group)
                continue
            # Two batches that want the last addresses of the same networks meet at the first one,
            # rather than each taking what the other lacks.
            await self._take_on_network(group)
        # After those: what fails there has written nothing here.
        await all_of([self._take_on_network(group) for group in plentiful])

    def _is_plentiful(self, item: Item) -> bool:
        """Say whether nobody else can want just the addresses that an attachment gets."""
        return all(
            (
                self._taker.has_plenty(item.ref, wish.space)
                if isinstance(wish, AnyOf)
                else not (isinstance(wish, Exactly) and wish.tracked)
            )
            for wish in (item.wishes.ipv4, item.wishes.ipv6)
        )

    async def _take_on_network(self, items: Sequence[Item]) -> None:
        for item in items:
            item.begun = True
        await all_of([take_ipv4(self._taker, item) for item in items])
        await all_of([take_ipv6(self._taker, item) for item in items])

    async def _undo(self, items: Sequence[Item], *, look: bool) -> None:
        """Give back what this very request made.

        Not what an earlier send of the same attempt did: its caller may have heard so. What is left
        in the end is freed by the node's danmd or at its expiry (DESIGN, "Nodes fence").

        Args:
            items: What was to be taken.
            look: A write's outcome is not known, so the record has to be read.
        """
        deadline = self._clock() + GIVE_BACK_S
        new = {
            (item.ref, took.held.address): _Made(held=took.held, cooled=took.cooled)
            for item in items
            for took in item.took
            if took.new
        }
        if look:
            await self._look_for_made(items, new)
        await all_of([self._give_back(ref, made, deadline) for (ref, _), made in new.items()])

    async def _look_for_made(
        self, items: Sequence[Item], new: dict[tuple[NetworkRef, IPAddress], _Made]
    ) -> None:
        """Add what writes have made whose outcome is not known."""
        begun = [item for item in items if item.begun]
        tracked = {item.ref for item in begun if _is_tracked(item.wishes)}
        try:
            await all_of([self._taker.refresh(ref) for ref in tracked])
        except DanmError as error:
            _log.warning("Could not look for what a failed reserve took", error=error)
        kept = {
            (item.ref, took.held.address) for item in items for took in item.took if not took.new
        }
        for item in begun:
            for held in self._taker.made_by(item.ref, item.claim):
                place = (item.ref, held.address)
                if place not in kept and held.address not in item.known:
                    # As it was when it was taken: it may have been confirmed since.
                    new.setdefault(place, _Made(held=held, cooldown_s=_cooldown(item, held)))

    async def _give_back(self, ref: NetworkRef, made: _Made, deadline: float) -> None:
        held = made.held
        try:
            await self._taker.give_back(
                ref,
                held,
                cooldown_s=made.cooldown_s,
                deadline=deadline,
                pending=held.is_pending,
                cooled=made.cooled,
            )
        except DanmError as error:
            _log.warning(
                "Could not give back an address",
                network=str(ref),
                address=str(held.address),
                attempt=held.attempt,
                error=error,
            )


def _cooldown(item: Item, held: Held) -> int:
    """Return how long an entry cools of which only the record tells, and not what was before it.

    Nobody has used it: but an address that was asked for may have cooled, for up to so long.
    """
    return item.claim.cooldown_s if held.address in item.insisted else 0


def _has_expired(owner: Owner, *, now: datetime) -> bool:
    return isinstance(owner, ExternalOwner) and owner.expires is not None and owner.expires <= now


def _is_tracked(wanted: Wishes) -> bool:
    return bool(_tracked_families(wanted))


def _tracked_families(wanted: Wishes) -> set[Version]:
    by_family: tuple[tuple[Version, Wish4 | Wish6], ...] = ((4, wanted.ipv4), (6, wanted.ipv6))
    return {
        version
        for version, wish in by_family
        if wish != Nothing() and not (isinstance(wish, Exactly) and not wish.tracked)
    }


def _answer(item: Item) -> AttachmentAnswer:
    owner = item.claim.owner
    spec = item.network.spec
    return AttachmentAnswer(
        network=item.asked.network,
        network_uid=item.network.net.uid,
        interface="" if isinstance(owner, ExternalOwner) else owner.interface,
        mac=item.mac,
        ip=_interface(item.ipv4, spec.cidr, item.asked.ip),
        ip6=_interface(item.ipv6, spec.net6, item.asked.ip6),
        wire=None if isinstance(owner, ExternalOwner) else wire_text(spec),
    )


def _interface(
    address: IPAddress | None, subnet: IPNetwork | None, asked: IPv4Request | IPv6Request
) -> str | None:
    """Return an address with its prefix length; on a network without subnet the one asked for."""
    if address is None:
        return None
    if subnet is not None:
        return f"{address}/{subnet.prefixlen}"
    return encode_ip_request(asked)
