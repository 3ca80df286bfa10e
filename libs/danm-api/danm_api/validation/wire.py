"""The rules between DanmNets that meet on the nodes (SPEC N1, N3; DESIGN P1). Pure.

A *claim* is a spec of another DanmNet that counts: the one in force, and the present one once the
validator has accepted it, or is about to (its verdict is "Unknown": see decision 0010). A DanmNet
that was refused, or not judged yet, claims nothing by its present spec, so whoever was accepted
first wins, and two that contradict each other can never refuse one another.
"""

from collections.abc import Iterable, Iterator

from danm_api.errors import Violation
from danm_api.model.danmnet import (
    CONDITION_VALID,
    BuiltInType,
    DanmNet,
    NetworkSpec,
    Segment,
    Untagged,
    Vlan,
    Vxlan,
)
from danm_api.validation.links import host_link_name, parent_link_name
from danm_api.validation.pools import effective_pool, effective_pool6, hands_out_addresses

# What kind of name it is, what it names, and what of it.
WireName = tuple[str, str, Segment]


def same_wire(one: NetworkSpec, other: NetworkSpec) -> bool:
    """Say whether the Pods of two networks hear each other.

    They do with the same parent, and the same VLAN or VNI or none (DESIGN P1); or when one names
    the other's link as its host_device.
    """
    theirs = names_of_wire(other)
    return any(name in theirs for name in names_of_wire(one))


def names_of_wire(spec: NetworkSpec) -> tuple[WireName, ...]:
    """Return the names by which a network's wire is known: who has one of them shares it.

    A network whose Pods hang on no link that DANM knows has none.
    """
    if not isinstance(spec.network_type, BuiltInType):
        return ()
    names: list[WireName] = []
    if spec.host_device is not None:
        # A link and what of it, and the link whose untagged frames are just that.
        names.append(("device", spec.host_device, spec.segment))
        names.append(("link", _untagged_link(spec), Untagged()))
    # A Pod of either network gets any device of the pool, so that all of them are on one wire.
    if spec.network_type is BuiltInType.SRIOV and spec.device_pool is not None:
        names.append(("pool", spec.device_pool, spec.segment))
    return tuple(names)


def wire_text(spec: NetworkSpec) -> str:
    """Return what a network's Pods hang on, to compare it: ``ens4/vlan/300``.

    ipam-svc's API tells it (``AttachmentAnswer.wire``), so releases write it alike for ever.
    """
    # A pool's device says where it hangs, whatever else is named (SPEC E1).
    device = spec.device_pool or spec.host_device or ""
    match spec.segment:
        case Untagged():
            return device
        case Vlan(vid=vid):
            return f"{device}/vlan/{vid}"
        case Vxlan(vni=vni):
            return f"{device}/vxlan/{vni}"


def _untagged_link(spec: NetworkSpec) -> str:
    """Return the link whose untagged frames are the network's, or what no link is called.

    Virtual functions tag their frames themselves: they are on their host_device only without VLAN.
    """
    if spec.network_type is BuiltInType.SRIOV and not isinstance(spec.segment, Untagged):
        return f"{spec.host_device} {_describe(spec.segment)}"
    return parent_link_name(spec) or ""


def shares_wire(net: DanmNet, spec: NetworkSpec, others: Iterable[DanmNet]) -> bool:
    """Say whether others are on a network's wire: then static addresses must lie in its pool.

    Args:
        net: The network.
        spec: Its spec in force.
        others: All DanmNets; ``net`` itself may be among them.
    """
    return any(
        same_wire(spec, claim)
        for other in others
        if not _is_same_object(net, other)
        for claim in claims(other)
    )


def claims(net: DanmNet) -> tuple[NetworkSpec, ...]:
    """Return the specs by which a DanmNet binds others."""
    found = [] if net.status.applied is None else [net.status.applied]
    verdict = net.status.condition(CONDITION_VALID)
    accepted = (
        verdict is not None
        and verdict.status is not False
        and verdict.observed_generation == net.generation
    )
    if accepted and isinstance(net.spec, NetworkSpec) and net.spec not in found:
        found.append(net.spec)
    return tuple(found)


def conflicts(net: DanmNet, others: Iterable[DanmNet]) -> tuple[Violation, ...]:
    """Return how a DanmNet's present spec contradicts what others claim.

    Args:
        net: The network to judge; its own claims do not count.
        others: All DanmNets; ``net`` itself may be among them.
    """
    spec = net.spec
    if not isinstance(spec, NetworkSpec):
        return ()
    # Two claims of one other network often break the same rule: it is said once.
    found = dict.fromkeys(
        violation
        for other in sorted(others, key=lambda other: (other.namespace, other.name))
        if not _is_same_object(net, other)
        for claim in claims(other)
        for violation in _between(spec, claim, f"DanmNet {other.namespace}/{other.name}")
    )
    return tuple(found)


def _is_same_object(one: DanmNet, other: DanmNet) -> bool:
    return (one.namespace, one.name) == (other.namespace, other.name)


def _between(spec: NetworkSpec, claim: NetworkSpec, owner: str) -> Iterator[Violation]:
    yield from _about_links(spec, claim, owner)
    yield from _about_kinds(spec, claim, owner)
    yield from _about_pools(spec, claim, owner)


def _about_links(spec: NetworkSpec, claim: NetworkSpec, owner: str) -> Iterator[Violation]:
    mine, theirs = host_link_name(spec), host_link_name(claim)
    if mine is None or theirs is None:
        return
    same_device = spec.host_device == claim.host_device
    if mine == theirs:
        if same_device and spec.segment == claim.segment:
            return
        message = (
            f'the nodes have one link "{mine}", and {owner} has it with '
            f"{_describe(claim.segment)} on {claim.host_device}; use the same, or another NetworkID"
        )
        yield Violation(field="spec.Options", rule="N3", message=message)
    # The kernel takes a VNI once, whatever the parent is, and a VID once on each parent.
    elif spec.segment == claim.segment and (same_device or isinstance(spec.segment, Vxlan)):
        message = (
            f'{_describe(spec.segment)} on {claim.host_device} is the link "{theirs}" of {owner}, '
            "and Linux refuses a second one; choose another number, or the NetworkID "
            f"{claim.network_id}"
        )
        yield Violation(field="spec.Options", rule="N1", message=message)


def _about_kinds(spec: NetworkSpec, claim: NetworkSpec, owner: str) -> Iterator[Violation]:
    exclusive = {BuiltInType.IPVLAN, BuiltInType.MACVLAN}
    parent = parent_link_name(spec)
    if (
        parent is not None
        and parent == parent_link_name(claim)
        and {spec.network_type, claim.network_type} == exclusive
    ):
        message = (
            f"{owner} has {claim.network_type} on {parent}, and Linux allows one of ipvlan and "
            f"macvlan on a device; write {claim.network_type}, or use another host_device or VLAN"
        )
        yield Violation(field="spec.NetworkType", rule="N1", message=message)


def _about_pools(spec: NetworkSpec, claim: NetworkSpec, owner: str) -> Iterator[Violation]:
    if not same_wire(spec, claim):
        return
    if not (hands_out_addresses(spec) and hands_out_addresses(claim)):
        return
    same_pool = spec.device_pool is not None and spec.device_pool == claim.device_pool
    device = spec.device_pool if same_pool else spec.host_device
    wire = f"{device}, {_describe(spec.segment)}"
    for option, mine, theirs in (
        ("allocation_pool", effective_pool(spec), effective_pool(claim)),
        ("allocation_pool6", effective_pool6(spec), effective_pool6(claim)),
    ):
        if mine is None or theirs is None:
            continue
        if int(mine.start) <= int(theirs.end) and int(theirs.start) <= int(mine.end):
            message = (
                f"{mine.start}-{mine.end} overlaps {theirs.start}-{theirs.end} of {owner} on the "
                f"same wire ({wire}); choose addresses that nobody else hands out there"
            )
            yield Violation(field=f"spec.Options.{option}", rule="N1", message=message)


def _describe(segment: Segment) -> str:
    match segment:
        case Untagged():
            return "no VLAN"
        case Vlan(vid=vid):
            return f"VLAN {vid}"
        case Vxlan(vni=vni):
            return f"VNI {vni}"
