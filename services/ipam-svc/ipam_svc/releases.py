"""Releasing: an owner gives back what it holds under exactly one attempt.

All entries are given back at once, those of a block by one write: nobody waits for an address that
comes free, so there is no order to keep. Each is tried, whatever becomes of the others.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from danm_api.errors import InvalidObjectError, NetworkNotFoundError
from danm_api.ipam_api import ReleaseAnswer, Reservation
from danm_api.model.danmnet import DanmNet
from danm_api.model.ip_block import ExternalOwner, Held, owner_key
from danm_api.names import NetworkName
from ipam_svc.address_space import Version, version_of
from ipam_svc.block_change import GaveBack
from ipam_svc.block_ref import NetworkRef
from ipam_svc.ledger import Ledger
from ipam_svc.networks import Networks, cooldown_of, tracked_families
from ipam_svc.orders import ReleaseOrder, reservation_of
from ipam_svc.steps import all_of
from ipam_svc.taking import Taker


@dataclass(slots=True, kw_only=True)
class _Result:
    """What became of entries; ``met`` are the families of those of the order's attempt."""

    released: list[Reservation] = field(default_factory=list)
    kept: list[Reservation] = field(default_factory=list)
    met: set[Version] = field(default_factory=set)


class Releases:
    """Releases addresses."""

    def __init__(
        self,
        *,
        networks: Networks,
        ledger: Ledger,
        taker: Taker,
        clock: Callable[[], float],
    ) -> None:
        """Release on networks through a taker."""
        self._networks = networks
        self._ledger = ledger
        self._taker = taker
        self._clock = clock

    async def release(self, order: ReleaseOrder) -> ReleaseAnswer:
        """Free the owner's entries of exactly the order's attempt (DESIGN, "Attempts fence").

        Entries that are gone, and networks that are, are no error. An entry of another attempt, or
        of another node (DESIGN, "Nodes fence"), is kept and reported.

        Raises:
            DanmError: What happened to an entry is not known; ask again.
        """
        deadline = self._clock() + order.timeout_s
        results = await all_of(
            [self._release_name(name, order, deadline) for name in order.networks]
        )
        return ReleaseAnswer(
            released=[each for result in results for each in result.released],
            kept=[each for result in results for each in result.kept],
        )

    async def _release_name(
        self, name: NetworkName, order: ReleaseOrder, deadline: float
    ) -> _Result:
        """Release on the network of a name, and on those that had it before."""
        cooldown_s = 0
        families: set[Version] = {4, 6}
        refs = {
            NetworkRef(namespace=order.namespace, name=name, uid=uid)
            for uid in self._ledger.uids_of(order.namespace, name)
        }
        net = await self._find(order, name)
        if net is not None:
            refs.add(NetworkRef.of(net))
            cooldown_s = cooldown_of(net)
            families = tracked_families(net)
        result = _Result()
        for ref in sorted(refs, key=lambda each: each.uid):
            if isinstance(order.owner, ExternalOwner):
                families &= order.families
                await self._release_surely(ref, order, families, cooldown_s, deadline, result)
                continue
            if not self._knows_enough(ref, order):
                await self._taker.refresh(ref)
            released = await self._give_back(ref, order, cooldown_s, deadline)
            result.released += released.released
            result.kept += released.kept
        return result

    async def _find(self, order: ReleaseOrder, name: NetworkName) -> DanmNet | None:
        try:
            return await self._networks.find(order.namespace, name)
        except NetworkNotFoundError:
            return None

    async def _release_surely(
        self,
        ref: NetworkRef,
        order: ReleaseOrder,
        families: set[Version],
        cooldown_s: int,
        deadline: float,
        result: _Result,
    ) -> None:
        """Release what is found, and let a reserve of this attempt take no effect after that.

        No danmd compares what an external owner holds. What is known of a later attempt proves
        nothing: the write of this one may still be on its way. What is found goes first, since the
        rest may not be done in time, and is begun anew when it is asked for again.

        Raises:
            InvalidObjectError: What cannot be read may hold what is not found.
        """

        async def read() -> None:
            await self._taker.refresh(ref)

        async def fence() -> None:
            await self._taker.fence(ref, missing, deadline=deadline)

        given = await self._give_back(ref, order, cooldown_s, deadline)
        result.released += given.released
        missing = families - given.met
        for look in (read, fence):
            if not missing:
                break
            await look()
            given = await self._give_back(ref, order, cooldown_s, deadline)
            result.released += given.released
            missing -= given.met
        result.kept += given.kept
        odd = [each for version in missing for each in self._ledger.unreadable.of(ref.uid, version)]
        if odd:
            raise InvalidObjectError(
                f"what is to be released may be in a block that cannot be read: {odd[0].reason}"
            )

    async def _give_back(
        self, ref: NetworkRef, order: ReleaseOrder, cooldown_s: int, deadline: float
    ) -> _Result:
        """Give back what is known to be of exactly the order's attempt and node."""
        result = _Result()
        own: list[Held] = []
        for held in self._entries(ref, order):
            if held.attempt == order.attempt:
                result.met.add(version_of(held.address))
            if held.attempt == order.attempt and held.node == order.node:
                own.append(held)
            else:
                result.kept.append(reservation_of(ref.name, ref.uid, held))
        outcomes = await all_of(
            [
                self._taker.give_back(ref, held, cooldown_s=cooldown_s, deadline=deadline)
                for held in own
            ]
        )
        for held, outcome in zip(own, outcomes, strict=True):
            if isinstance(outcome, GaveBack):
                result.released.append(reservation_of(ref.name, ref.uid, held))
            elif outcome.holder is not None and _same_owner(outcome.holder, held):
                result.kept.append(reservation_of(ref.name, ref.uid, outcome.holder))
        return result

    def _knows_enough(self, ref: NetworkRef, order: ReleaseOrder) -> bool:
        """Say whether the replica's watch has what is to be released, or something later.

        Only entries with this attempt or a later one prove that the watch is not behind.
        """
        found = [held for held in self._entries(ref, order) if held.attempt >= order.attempt]
        if not order.interfaces:
            return bool(found)
        names = {
            held.owner.interface for held in found if not isinstance(held.owner, ExternalOwner)
        }
        return order.interfaces <= names

    def _entries(self, ref: NetworkRef, order: ReleaseOrder) -> list[Held]:
        return [
            held
            for held in self._ledger.held_by_any(ref.uid, owner_key(order.owner))
            if not order.interfaces
            or isinstance(held.owner, ExternalOwner)
            or held.owner.interface in order.interfaces
        ]


def _same_owner(one: Held, other: Held) -> bool:
    return owner_key(one.owner) == owner_key(other.owner)
