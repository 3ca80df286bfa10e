"""Which part of an accepted edit comes into force at once, and what waits for whom (SPEC N5).

Pure.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from danm_api.model.addresses import IPAddress, IPNetwork
from danm_api.model.danmnet import (
    BuiltInType,
    NetworkSpec,
    Segment,
    StaticDelegate,
    Untagged,
    Vlan,
    Vxlan,
)
from danm_api.validation import effective_pool, effective_pool6, is_excluded

_SHOWN: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkUse:
    """Who uses a network.

    Attributes:
        interfaces: The owners of its interfaces, readable; with or without an address.
        holders: The owner of each address, readable.
    """

    interfaces: tuple[str, ...] = ()
    holders: Mapping[IPAddress, str] = field(default_factory=dict)

    @property
    def everybody(self) -> Sequence[str]:
        """Return all who use it, once each."""
        return sorted({*self.interfaces, *self.holders.values()})


UNUSED: Final = NetworkUse()


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """What is in force after an edit was accepted.

    Attributes:
        spec: The spec to follow.
        waiting: A sentence for each thing that waits; empty when all of the edit is in force.
    """

    spec: NetworkSpec
    waiting: tuple[str, ...] = ()


def depends_on_use(applied: NetworkSpec | None, wanted: NetworkSpec) -> bool:
    """Say whether it matters for an edit who uses the network."""
    if applied is None:
        return False
    return bool(_moved(applied, wanted)) or _pools(applied) != _pools(wanted)


def is_in_pools(spec: NetworkSpec, address: IPAddress) -> bool:
    """Say whether an address lies in one of a network's pools, excluded or not."""
    pool = effective_pool(spec) if address.version == 4 else effective_pool6(spec)  # noqa: PLR2004
    return pool is not None and address in pool


def is_in_subnets(spec: NetworkSpec, address: IPAddress) -> bool:
    """Say whether a network may give an address, statically at least."""
    return any(subnet is not None and address in subnet for subnet in (spec.cidr, spec.net6))


def reaches_into_pools(spec: NetworkSpec, block: IPNetwork) -> bool:
    """Say whether some address of a block lies in one of a network's pools."""
    pool = effective_pool(spec) if block.version == 4 else effective_pool6(spec)  # noqa: PLR2004
    return (
        pool is not None
        and int(block.network_address) <= int(pool.end)
        and int(pool.start) <= int(block.broadcast_address)
    )


def loses(applied: NetworkSpec, wanted: NetworkSpec, block: IPNetwork) -> bool:
    """Say whether a block has addresses that one spec allows and another one does not."""
    if _moved(applied, wanted):
        return True
    return any(
        _hands_out(applied, address) and not _hands_out(wanted, address) for address in block
    )


def bring_into_force(applied: NetworkSpec | None, wanted: NetworkSpec, use: NetworkUse) -> InForce:
    """Decide what of an accepted spec is in force.

    A change of what Pods hang on, or of their subnet, waits for the last user. What else the same
    edit says waits with it, since pools and routes belong to the subnet beside which they stand.

    Args:
        applied: The spec in force until now; None before the first acceptance.
        wanted: The accepted spec.
        use: Who uses the network; only looked at where ``depends_on_use`` says so.
    """
    if applied is None:
        return InForce(spec=wanted)
    moved = _moved(applied, wanted)
    if moved and use.everybody:
        who = _some(use.everybody)
        waiting = tuple(
            f"{option} stays {old} and becomes {new} when nobody uses the network any more"
            for option, old, new in moved
        )
        return InForce(spec=applied, waiting=(*waiting, f"it is used by {who}"))
    if moved:
        return InForce(spec=wanted)
    kept = replace(wanted, pool=applied.pool, pool6=applied.pool6, exclude=applied.exclude)
    lost = [
        f"{address} ({holder})"
        for address, holder in sorted(use.holders.items(), key=lambda item: int(item[0]))
        # Routes are in force at once; only what the pools and exclusions take away counts.
        if _hands_out(kept, address) and not _hands_out(wanted, address)
    ]
    if not lost:
        return InForce(spec=wanted)
    options = ", ".join(_narrowed(applied, wanted))
    reason = f"{options} as before, until these addresses, which drop out, are free: {_some(lost)}"
    return InForce(spec=kept, waiting=(reason,))


def _moved(applied: NetworkSpec, wanted: NetworkSpec) -> list[tuple[str, str, str]]:
    """Return option, old and new value of what only an unused network may change."""
    pairs = (
        ("NetworkType", _type(applied), _type(wanted)),
        ("host_device", str(applied.host_device), str(wanted.host_device)),
        ("the segment", _segment(applied.segment), _segment(wanted.segment)),
        ("cidr", str(applied.cidr), str(wanted.cidr)),
        ("net6", str(applied.net6), str(wanted.net6)),
    )
    return [(option, old, new) for option, old, new in pairs if old != new]


def _type(spec: NetworkSpec) -> str:
    match spec.network_type:
        case BuiltInType() as built_in:
            return built_in.value
        case StaticDelegate(name=name):
            return name


def _segment(segment: Segment) -> str:
    match segment:
        case Vlan(vid=vid):
            return f"vlan {vid}"
        case Vxlan(vni=vni):
            return f"vxlan {vni}"
        case Untagged():
            return "untagged"


def _pools(spec: NetworkSpec) -> tuple[object, ...]:
    return (effective_pool(spec), effective_pool6(spec), spec.exclude)


def _narrowed(applied: NetworkSpec, wanted: NetworkSpec) -> Iterator[str]:
    if applied.pool != wanted.pool:
        yield "allocation_pool"
    if applied.pool6 != wanted.pool6:
        yield "allocation_pool6"
    if applied.exclude != wanted.exclude:
        yield "exclude"


def _hands_out(spec: NetworkSpec, address: IPAddress) -> bool:
    pool = effective_pool(spec) if address.version == 4 else effective_pool6(spec)  # noqa: PLR2004
    return pool is not None and address in pool and not is_excluded(spec, address)


def _some(texts: Iterable[str]) -> str:
    found = list(texts)
    rest = len(found) - _SHOWN
    return ", ".join(found[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
