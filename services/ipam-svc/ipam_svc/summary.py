"""How full a network is, in numbers and in words (SPEC A4). Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from danm_api.model.danmnet import DanmNet, NetworkSpec, Usage
from danm_api.model.ip_block import Cooling, IPBlock, UnreadableBlock
from danm_api.record.entries import held_entries
from danm_api.validation import hands_out_addresses
from ipam_svc.address_space import (
    BLOCK_SIZE,
    AddressSpace,
    Version,
    address_of,
    dynamic_ipv4,
    dynamic_ipv6,
)
from ipam_svc.allocator import search_seed

# SPEC A4: so that a status stays small, whatever the network's size.
MAX_RANGES: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSummary:
    """Both families; None where the network has no subnet of the family."""

    ipv4: Usage | None
    ipv6: Usage | None


def summarise(
    net: DanmNet,
    spec: NetworkSpec,
    blocks: Iterable[IPBlock],
    unreadable: Sequence[UnreadableBlock] = (),
) -> NetworkSummary:
    """Count a network's addresses.

    Args:
        net: The network.
        spec: Its spec in force.
        blocks: All its blocks.
        unreadable: Its blocks that cannot be read: nothing there is free, nor known to be used.
    """
    numbers: dict[Version, list[int]] = {4: [], 6: []}
    for block in blocks:
        version: Version = 4 if block.cidr.version == 4 else 6  # noqa: PLR2004
        numbers[version] += (int(entry.address) for entry in held_entries(block))
    if not hands_out_addresses(spec):
        return NetworkSummary(ipv4=None, ipv6=None)
    return NetworkSummary(
        ipv4=_usage(4, dynamic_ipv4(spec), numbers[4], unreadable, tracked=spec.cidr is not None),
        ipv6=_usage(
            6,
            dynamic_ipv6(spec, seed=search_seed(net)),
            numbers[6],
            unreadable,
            tracked=spec.net6 is not None,
        ),
    )


def stays_in_use(
    summary: NetworkSummary, blocks: Sequence[IPBlock], unreadable: Sequence[UnreadableBlock] = ()
) -> bool:
    """Say whether a network that was neither empty nor full surely is neither now.

    It looks at few entries, so False does not mean that it is.

    Args:
        summary: How full it was.
        blocks: All its blocks, as they are now.
        unreadable: Those of them that cannot be read.
    """
    out_of_use = BLOCK_SIZE * len(unreadable)
    for version, usage in ((4, summary.ipv4), (6, summary.ipv6)):
        if usage is None:
            continue
        family = [block for block in blocks if block.cidr.version == version]
        taken = out_of_use + sum(len(block.entries) for block in family)
        if not usage.used or taken >= usage.total:
            return False
        if not any(held_entries(block) for block in family):
            return False
    return summary.ipv4 is not None or summary.ipv6 is not None


def cooling_until(
    net: DanmNet, spec: NetworkSpec, blocks: Iterable[IPBlock]
) -> Mapping[Version, list[datetime]]:
    """Return when addresses of the pool, of each family, have cooled down; sorted.

    They count as free in a summary, whatever the time is.
    """
    spaces: dict[Version, AddressSpace | None] = {
        4: dynamic_ipv4(spec),
        6: dynamic_ipv6(spec, seed=search_seed(net)),
    }
    found: dict[Version, list[datetime]] = {4: [], 6: []}
    for block in blocks:
        version: Version = 4 if block.cidr.version == 4 else 6  # noqa: PLR2004
        space = spaces[version]
        if space is not None:
            found[version] += (
                entry.free_at
                for entry in block.entries
                if isinstance(entry, Cooling) and space.has(int(entry.address))
            )
    for ends in found.values():
        ends.sort()
    return found


def _usage(
    version: Version,
    space: AddressSpace | None,
    held: list[int],
    unreadable: Sequence[UnreadableBlock],
    *,
    tracked: bool,
) -> Usage | None:
    if not tracked:
        return None
    held.sort()
    in_pool = 0 if space is None else sum(1 for number in held if space.has(number))
    total = 0 if space is None else space.total
    out_of_use = sum(
        1
        for block in unreadable
        if space is not None and block.cidr is not None and block.cidr.version == version
        for _ in space.within(int(block.cidr[0]), int(block.cidr[-1]))
    )
    return Usage(
        total=total,
        used=len(held),
        free=total - in_pool - out_of_use,
        ranges=ranges_text(version, held),
    )


def ranges_text(version: Version, numbers: Iterable[int]) -> str:
    """Return sorted addresses in readable form, such as ``10.0.0.1-10.0.0.5, 10.0.0.9``."""
    runs = runs_of(numbers)
    shown = [run_text(version, first, last) for first, last in runs[:MAX_RANGES]]
    more = len(runs) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def runs_of(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return the first and the last of each run of neighbours among sorted numbers."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] + 1 == number:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs


def run_text(version: Version, first: int, last: int) -> str:
    """Return a run of addresses, both ends inclusive, in readable form."""
    begin = str(address_of(version, first))
    return begin if first == last else f"{begin}-{address_of(version, last)}"
