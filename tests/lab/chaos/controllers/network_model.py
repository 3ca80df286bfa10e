"""What the validator must have said of every DanmNet. Pure, slow, and without DANM's own code.

Which of two DanmNets that contradict each other is accepted depends on what happened. So here are
the rules that hold whatever did: what is wrong by itself is refused, no two of what is in force or
accepted contradict each other, and nothing is refused that contradicts nobody.
What of it must have been told as Events is in ``network_events``.

Source: SPEC N1, N3, N5, A6.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from typing import Final

from tests.lab.chaos.controllers.facts import Difference
from tests.lab.chaos.controllers.network_events import differences_of_events
from tests.lab.chaos.controllers.network_facts import DanmNet, Networks, NetworkSpec

_BUILT_IN: Final = ("ipvlan", "macvlan")
_NAME_BYTES: Final = 15
_RESERVED_TABLES: Final = (0, 253, 254, 255)
# What only an unused network may change.
_Moving = tuple[str, str, int | None, int | None, str]


def differences(world: Networks) -> list[Difference]:
    """Return all that is missing or wrong."""
    found: list[Difference] = []
    for net in world.networks:
        found += differences_of_events(net, world.events)
        if net.metadata.deletion_timestamp is None:
            found += _of_network(world, net)
    claimed = [(net, claim) for net in world.networks for claim in claims(net)]
    for number, (one, mine) in enumerate(claimed):
        for other, theirs in claimed[number + 1 :]:
            if one is not other and contradict(mine, theirs):
                what = f"contradicts {other.metadata.where}, and both are accepted"
                found.append(Difference(kind="wrong", where=one.metadata.where, what=what))
    # Two claims of one DanmNet are mostly the same.
    return list(dict.fromkeys(found))


def faults(net: DanmNet) -> list[str]:
    """Return what is wrong with a DanmNet by itself."""
    return list(_faults(net))


def claims(net: DanmNet) -> list[NetworkSpec]:
    """Return the specs by which a DanmNet binds others: in force, and accepted (SPEC N1)."""
    valid = net.condition("Valid")
    is_accepted = (
        valid is not None
        and valid.status != "False"
        and valid.observed_generation == net.metadata.generation
    )
    found = [net.status.applied] if net.status.applied is not None else []
    return [*found, net.spec] if is_accepted else found


def contradict(one: NetworkSpec, other: NetworkSpec) -> bool:
    """Say whether two DanmNets cannot both be (SPEC N1, N3)."""
    mine, theirs = _link(one), _link(other)
    if mine is not None and theirs is not None:
        if mine == theirs and _place(one) != _place(other):
            return True
        same_number = _segment(one) == _segment(other)
        same_device = one.options.host_device == other.options.host_device
        if mine != theirs and same_number and (same_device or one.options.vxlan is not None):
            return True
    types = {one.network_type.lower(), other.network_type.lower()}
    if types == set(_BUILT_IN) and _parent(one) and _parent(one) == _parent(other):
        return True
    return _same_wire(one, other) and _overlap(one, other)


def _of_network(world: Networks, net: DanmNet) -> Iterator[Difference]:
    where = net.metadata.where
    valid = net.condition("Valid")
    if valid is None or valid.observed_generation != net.metadata.generation:
        yield Difference(kind="missing", where=where, what="a verdict on its present spec")
        return
    if valid.status not in {"True", "False"}:
        yield Difference(kind="missing", where=where, what=f"its verdict is {valid.status}")
        return
    if net.spec.validation != valid.status:
        what = f"spec.Validation {net.spec.validation!r}, and Valid {valid.status}"
        yield Difference(kind="wrong", where=where, what=what)
    wrong = faults(net)
    rivals = [
        other.metadata.where
        for other in world.networks
        if other is not net
        for claim in claims(other)
        if not wrong and contradict(net.spec, claim)
    ]
    if valid.status == "True":
        if wrong:
            yield Difference(kind="wrong", where=where, what=f"accepted, but: {'; '.join(wrong)}")
        yield from _in_force(world, net)
        return
    if not wrong and not rivals:
        what = f"refused, and contradicts nobody: {valid.message}"
        yield Difference(kind="wrong", where=where, what=what)
    if rivals and not any(f"DanmNet {rival}" in valid.message for rival in rivals):
        what = f"its verdict names none of {', '.join(rivals)}: {valid.message}"
        yield Difference(kind="wrong", where=where, what=what)
    if not valid.message:
        yield Difference(kind="missing", where=where, what="why it was refused")


def _in_force(world: Networks, net: DanmNet) -> Iterator[Difference]:
    where = net.metadata.where
    present, applied = net.status.applied, net.condition("Applied")
    users = [
        each.metadata.name
        for each in world.interfaces
        if each.metadata.namespace == net.metadata.namespace
        and each.spec.network == net.metadata.name
    ]
    waits = present is not None and bool(users) and _moving(present) != _moving(net.spec)
    is_whole = present is not None and _asked(present) == _asked(net.spec)
    if waits:
        if applied is None or (applied.status, applied.reason) != ("False", "ChangeWaits"):
            yield Difference(kind="wrong", where=where, what=f"waits for {users}: {applied}")
    elif not is_whole:
        what = f"in force is {present}, not {net.spec}, and nobody uses it: {users}"
        yield Difference(kind="wrong", where=where, what=what)
    elif applied is None or applied.status != "True":
        yield Difference(kind="wrong", where=where, what=f"all is in force: {applied}")


def _faults(net: DanmNet) -> Iterator[str]:
    spec, options = net.spec, net.spec.options
    if spec.network_id != net.metadata.name:
        yield "NetworkID differs from the name"
    if "/" in spec.network_type:
        yield "the type is no plain file name"
    if options.rt_tables in _RESERVED_TABLES:
        yield "rt_tables"
    if options.container_prefix == "lo":
        yield "container_prefix"
    yield from _faults_of_links(spec)
    yield from _faults_of_addresses(spec)


def _faults_of_links(spec: NetworkSpec) -> Iterator[str]:
    options = spec.options
    if options.vlan is not None and options.vxlan is not None:
        yield "vlan and vxlan together"
    elif _segment(spec) and not options.host_device:
        yield "no host_device"
    if len(options.host_device.encode()) > _NAME_BYTES:
        yield "host_device is too long"
    if len((_link(spec) or "").encode()) > _NAME_BYTES:
        yield "the link's name is too long"


def _faults_of_addresses(spec: NetworkSpec) -> Iterator[str]:
    options, cidr = spec.options, _cidr(spec)
    if options.cidr and cidr is None:
        yield "cidr"
    pool = options.allocation_pool
    if pool is not None:
        start, end = IPv4Address(pool.start), IPv4Address(pool.end)
        if start > end:
            yield "start after end"
        if cidr is None:
            yield "pool without cidr"
        elif start not in cidr or end not in cidr:
            yield "pool outside of cidr"
    for gateway in options.routes.values():
        if cidr is None or IPv4Address(gateway) not in cidr:
            yield "gateway outside of cidr"


def _cidr(spec: NetworkSpec) -> IPv4Network | None:
    try:
        return IPv4Network(spec.options.cidr)
    except ValueError:
        return None


def _segment(spec: NetworkSpec) -> str:
    if spec.options.vlan is not None:
        return f"vlan {spec.options.vlan}"
    return "" if spec.options.vxlan is None else f"vxlan {spec.options.vxlan}"


def _link(spec: NetworkSpec) -> str | None:
    """Return the link that every node gets (SPEC N2)."""
    if spec.options.vxlan is not None:
        return f"vx_{spec.network_id}"
    return None if spec.options.vlan is None else f"{spec.network_id}.{spec.options.vlan}"


def _parent(spec: NetworkSpec) -> str:
    """Return the device that Pods hang on."""
    return _link(spec) or spec.options.host_device


def _place(spec: NetworkSpec) -> tuple[str, str]:
    return spec.options.host_device, _segment(spec)


def _same_wire(one: NetworkSpec, other: NetworkSpec) -> bool:
    are_built_in = all(each.network_type.lower() in _BUILT_IN for each in (one, other))
    have_device = one.options.host_device and other.options.host_device
    if not are_built_in or not have_device:
        return False
    return _place(one) == _place(other) or _parent(one) == _parent(other)


def _overlap(one: NetworkSpec, other: NetworkSpec) -> bool:
    mine, theirs = _pool(one), _pool(other)
    return bool(mine and theirs and mine[0] <= theirs[1] and theirs[0] <= mine[1])


def _pool(spec: NetworkSpec) -> tuple[int, int] | None:
    """Return the ends of what a network hands out; both are inclusive."""
    cidr = _cidr(spec)
    if cidr is None:
        return None
    first, last = int(cidr.network_address) + 1, int(cidr.broadcast_address) - 1
    pool = spec.options.allocation_pool
    if pool is None:
        return first, last
    return max(first, int(IPv4Address(pool.start))), min(last, int(IPv4Address(pool.end)))


def _moving(spec: NetworkSpec) -> _Moving:
    options = spec.options
    kind = spec.network_type.lower()
    return kind, options.host_device, options.vlan, options.vxlan, options.cidr


def _asked(spec: NetworkSpec) -> tuple[object, ...]:
    """Return what a spec says, in one form for all ways of writing it."""
    options = spec.options
    return (
        *_moving(spec),
        _pool(spec),
        sorted(options.routes.items()),
        options.rt_tables,
        options.container_prefix,
    )
