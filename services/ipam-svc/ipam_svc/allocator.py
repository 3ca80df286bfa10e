"""What a request means on a network, and where to look for a free address. Pure.

Nothing here decides who holds an address: only a block's successful write does (DESIGN, "One
linearisation point").
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from danm_api.errors import InvalidRequestError
from danm_api.model.addresses import IPAddress, eui64_range, mac_of
from danm_api.model.attachment import (
    Dynamic,
    IPv4Request,
    IPv6Request,
    NoAddress,
    StaticIPv4,
    StaticIPv6,
)
from danm_api.model.danmnet import DanmNet, NetworkSpec
from danm_api.validation import (
    check_ip_request,
    effective_pool,
    effective_pool6,
    hands_out_addresses,
)
from ipam_svc.address_space import (
    BLOCK_SIZE,
    AddressSpace,
    block_start,
    dynamic_ipv4,
    dynamic_ipv6,
    low_bits_are_distinct,
)
from ipam_svc.mac import LOW_BITS_MASK, drawn_mac
from ipam_svc.pairs import Pairing, pairing_of

# An aligned /104 holds 2^24 addresses: no two of them have the same low 24 bits.
_LOW_BITS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """No address of this family."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyOf:
    """The next free address of a space."""

    space: AddressSpace


@dataclass(frozen=True, slots=True, kw_only=True)
class Exactly:
    """This address.

    Attributes:
        tracked: False on a network that has no subnet of the family (SPEC G3).
    """

    address: IPAddress
    tracked: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class OfMac:
    """The EUI-64 address of the MAC that the attachment's IPv4 address gives (SPEC G5)."""

    pairing: Pairing


Wish4 = Nothing | AnyOf | Exactly
Wish6 = Nothing | AnyOf | Exactly | OfMac


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What one attachment wants of its network."""

    ipv4: Wish4
    ipv6: Wish6


class BlockIndex(Protocol):
    """What a replica knows of one network's blocks of one family; it may be behind."""

    def exists(self, start: int) -> bool:
        """Say whether there is a block that starts at this number."""
        ...

    def open_from(self, start: int) -> Iterator[int]:
        """Yield the starts of blocks that may have space: from here on, then from the beginning."""
        ...

    def is_contended(self, start: int) -> bool:
        """Say whether another replica writes the block."""
        ...

    def room(self, start: int, space: AddressSpace) -> int:
        """Return how many addresses of a space are free there, a new block included."""
        ...


def wishes(
    net: DanmNet,
    spec: NetworkSpec,
    ip: IPv4Request,
    ip6: IPv6Request,
    *,
    shares_wire: bool,
    prefix: str = "",
) -> Wishes:
    """Judge the request of one attachment by the rules of its network.

    Args:
        net: The network.
        spec: Its spec in force.
        ip: What is asked for IPv4.
        ip6: What is asked for IPv6.
        shares_wire: Another DanmNet uses the same wire, so static addresses must lie in the pool.
        prefix: Put before the names of fields at fault, such as ``attachments[0].``.

    Raises:
        InvalidRequestError: SPEC G3 to G5 refuse the request.
    """
    violations = check_ip_request(spec, ip, ip6, shares_wire=shares_wire, prefix=prefix)
    if violations:
        clauses = "; ".join(str(violation) for violation in violations)
        reason = f"DanmNet {net.namespace}/{net.name} cannot give what is asked: {clauses}"
        raise InvalidRequestError(reason, violations=violations)
    if not hands_out_addresses(spec):
        return Wishes(ipv4=Nothing(), ipv6=Nothing())
    if isinstance(ip6, Dynamic) and spec.pool6 is None:
        pairing = pairing_of(spec)
        ipv4 = _wish4(spec, ip, pairing.space)
        if ipv4 != Nothing():
            return Wishes(ipv4=ipv4, ipv6=OfMac(pairing=pairing))
    else:
        ipv4 = _wish4(spec, ip, dynamic_ipv4(spec))
    return Wishes(ipv4=ipv4, ipv6=_wish6(net, spec, ip6))


def lies_outside_pool(spec: NetworkSpec, address: IPAddress) -> bool:
    """Say whether only a network that is alone on its wire may give an address (SPEC G3)."""
    if spec.host_device is None:
        return False
    pool = effective_pool(spec) if address.version == 4 else effective_pool6(spec)  # noqa: PLR2004
    return pool is None or address not in pool


def mac_for(
    net: DanmNet,
    spec: NetworkSpec,
    *,
    ipv4: IPAddress | None,
    ipv6: IPAddress | None,
    identity: tuple[str, ...],
) -> str:
    """Return the MAC of an interface with these addresses (SPEC G6)."""
    if ipv4 is not None and (spec.cidr is None or low_bits_are_distinct(spec.cidr)):
        return mac_of(ipv4)
    if ipv4 is None and ipv6 is not None and _low_bits_are_its_own(spec, ipv6):
        return mac_of(ipv6)
    return drawn_mac(net.uid, *identity)


def mac_of_any4(net: DanmNet, spec: NetworkSpec, identity: tuple[str, ...]) -> str | None:
    """Return the MAC for whatever IPv4 address is taken; None derives it from the address."""
    if spec.cidr is None or low_bits_are_distinct(spec.cidr):
        return None
    return drawn_mac(net.uid, *identity)


def mac_of_any6(net: DanmNet, spec: NetworkSpec, identity: tuple[str, ...]) -> str | None:
    """Return the MAC for whatever IPv6 address is taken without IPv4; None derives it."""
    if spec.pool6 is None:
        return None
    one_of_each = int(spec.pool6.start) >> _LOW_BITS == int(spec.pool6.end) >> _LOW_BITS
    return None if one_of_each and spec.cidr is None else drawn_mac(net.uid, *identity)


def search_seed(net: DanmNet) -> int:
    """Return where the search for EUI-64 addresses begins: random per network, and stable."""
    return int.from_bytes(sha256(net.uid.encode()).digest()[:4], "big")


def choose_block(space: AddressSpace, index: BlockIndex, *, after: int) -> int | None:
    """Return the start of the block to take an address from, by next-fit.

    An open block with space comes before a new one (DESIGN, "Group commit"), unless another replica
    writes it: then both would spend their time on conflicts. When there is no other, it serves all
    the same.

    Args:
        space: The addresses that may be handed out.
        index: The network's blocks.
        after: The number of the address handed out last.

    Returns:
        None when every address is taken, as far as the index knows.
    """
    contended: int | None = None
    for start in index.open_from(block_start(after)):
        if index.room(start, space) > 0:
            if not index.is_contended(start):
                return start
            contended = start if contended is None else contended
    for start in _unopened(space, index, after=after):
        if not index.is_contended(start):
            return start
        contended = start if contended is None else contended
    return contended


def block_ahead(space: AddressSpace, index: BlockIndex, *, of: int) -> int | None:
    """Return the start of the block that will be opened when another one is full.

    Returns:
        None when another open block has space, or none is left to be opened.
    """
    for start in index.open_from(of):
        if start != of and index.room(start, space) > 0 and not index.is_contended(start):
            return None
    for start in _unopened(space, index, after=of + BLOCK_SIZE - 1):
        if start != of and not index.is_contended(start):
            return start
    return None


def _unopened(space: AddressSpace, index: BlockIndex, *, after: int) -> Iterator[int]:
    """Yield the starts of blocks that do not exist and would have space, by next-fit."""
    for begin in (after + 1, 0):
        number = space.following(begin)
        while number is not None:
            start = block_start(number)
            if not index.exists(start) and index.room(start, space) > 0:
                yield start
            number = space.following(start + BLOCK_SIZE)


def _wish4(spec: NetworkSpec, ip: IPv4Request, space: AddressSpace | None) -> Wish4:
    match ip:
        case NoAddress():
            return Nothing()
        case StaticIPv4():
            return Exactly(address=ip.interface.ip, tracked=spec.cidr is not None)
        case Dynamic():
            return Nothing() if space is None else AnyOf(space=space)


def _wish6(net: DanmNet, spec: NetworkSpec, ip6: IPv6Request) -> Wish6:
    match ip6:
        case NoAddress():
            return Nothing()
        case StaticIPv6():
            return Exactly(address=ip6.interface.ip, tracked=spec.net6 is not None)
        case Dynamic():
            space = dynamic_ipv6(spec, seed=search_seed(net))
            return Nothing() if space is None else AnyOf(space=space)


def _low_bits_are_its_own(spec: NetworkSpec, ipv6: IPAddress) -> bool:
    """Say whether no other address of the network has the low 24 bits of an IPv6 address."""
    if spec.cidr is not None:
        if not low_bits_are_distinct(spec.cidr):
            return False
        first = int(spec.cidr.network_address) & LOW_BITS_MASK
        if first <= int(ipv6) & LOW_BITS_MASK < first + spec.cidr.num_addresses:
            return False
    if spec.pool6 is None:
        return spec.net6 is not None and ipv6 in eui64_range(spec.net6)
    same_block = int(spec.pool6.start) >> _LOW_BITS == int(spec.pool6.end) >> _LOW_BITS
    return same_block and ipv6 in spec.pool6
