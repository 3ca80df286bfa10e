"""What the replica's watch knows of reservations: listing, look-up and usage."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from danm_api.errors import InvalidRequestError
from danm_api.ipam_api import (
    MAX_ATTEMPT,
    MAX_PAGE,
    OWNER_KINDS,
    FamilyUsage,
    NetworkUsage,
    ReservationList,
    ReservationQuery,
)
from danm_api.model.addresses import IPAddress
from danm_api.model.danmnet import Usage
from danm_api.model.ip_block import ContainerOwner, ExternalOwner, Held, IPBlock, PodOwner
from danm_api.names import Namespace, NetworkName, NetworkUid, NodeName
from danm_api.record.entries import held_entries
from ipam_svc.address_space import block_start, version_of
from ipam_svc.ledger import Ledger
from ipam_svc.networks import Networks
from ipam_svc.orders import reservation_of
from ipam_svc.page_token import PageToken, Position, position_of
from ipam_svc.request_rules import refusal, violation
from ipam_svc.summary import summarise

# Full blocks that are looked through without a pause: some 2 ms.
_AT_ONCE: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A query, read.

    Attributes:
        limit: None means all.
        after: Where the page before ended.
    """

    query: ReservationQuery
    address: IPAddress | None
    limit: int | None
    after: PageToken | None

    @property
    def names_one(self) -> bool:
        """Whether it looks somebody up rather than lists (Kubernetes' verb get)."""
        return bool(self.address or self.query.owner or self.query.owner_uid)

    def shows(self, held: Held) -> bool:
        """Say whether an entry matches every filter."""
        query, owner = self.query, held.owner
        return (
            (self.address is None or held.address == self.address)
            and query.owner in ("", _name(held))
            and query.owner_kind in ("", _kind(held))
            and query.owner_namespace in ("", owner.namespace)
            and query.owner_uid in ("", owner.uid if isinstance(owner, PodOwner) else "")
            and query.interface in ("", "" if isinstance(owner, ExternalOwner) else owner.interface)
            and query.node in ("", held.node)
            and query.attempt in (None, held.attempt)
        )


def listing_of(query: ReservationQuery, *, usual_limit: int | None) -> Listing:
    """Read a query.

    Raises:
        InvalidRequestError: A filter cannot be read; each one at fault is named.
    """
    faults = []
    address = None
    if query.address:
        try:
            address = ip_address(query.address)
        except ValueError:
            faults.append(("address", f'"{query.address}" is no address'))
    if query.owner_kind not in ("", *OWNER_KINDS):
        faults.append(("ownerKind", f"must be one of {', '.join(OWNER_KINDS)}"))
    if query.attempt is not None and not 1 <= query.attempt <= MAX_ATTEMPT:
        faults.append(("attempt", f"must be a number from 1 to {MAX_ATTEMPT}"))
    if query.limit is not None and not 1 <= query.limit <= MAX_PAGE:
        faults.append(("limit", f"must be a number from 1 to {MAX_PAGE}"))
    after = None
    if query.continue_:
        try:
            after = PageToken.decode(query.continue_)
        except ValueError:
            faults.append(("continue", 'is no "next" of a page before; begin without it'))
    if faults:
        raise refusal(violation(name, message, place="query") for name, message in faults)
    limit = usual_limit if query.limit is None else query.limit
    return Listing(query=query, address=address, limit=limit, after=after)


class Lookup:
    """Answers from the watch: quick, and behind the record by its delay."""

    def __init__(
        self,
        *,
        networks: Networks,
        ledger: Ledger,
        reach: Callable[[int], Awaitable[None]],
    ) -> None:
        """Look into a ledger.

        Args:
            networks: Finds DanmNets.
            ledger: What is known of the blocks.
            reach: Waits until the watch has come to a resourceVersion.
        """
        self._networks = networks
        self._ledger = ledger
        self._reach = reach

    async def of_network(
        self, namespace: Namespace, name: NetworkName, listing: Listing
    ) -> ReservationList:
        """Return one page of a network's entries, in the order of addresses.

        Raises:
            NetworkNotFoundError: There is no such DanmNet.
            InvalidRequestError: The page before was of another DanmNet of that name.
            OverloadedError: This replica knows less than the page before shows.
        """
        net = await self._networks.find(namespace, name)
        after = listing.after
        if after is not None and after.network_uid != net.uid:
            raise _replaced(f"DanmNet {namespace}/{name} was replaced by another one meanwhile")
        await self._catch_up(listing)
        return await _page(self._blocks(net.uid, listing), listing)

    async def of_namespace(self, namespace: Namespace, listing: Listing) -> ReservationList:
        """Return one page of the entries of all networks of a namespace, by network and address.

        Raises:
            OverloadedError: This replica knows less than the page before shows.
        """
        await self._catch_up(listing)
        blocks: list[IPBlock] = []
        for _, uid in self._ledger.networks_in(namespace):
            blocks += self._blocks(uid, listing)
        return await _page(blocks, listing)

    async def of_node(self, node: NodeName, listing: Listing) -> ReservationList:
        """Return the entries of a node, in all namespaces.

        Raises:
            OverloadedError: This replica knows less than the page before shows.
        """
        await self._catch_up(listing)
        blocks = sorted(self._ledger.node_blocks(node), key=_order)
        return await _page(blocks, listing, only=lambda held: held.node == node)

    def node_revision(self, node: NodeName) -> int:
        """Return a number that changes with the entries of a node, as this replica sees them."""
        return self._ledger.node_revision(node)

    async def usage(self, namespace: Namespace, name: NetworkName) -> NetworkUsage:
        """Return how full a network is.

        Raises:
            NetworkNotFoundError: There is no such DanmNet.
            NetworkNotReadyError: It has not been validated yet.
            InvalidNetworkError: It breaks a rule.
        """
        network = await self._networks.ready(namespace, name)
        uid = network.net.uid
        found = summarise(
            network.net, network.spec, self._ledger.blocks_of(uid), self._ledger.unreadable.of(uid)
        )
        return NetworkUsage(
            network=name,
            network_uid=network.net.uid,
            ipv4=_family(found.ipv4),
            ipv6=_family(found.ipv6),
        )

    def _blocks(self, uid: NetworkUid, listing: Listing) -> list[IPBlock]:
        """Return the blocks of a network in which a listing may find something, in order."""
        query = listing.query
        if listing.address is not None:
            version = version_of(listing.address)
            block = self._ledger.get(uid, version, block_start(int(listing.address)))
            return [] if block is None else [block]
        if not query.owner_uid:
            return self._ledger.blocks_of(uid)
        key = ("Pod", query.owner_uid, "")
        places = {
            (version_of(held.address), block_start(int(held.address)))
            for held in self._ledger.held_by_any(uid, key)
        }
        found = (self._ledger.get(uid, *place) for place in sorted(places))
        return [block for block in found if block is not None]

    async def _catch_up(self, listing: Listing) -> None:
        if listing.after is not None:
            await self._reach(listing.after.revision)


async def _page(
    blocks: Iterable[IPBlock], listing: Listing, *, only: Callable[[Held], bool] = lambda _: True
) -> ReservationList:
    """Return what follows the page before, of blocks in order; others get their turns meanwhile."""
    after = None if listing.after is None else listing.after.position
    revision = 0 if listing.after is None else listing.after.revision
    found: list[tuple[IPBlock, Held]] = []
    for number, block in enumerate(blocks, start=1):
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)
        revision = max(revision, int(block.resource_version))
        # Whole blocks of earlier pages are passed over, and of later ones only the version counts.
        if after is not None and position_of(block, block.cidr.broadcast_address) <= after:
            continue
        if listing.limit is not None and len(found) > listing.limit:
            continue
        for held in held_entries(block):
            if after is not None and position_of(block, held.address) <= after:
                continue
            if only(held) and listing.shows(held):
                found.append((block, held))
    token = ""
    if listing.limit is not None and len(found) > listing.limit:
        found = found[: listing.limit]
        token = PageToken(position=position_of(*_place(found[-1])), revision=revision).encode()
    return ReservationList(
        items=[reservation_of(block.network, block.network_uid, held) for block, held in found],
        next=token,
    )


def _place(found: tuple[IPBlock, Held]) -> tuple[IPBlock, IPAddress]:
    block, held = found
    return block, held.address


def _order(block: IPBlock) -> Position:
    return position_of(block, block.cidr.network_address)


def _family(usage: Usage | None) -> FamilyUsage | None:
    if usage is None:
        return None
    return FamilyUsage(total=usage.total, used=usage.used, free=usage.free, ranges=usage.ranges)


def _name(held: Held) -> str:
    owner = held.owner
    return owner.container_id if isinstance(owner, ContainerOwner) else owner.name


def _kind(held: Held) -> str:
    match held.owner:
        case PodOwner():
            return "Pod"
        case ContainerOwner():
            return "Container"
        case ExternalOwner():
            return "External"


def _replaced(message: str) -> InvalidRequestError:
    return refusal([violation("continue", f"{message}; begin without it", place="query")])
