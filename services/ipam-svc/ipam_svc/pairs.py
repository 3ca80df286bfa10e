"""IPv4 addresses and the EUI-64 IPv6 addresses of the MACs that follow from them. Pure.

Who asks for both of a network without a pool of IPv6 addresses gets such a pair (SPEC G5, G6), so
what bars the one address bars the other.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import chain

from danm_api.model.addresses import IPNetwork, eui64_range
from danm_api.model.danmnet import NetworkSpec
from danm_api.model.ip_block import Held, IPBlock
from danm_api.record.entries import has_expired
from ipam_svc.address_space import (
    AddressSpace,
    dynamic_ipv4,
    low_bits_are_distinct,
    reserved_ipv6,
)
from ipam_svc.claim import Claim
from ipam_svc.mac import LOW_BITS_MASK
from ipam_svc.readings import is_free, is_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Which address of a network belongs to which: the low 24 bits are the same.

    Attributes:
        first4: The number of the IPv4 address whose low 24 bits are 0; it may lie before the cidr.
        first6: That of its IPv6 address.
    """

    first4: int
    first6: int

    def ipv4_of(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """Yield the IPv4 addresses to an interval of IPv6 addresses, if any; ends inclusive."""
        first, last = max(low - self.first6, 0), min(high - self.first6, LOW_BITS_MASK)
        if first <= last:
            yield self.first4 + first, self.first4 + last


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """What a network's spec says of pairs.

    Attributes:
        pairs: None where an IPv4 address gives no IPv6 address.
        space: The IPv4 addresses that are handed out dynamically with their IPv6 addresses; None
            without cidr. Usually it is the very space of those that are handed out alone.
        excludes: Some IPv6 addresses are never handed out.
    """

    pairs: Pairs | None
    space: AddressSpace | None
    excludes: bool


@lru_cache(maxsize=4096)
def pairing_of(spec: NetworkSpec) -> Pairing:
    """Judge a spec once: every attachment of both families asks."""
    reserved, space, pairs = reserved_ipv6(spec), dynamic_ipv4(spec), _pairs_of(spec)
    if space is not None and pairs is not None:
        space = space.without(ipv4 for low, high in reserved for ipv4 in pairs.ipv4_of(low, high))
    return Pairing(pairs=pairs, space=space, excludes=bool(reserved))


def _pairs_of(spec: NetworkSpec) -> Pairs | None:
    if spec.cidr is None or spec.net6 is None or spec.pool6 is not None:
        return None
    if not low_bits_are_distinct(spec.cidr):
        return None
    return Pairs(
        first4=int(spec.cidr.network_address) & ~LOW_BITS_MASK,
        first6=int(eui64_range(spec.net6).start),
    )


def without_taken(
    space: AddressSpace,
    pairs: Pairs,
    blocks: Iterable[IPBlock],
    claim: Claim,
    *,
    now: datetime,
    barred: Iterable[IPNetwork] = (),
) -> AddressSpace:
    """Return the IPv4 addresses of a space whose IPv6 address an owner can have.

    Args:
        space: IPv4 addresses.
        pairs: Their IPv6 addresses.
        blocks: The network's; those of IPv4 tell nothing.
        claim: Whose own entries bar nothing.
        now: The time; what has expired bars until it has cooled.
        barred: IPv6 addresses that nobody can have.
    """
    out_of_use = (
        ipv4
        for cidr in barred
        for ipv4 in pairs.ipv4_of(int(cidr.network_address), int(cidr.broadcast_address))
    )
    over = now - timedelta(seconds=claim.cooldown_s)
    taken = (
        ipv4
        for block in blocks
        if block.cidr.version != space.version
        for entry in block.entries
        if not (
            (is_of(entry, claim.owner, claim.node) or has_expired(entry, now=over))
            if isinstance(entry, Held)
            else is_free(entry, now=now)
        )
        for ipv4 in pairs.ipv4_of(int(entry.address), int(entry.address))
    )
    return space.without(chain(taken, out_of_use))
