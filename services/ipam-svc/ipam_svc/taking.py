"""Taking one address on one network, and giving one entry back."""

from collections.abc import Callable, Collection
from functools import partial
from typing import Final

from danm_api.errors import (
    AddressTakenError,
    ConflictError,
    DanmError,
    DeadlineExceededError,
    NetworkNotReadyError,
    PoolExhaustedError,
    StaleAttemptError,
)
from danm_api.model.addresses import IPAddress
from danm_api.model.ip_block import Cooling, Held, owner_key
from danm_api.record.entries import describe_owner
from danm_api.telemetry import get_logger
from ipam_svc.address_space import BLOCK_SIZE, AddressSpace, Version, version_of
from ipam_svc.allocator import block_ahead, choose_block
from ipam_svc.announcer import Announcer
from ipam_svc.block_change import (
    Confirm,
    Contended,
    Expired,
    GaveBack,
    NoSpace,
    NotHeld,
    TakeAny,
    TakeExact,
    Took,
)
from ipam_svc.block_ref import NetworkRef
from ipam_svc.claim import Claim
from ipam_svc.clearing import Clearing, give_back
from ipam_svc.committer import Committer
from ipam_svc.consistent_read import ConsistentReads
from ipam_svc.family_index import FamilyIndex
from ipam_svc.fencing import fence
from ipam_svc.ledger import Ledger
from ipam_svc.network_reads import read_network
from ipam_svc.pairs import Pairs, without_taken
from ipam_svc.readings import is_beside, is_of
from ipam_svc.store import BlockStore

_log = get_logger(__name__)

# Four blocks: more than what replicas open beside each other.
_PLENTY: Final = 4 * BLOCK_SIZE


class Taker:
    """Takes addresses and gives entries back."""

    def __init__(
        self,
        *,
        store: BlockStore,
        ledger: Ledger,
        committer: Committer,
        announcer: Announcer,
        clock: Callable[[], float],
    ) -> None:
        """Work on the blocks of a ledger through a committer; tell of what is freed as dead."""
        self._ledger = ledger
        self._committer = committer
        self._openings = committer.openings
        self._clearing = Clearing(ledger=ledger, committer=committer, announcer=announcer)
        self._clock = clock
        self._reads = ConsistentReads[NetworkRef](partial(read_network, store, ledger))

    async def refresh(self, network: NetworkRef) -> None:
        """Read a network's blocks consistently; the read begins after this call.

        Raises:
            ApiUnavailableError: The API server did not answer.
        """
        await self._reads.after_now(network)

    def knows(self, network: NetworkRef, claim: Claim, versions: Collection[Version]) -> bool:
        """Say whether an entry of each family is known: then there is nothing to look for."""
        known = {entry.address.version for entry in self._known(network, claim)}
        return known.issuperset(versions)

    def has_plenty(self, network: NetworkRef, space: AddressSpace) -> bool:
        """Say whether so much of a space was never used that nobody waits for its last address."""
        return self._ledger.count_unopened(network.uid, space) >= _PLENTY

    def holds(self, network: NetworkRef, claim: Claim, address: IPAddress) -> bool:
        """Say whether the owner has an address, as far as it is known."""
        return any(entry.address == address for entry in self._known(network, claim))

    async def take_any(
        self,
        network: NetworkRef,
        claim: Claim,
        space: AddressSpace,
        *,
        mac: str | None,
        pairs: Pairs | None = None,
        left: frozenset[IPAddress] = frozenset(),
    ) -> Took:
        """Take the next free address of a space, or keep what the owner has of the family.

        Args:
            network: Where.
            claim: Who.
            space: Only these addresses.
            mac: None derives it from the address taken.
            pairs: Only addresses whose IPv6 address can be had too.
            left: What the owner has and wants to leave for another one.

        Raises:
            PoolExhaustedError: None is free, proven by a consistent read.
            StaleAttemptError: The owner has an entry of a later attempt.
        """
        kept = await self._keep(network, claim, space.version, left)
        if kept is not None:
            return kept
        whole, certain, may_move = space, False, True
        while True:
            if self._clock() >= claim.deadline:
                raise DeadlineExceededError(f"no address of {network} was taken in time")
            if pairs is not None:
                space = self._with_pairs(network, claim, whole, pairs)
            index = FamilyIndex(
                ledger=self._ledger,
                uid=network.uid,
                version=space.version,
                count_pending=not certain,
            )
            after = self._ledger.cursor(network.uid, space)
            start = choose_block(space, index, after=after)
            if start is None and certain:
                raise PoolExhaustedError(
                    f"{network} has no free IPv{space.version} address among"
                    f" {space.total}; widen its allocation pool or give addresses back"
                    + self._ledger.unreadable.out_of_use(network.uid, space.version)
                )
            if start is None:
                certain = not await self._make_room(network, claim, space)
                kept = await self._keep(network, claim, space.version, left)
                if kept is not None:
                    return kept
                continue
            self._open_ahead(network, space, index, start)
            outcome = await self._committer.commit(
                network.block_at(space.version, start),
                TakeAny(
                    owner=claim.owner,
                    node=claim.node,
                    attempt=claim.attempt,
                    space=space,
                    after=after,
                    mac=mac,
                    left=left,
                    basis=claim.basis,
                ),
                deadline=claim.deadline,
                may_move=may_move,
            )
            if isinstance(outcome, Took):
                self._ledger.move_cursor(network.uid, space.version, int(outcome.held.address))
                return outcome
            # What was read is no proof any more: another block may have got room meanwhile.
            certain = False
            # Once: where there is no other block, going in circles would be no progress.
            may_move = may_move and not isinstance(outcome, Contended)

    def _open_ahead(
        self, network: NetworkRef, space: AddressSpace, index: FamilyIndex, start: int
    ) -> None:
        """Have the next block opened when as many as now wait do not fit into this one again."""
        waiting = self._ledger.pending(network.uid, space.version, start)
        left = self._ledger.room(network.uid, space, start) - waiting - 1
        # For a lone caller it would be a block that may never be used.
        if waiting == 0 or left > waiting:
            return
        if self._ledger.count_unopened(network.uid, space) < BLOCK_SIZE:
            return
        # The search looks at many blocks where most are full.
        if not self._openings.may_begin((network.uid, space.version)):
            return
        ahead = block_ahead(space, index, of=start)
        # Requests that wait for it open it themselves.
        if ahead is not None and not self._ledger.pending(network.uid, space.version, ahead):
            self._openings.begin(network.block_at(space.version, ahead))

    async def take_exact(
        self,
        network: NetworkRef,
        claim: Claim,
        address: IPAddress,
        *,
        mac: str,
        alone: bool = False,
        dynamic: bool = False,
    ) -> Took:
        """Take this address, or keep it.

        Args:
            network: Where.
            claim: Who.
            address: Which.
            mac: The interface's.
            alone: Only if no other DanmNet is on the wire.
            dynamic: Not while it cools.

        Raises:
            AddressTakenError: It belongs to another owner, or cools.
            StaleAttemptError: The owner has an entry of a later attempt.
            NetworkNotReadyError: The network gives nothing new.
        """
        self._refuse_stale(network, claim, version_of(address))
        block = network.block_of(address)
        change = TakeExact(
            owner=claim.owner,
            node=claim.node,
            attempt=claim.attempt,
            address=address,
            mac=mac,
            keep_only=claim.keep_only,
            dynamic=dynamic,
            basis=claim.basis,
            alone=alone,
            beside=is_beside(self._known(network, claim), address),
        )
        outcome = await self._committer.commit(block, change, deadline=claim.deadline)
        while isinstance(outcome, Expired):
            await self._clearing.sweep(network, block, claim)
            outcome = await self._committer.commit(block, change, deadline=claim.deadline)
        if isinstance(outcome, Took):
            return outcome
        if isinstance(outcome, NoSpace):
            reason = f"{address} of {network} is out of use: its block cannot be read"
            raise AddressTakenError(reason)
        raise _being_deleted(network)

    async def confirm(self, network: NetworkRef, held: Held, *, deadline: float) -> None:
        """Make a pending entry its owner's: from now on the owner's other one is dead.

        Raises:
            ConflictError: Somebody has freed it, or a later attempt has it.
            DanmError: The outcome is not known.
        """
        change = Confirm(key=owner_key(held.owner), attempt=held.attempt, address=held.address)
        outcome = await self._committer.commit(
            network.block_of(held.address), change, deadline=deadline
        )
        if not isinstance(outcome, Took):
            raise ConflictError(f"{held.address} of {network} was freed meanwhile; try again")

    async def give_back(
        self,
        network: NetworkRef,
        held: Held,
        *,
        cooldown_s: int,
        deadline: float,
        pending: bool = False,
        cooled: Cooling | None = None,
    ) -> GaveBack | NotHeld:
        """Free an entry if it is still of this owner and attempt; with ``pending``, if it is so.

        With ``cooled`` it cools at least as long as before it was taken.

        Raises:
            DanmError: The outcome is not known.
        """
        return await give_back(
            self._committer,
            network,
            held,
            cooldown_s=cooldown_s,
            deadline=deadline,
            pending=pending,
            cooled=cooled,
        )

    async def fence(
        self, network: NetworkRef, families: Collection[Version], *, deadline: float
    ) -> None:
        """Make writes lose that were sent on an earlier reading of the network's blocks.

        Raises:
            DanmError: Not all blocks are known to be fenced.
        """
        await fence(self._ledger, self._committer, network, families, deadline=deadline)

    def made_by(self, network: NetworkRef, claim: Claim) -> list[Held]:
        """Return the entries that an attempt made, as far as they are known; not those it kept.

        Also what an earlier send of the same attempt made, where somebody uses numbers twice.
        """
        return [
            entry
            for entry in self._known(network, claim)
            if entry.attempt == claim.attempt and entry.born is None
        ]

    async def drop_older(
        self, network: NetworkRef, claim: Claim, kept: Held, left: frozenset[IPAddress]
    ) -> None:
        """Free the owner's dead entries: those of older attempts beside a newer one, and ``left``.

        What cannot be freed now is left to the Lease holder, or to the next attempt.
        """
        for entry in self._known(network, claim):
            if entry.address == kept.address or entry.address.version != kept.address.version:
                continue
            if entry.attempt >= kept.attempt and entry.address not in left:
                continue
            try:
                await self._clearing.free_double(network, entry, claim)
            except DanmError as error:
                _log.warning("Left a dead entry", address=str(entry.address), error=error)

    def _known(self, network: NetworkRef, claim: Claim) -> list[Held]:
        return [
            entry
            for entry in self._ledger.held_by(network.uid, owner_key(claim.owner))
            if is_of(entry, claim.owner, claim.node)
        ]

    async def _keep(
        self, network: NetworkRef, claim: Claim, version: Version, left: frozenset[IPAddress]
    ) -> Took | None:
        """Keep the owner's entry of a family; None when it has none and may take one."""
        mine = self._refuse_stale(network, claim, version, left)
        while mine is not None:
            outcome = await self._committer.commit(
                network.block_of(mine.address),
                TakeExact(
                    owner=claim.owner,
                    node=claim.node,
                    attempt=claim.attempt,
                    address=mine.address,
                    mac=mine.mac,
                    keep_only=True,
                ),
                deadline=claim.deadline,
            )
            if isinstance(outcome, Took):
                return outcome
            # It is gone, so this replica is behind: there may be another.
            await self.refresh(network)
            before, mine = mine, self._refuse_stale(network, claim, version, left)
            if mine == before:
                raise ConflictError(f"{mine.address} of {network} changes all the time; try again")
        if claim.keep_only:
            raise _being_deleted(network)
        return None

    def _refuse_stale(
        self,
        network: NetworkRef,
        claim: Claim,
        version: Version,
        left: frozenset[IPAddress] = frozenset(),
    ) -> Held | None:
        """Return the owner's newest known entry of a family that it does not want to leave.

        Attempts only grow, so even an entry that is gone by now proves a later attempt.
        """
        mine = [entry for entry in self._known(network, claim) if entry.address.version == version]
        newest = max(mine, key=lambda entry: entry.attempt, default=None)
        if newest is not None and newest.attempt > claim.attempt:
            reason = (
                f"attempt {claim.attempt} of {describe_owner(claim.owner)} on {network} is older"
                f" than its attempt {newest.attempt}; use a larger number"
            )
            raise StaleAttemptError(reason, current_attempt=newest.attempt)
        mine = [entry for entry in mine if entry.address not in left]
        # Of one that is pending its owner may never have been told.
        return max(mine, key=lambda entry: (not entry.is_pending, entry.attempt), default=None)

    def _with_pairs(
        self, network: NetworkRef, claim: Claim, space: AddressSpace, pairs: Pairs
    ) -> AddressSpace:
        return without_taken(
            space,
            pairs,
            self._ledger.blocks_of(network.uid),
            claim,
            now=self._ledger.moment(),
            barred=[each.cidr for each in self._ledger.unreadable.of(network.uid, 6) if each.cidr],
        )

    async def _make_room(self, network: NetworkRef, claim: Claim, space: AddressSpace) -> bool:
        """Read a network that seems to be full and free what is dead; say whether anything was."""
        await self.refresh(network)
        return await self._clearing.make_room(network, space, claim)


def _being_deleted(network: NetworkRef) -> NetworkNotReadyError:
    return NetworkNotReadyError(f"{network} is being deleted: it gives no new addresses")
