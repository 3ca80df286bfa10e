"""Taking the addresses of one attachment: IPv4, then IPv6 and the MAC, which may follow from it."""

from dataclasses import dataclass, field

from danm_api.errors import AddressTakenError, InvalidRequestError, PoolExhaustedError, Violation
from danm_api.model.addresses import IPAddress
from danm_api.model.ip_block import owner_key
from danm_api.validation import is_excluded
from ipam_svc.address_space import AddressSpace, dynamic_ipv4
from ipam_svc.allocator import (
    AnyOf,
    Exactly,
    Nothing,
    OfMac,
    Wishes,
    lies_outside_pool,
    mac_for,
    mac_of_any4,
    mac_of_any6,
)
from ipam_svc.block_change import Took
from ipam_svc.block_ref import NetworkRef
from ipam_svc.claim import Claim
from ipam_svc.mac import eui64_address
from ipam_svc.networks import ReadyNetwork
from ipam_svc.orders import OrderedAttachment
from ipam_svc.pairs import Pairing, Pairs
from ipam_svc.taking import Taker


@dataclass(slots=True, kw_only=True)
class Item:
    """One attachment on its way.

    Attributes:
        ipv4: The address; tracked or not.
        known: What an earlier send of the same attempt had made before this one took anything.
        begun: Whether anything may have been taken.
        took: What was taken or kept for it.
        left: What the owner had before and leaves for another address.
        insisted: What may have been taken although it cools.
    """

    asked: OrderedAttachment
    network: ReadyNetwork
    ref: NetworkRef
    wishes: Wishes
    claim: Claim
    ipv4: IPAddress | None = None
    ipv6: IPAddress | None = None
    mac: str = ""
    known: frozenset[IPAddress] = frozenset()
    begun: bool = False
    took: list[Took] = field(default_factory=list)
    left: frozenset[IPAddress] = frozenset()
    insisted: frozenset[IPAddress] = frozenset()

    @property
    def identity(self) -> tuple[str, ...]:
        """What the MAC is drawn from where no address gives it."""
        return owner_key(self.claim.owner)

    def add(self, took: Took) -> Took:
        """Note what was taken, so that it can be given back."""
        self.took.append(took)
        return took


async def take_ipv4(taker: Taker, item: Item) -> None:
    """Take the IPv4 address of an attachment, if it wants one.

    Raises:
        PoolExhaustedError: None is free.
        AddressTakenError: The one that is asked for is somebody else's.
        InvalidRequestError: Its IPv6 address must not follow from it.
        DanmError: As of ``Taker``.
    """
    net, spec = item.network.net, item.network.spec
    match item.wishes.ipv4:
        case Nothing():
            return
        case AnyOf(space=space):
            mac = mac_of_any4(net, spec, item.identity)
            if mac is not None:
                _require_ipv6_of(taker, item, mac)
            await _take_any_ipv4(taker, item, space, mac=mac)
        case Exactly(address=address, tracked=tracked):
            item.ipv4 = address
            item.mac = mac_for(net, spec, ipv4=address, ipv6=None, identity=item.identity)
            _require_ipv6_of(taker, item, item.mac)
            if tracked:
                item.insisted |= {address}
                took = item.add(
                    await taker.take_exact(
                        item.ref,
                        item.claim,
                        address,
                        mac=item.mac,
                        alone=lies_outside_pool(spec, address),
                    )
                )
                item.mac = took.held.mac


async def take_ipv6(taker: Taker, item: Item) -> None:
    """Take the IPv6 address of an attachment, if it wants one, after its IPv4 address.

    Raises:
        PoolExhaustedError: None is free.
        AddressTakenError: The one that is asked for is somebody else's.
        DanmError: As of ``Taker``.
    """
    net, spec = item.network.net, item.network.spec
    match item.wishes.ipv6:
        case Nothing():
            pass
        case AnyOf(space=space):
            mac = item.mac or mac_of_any6(net, spec, item.identity)
            took = item.add(await taker.take_any(item.ref, item.claim, space, mac=mac))
            item.ipv6, item.mac = took.held.address, item.mac or took.held.mac
        case OfMac(pairing=pairing):
            await _take_ipv6_of_mac(taker, item, pairing)
        case Exactly(address=address, tracked=True):
            await _take_exactly_ipv6(taker, item, address)
        case Exactly(address=address):
            item.ipv6 = address
    item.mac = item.mac or mac_for(
        net, spec, ipv4=item.ipv4, ipv6=item.ipv6, identity=item.identity
    )


async def _take_any_ipv4(
    taker: Taker, item: Item, space: AddressSpace, *, mac: str | None, pairs: Pairs | None = None
) -> None:
    try:
        took = item.add(
            await taker.take_any(item.ref, item.claim, space, mac=mac, pairs=pairs, left=item.left)
        )
    except PoolExhaustedError as error:
        if pairs is None and space == dynamic_ipv4(item.network.spec):
            raise
        raise PoolExhaustedError(
            f"{error}. Addresses do not count whose EUI-64 IPv6 address, which is asked for too, is"
            " excluded, a gateway, cooling or another owner's"
        ) from error
    item.ipv4, item.mac = took.held.address, took.held.mac


async def _take_ipv6_of_mac(taker: Taker, item: Item, pairing: Pairing) -> None:
    """Take the EUI-64 address of the MAC; where it cannot be had, take another IPv4 address."""
    ipv4, pairs = item.wishes.ipv4, pairing.pairs
    if not isinstance(ipv4, AnyOf) or pairs is None:
        await _take_exactly_ipv6(taker, item, _ipv6_of(item, item.mac))
        return
    while True:
        address = _ipv6_of(item, item.mac)
        if not (pairing.excludes and _is_excluded(taker, item, address)):
            # Whoever has the IPv4 address since before had the IPv6 address too, most probably.
            dynamic = item.took[-1].new
            try:
                await _take_exactly_ipv6(taker, item, address, dynamic=dynamic)
            except AddressTakenError:
                pass
            else:
                return
        await _leave_ipv4(taker, item)
        await _take_any_ipv4(taker, item, ipv4.space, mac=None, pairs=pairs)


async def _leave_ipv4(taker: Taker, item: Item) -> None:
    """Give an IPv4 address back for another one; what the owner had before, only after that."""
    before = item.took[-1]
    if not before.new:
        item.left |= {before.held.address}
        return
    await taker.give_back(item.ref, before.held, cooldown_s=0, deadline=item.claim.deadline)
    item.took.pop()


async def _take_exactly_ipv6(
    taker: Taker, item: Item, address: IPAddress, *, dynamic: bool = False
) -> None:
    net, spec = item.network.net, item.network.spec
    mac = item.mac or mac_for(net, spec, ipv4=None, ipv6=address, identity=item.identity)
    if not dynamic:
        item.insisted |= {address}
    took = item.add(
        await taker.take_exact(
            item.ref,
            item.claim,
            address,
            mac=mac,
            alone=lies_outside_pool(spec, address),
            dynamic=dynamic,
        )
    )
    item.ipv6, item.mac = address, item.mac or took.held.mac


def _ipv6_of(item: Item, mac: str) -> IPAddress:
    net6 = item.network.spec.net6
    # Only of a network with net6 (allocator.wishes).
    assert net6 is not None  # noqa: S101
    return eui64_address(net6, mac)


def _is_excluded(taker: Taker, item: Item, address: IPAddress) -> bool:
    """Say whether an IPv6 address may not be given to an owner that does not have it."""
    excluded = is_excluded(item.network.spec, address)
    return excluded and not taker.holds(item.ref, item.claim, address)


def _require_ipv6_of(taker: Taker, item: Item, mac: str) -> None:
    """Make sure that the IPv6 address of a MAC which does not change may be given, if it is asked.

    Raises:
        InvalidRequestError: It is excluded (SPEC A7).
    """
    wish = item.wishes.ipv6
    if not isinstance(wish, OfMac) or not wish.pairing.excludes:
        return
    address = _ipv6_of(item, mac)
    if not _is_excluded(taker, item, address):
        return
    fault = Violation(
        field=f"attachments[{item.asked.index}].ip6",
        rule="G5",
        message=f'"dynamic" gives {address}, the EUI-64 address of MAC {mac}, which is excluded or'
        f" a gateway on {item.ref.name}; ask for a static address or for another ip",
    )
    raise InvalidRequestError(f"{item.ref} cannot give what is asked: {fault}", violations=(fault,))
