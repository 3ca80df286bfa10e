"""Which addresses of a network may be handed out dynamically. Pure."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, Literal

from danm_api.model.addresses import IPAddress, IPNetwork
from danm_api.model.danmnet import NetworkSpec
from danm_api.validation import effective_pool, effective_pool6
from ipam_svc.mac import LOW_BITS_MASK

Version = Literal[4, 6]
VERSIONS: Final[tuple[Version, ...]] = (4, 6)

# DESIGN, "Blocks": 64 addresses.
BLOCK_SIZE: Final = 64
BLOCK_PREFIX: Final[dict[Version, int]] = {4: 26, 6: 122}

# The MAC holds the low 24 bits of an address, which are unique within a /8 (DESIGN, "MAC").
_WIDEST_DISTINCT_PREFIX: Final = 8


def address_of(version: Version, number: int) -> IPAddress:
    """Return the address with this number."""
    return IPv4Address(number) if version == 4 else IPv6Address(number)  # noqa: PLR2004


def version_of(address: IPAddress) -> Version:
    """Return the family of an address."""
    return 4 if address.version == 4 else 6  # noqa: PLR2004


def block_start(number: int) -> int:
    """Return the number of the first address of an address's block."""
    return number - number % BLOCK_SIZE


def block_network(version: Version, start: int) -> IPNetwork:
    """Return the block that starts at a number."""
    if version == 4:  # noqa: PLR2004
        return IPv4Network((start, BLOCK_PREFIX[4]))
    return IPv6Network((start, BLOCK_PREFIX[6]))


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressSpace:
    """A set of addresses of one family, as numbers.

    Attributes:
        intervals: Sorted, disjoint and not adjacent; both ends inclusive.
        start: Where the first search begins; it need not lie in an interval.
        total: How many addresses there are.
    """

    version: Version
    intervals: tuple[tuple[int, int], ...]
    start: int
    total: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Count once: every reservation asks how much there is."""
        total = sum(last - first + 1 for first, last in self.intervals)
        object.__setattr__(self, "total", total)

    def __contains__(self, address: object) -> bool:
        """Say whether an address may be handed out dynamically."""
        if not isinstance(address, IPv4Address | IPv6Address) or address.version != self.version:
            return False
        return self.has(int(address))

    def has(self, number: int) -> bool:
        """Say whether the address with this number belongs to the space."""
        position = bisect_right(self.intervals, (number, self._beyond)) - 1
        return position >= 0 and number <= self.intervals[position][1]

    def following(self, number: int) -> int | None:
        """Return the smallest address that is not below a number."""
        if self.has(number):
            return number
        position = bisect_right(self.intervals, (number, self._beyond))
        return self.intervals[position][0] if position < len(self.intervals) else None

    def within(self, first: int, last: int) -> Iterator[int]:
        """Yield the addresses from first to last, both inclusive, in order."""
        position = max(0, bisect_right(self.intervals, (first, self._beyond)) - 1)
        for low, high in self.intervals[position:]:
            if low > last:
                return
            yield from range(max(low, first), min(high, last) + 1)

    def without(self, barred: Iterable[tuple[int, int]]) -> "AddressSpace":
        """Return the space less some intervals, both ends inclusive; itself if that is nothing."""
        cut = sorted(barred)
        left = tuple(
            piece for first, last in self.intervals for piece in _without(first, last, cut)
        )
        return self if left == self.intervals else replace(self, intervals=left)

    @property
    def _beyond(self) -> int:
        return 1 << 129


@lru_cache(maxsize=4096)
def dynamic_ipv4(spec: NetworkSpec) -> AddressSpace | None:
    """Return the IPv4 addresses that are handed out dynamically; None for a network without cidr.

    Source: SPEC G2, A7; RFC 3021 for /31 and /32.
    """
    pool = effective_pool(spec)
    if pool is None:
        return None
    first, last = int(pool.start), int(pool.end)
    reserved = _excluded(spec, version=4)
    reserved += [(int(route.gateway), int(route.gateway)) for route in spec.routes]
    return AddressSpace(version=4, intervals=_without(first, last, reserved), start=first)


@lru_cache(maxsize=4096)
def dynamic_ipv6(spec: NetworkSpec, *, seed: int) -> AddressSpace | None:
    """Return the IPv6 addresses that an attachment without IPv4 may get; None if there are none.

    Without ``allocation_pool6`` they are the EUI-64 addresses of the MACs fa:16:3e:*, less those
    whose MAC belongs to an address of the network's cidr, and ``seed`` says where the search
    begins.

    Source: SPEC G5, A7; DESIGN, "Dynamic IPv6 without a pool".
    """
    pool = effective_pool6(spec)
    if pool is None:
        return None
    first, last = int(pool.start), int(pool.end)
    reserved = list(reserved_ipv6(spec))
    start = first
    if spec.pool6 is None:
        reserved += _of_ipv4_macs(spec, first)
        start += seed & LOW_BITS_MASK
    return AddressSpace(version=6, intervals=_without(first, last, reserved), start=start)


def reserved_ipv6(spec: NetworkSpec) -> tuple[tuple[int, int], ...]:
    """Return the IPv6 addresses that ``exclude`` and gateways take out, both ends inclusive."""
    gateways = [(int(route.gateway), int(route.gateway)) for route in spec.routes6]
    return (*_excluded(spec, version=6), *gateways)


def low_bits_are_distinct(network: IPNetwork) -> bool:
    """Say whether no two addresses of a network have the same low 24 bits."""
    return network.max_prefixlen - network.prefixlen <= 32 - _WIDEST_DISTINCT_PREFIX


def _of_ipv4_macs(spec: NetworkSpec, first: int) -> list[tuple[int, int]]:
    """Return the EUI-64 addresses, counted from ``first``, of MACs of the cidr's addresses."""
    if spec.cidr is None or not low_bits_are_distinct(spec.cidr):
        return []
    begin = first + (int(spec.cidr.network_address) & LOW_BITS_MASK)
    return [(begin, begin + spec.cidr.num_addresses - 1)]


def _excluded(spec: NetworkSpec, *, version: Version) -> list[tuple[int, int]]:
    return [
        (int(network.network_address), int(network.broadcast_address))
        for network in spec.exclude
        if network.version == version
    ]


def _without(
    first: int, last: int, reserved: Iterable[tuple[int, int]]
) -> tuple[tuple[int, int], ...]:
    """Cut reserved intervals out of one interval; all ends inclusive."""
    left: list[tuple[int, int]] = []
    for low, high in sorted(reserved):
        if high < first:
            continue
        if low > last:
            break
        if low > first:
            left.append((first, low - 1))
        first = high + 1
    if first <= last:
        left.append((first, last))
    return tuple(left)
