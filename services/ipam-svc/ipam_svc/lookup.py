"""What the replica's watch knows of reservations: listing, look-up and usage."""

from ipaddress import ip_address

from danm_api.errors import InvalidRequestError
from danm_api.ipam_api import FamilyUsage, NetworkUsage, Reservation, ReservationList
from danm_api.model.danmnet import Usage
from danm_api.model.ip_block import ContainerOwner, Held, IPBlock
from danm_api.names import Namespace, NetworkName, NodeName
from ipam_svc.block import held_entries
from ipam_svc.ledger import Ledger
from ipam_svc.networks import Networks
from ipam_svc.orders import reservation_of
from ipam_svc.request_rules import refusal, violation
from ipam_svc.summary import summarise

# A page of this size is about 200 KB.
MAX_PAGE = 1000


class Lookup:
    """Answers from the watch: quick, and behind the record by its delay."""

    def __init__(self, *, networks: Networks, ledger: Ledger) -> None:
        """Look into a ledger."""
        self._networks = networks
        self._ledger = ledger

    async def of_network(
        self,
        namespace: Namespace,
        name: NetworkName,
        *,
        address: str = "",
        owner: str = "",
        limit: str = "",
        after: str = "",
    ) -> ReservationList:
        """Return one page of a network's entries, in the order of addresses.

        Args:
            namespace: The DanmNet's.
            name: The DanmNet's.
            address: Only this address.
            owner: Only owners of this name.
            limit: At most so many entries.
            after: What the page before gave as ``next``.

        Raises:
            NetworkNotFoundError: There is no such DanmNet.
            InvalidRequestError: A filter cannot be read.
        """
        net = await self._networks.find(namespace, name)
        size = _limit(limit)
        begin = None if not after else _sort_key(after, field="continue")
        wanted = None if not address else _sort_key(address, field="address")
        items: list[Reservation] = []
        for block in self._ledger.blocks_of(net.uid):
            # Whole blocks of earlier pages are passed over.
            if begin is not None and _last(block) <= begin:
                continue
            for held in held_entries(block):
                key = (held.address.version, int(held.address))
                if begin is not None and key <= begin:
                    continue
                if (wanted is not None and key != wanted) or (owner and owner != _name(held)):
                    continue
                if len(items) == size:
                    return ReservationList(items=items, next=items[-1].address)
                items.append(reservation_of(net.name, net.uid, held))
        return ReservationList(items=items)

    def of_node(self, node: NodeName) -> ReservationList:
        """Return all entries of a node."""
        return ReservationList(
            items=[
                reservation_of(block.network, block.network_uid, held)
                for block in self._ledger.node_blocks(node)
                for held in held_entries(block)
                if held.node == node
            ]
        )

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
        found = summarise(network.net, network.spec, self._ledger.blocks_of(network.net.uid))
        return NetworkUsage(
            network=name,
            network_uid=network.net.uid,
            ipv4=_family(found.ipv4),
            ipv6=_family(found.ipv6),
        )


def _family(usage: Usage | None) -> FamilyUsage | None:
    if usage is None:
        return None
    return FamilyUsage(total=usage.total, used=usage.used, free=usage.free, ranges=usage.ranges)


def _last(block: IPBlock) -> tuple[int, int]:
    return block.cidr.version, int(block.cidr.broadcast_address)


def _name(held: Held) -> str:
    owner = held.owner
    return owner.container_id if isinstance(owner, ContainerOwner) else owner.name


def _sort_key(text: str, *, field: str) -> tuple[int, int]:
    try:
        address = ip_address(text)
    except ValueError as error:
        raise _refusal(field, f'"{text}" is no address') from error
    return address.version, int(address)


def _limit(text: str) -> int:
    if not text:
        return MAX_PAGE
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:10]) <= MAX_PAGE:
        raise _refusal("limit", f"must be a number from 1 to {MAX_PAGE}")
    return int(text)


def _refusal(field: str, message: str) -> InvalidRequestError:
    return refusal([violation(field, message)])
