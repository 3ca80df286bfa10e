"""The rules that a DanmNet must keep by itself (SPEC N1). Pure."""

import re
from collections.abc import Iterable
from typing import Final

from danm_api.errors import Violation
from danm_api.model.danmnet import (
    BuiltInType,
    DanmNet,
    NetworkSpec,
    StaticDelegate,
    UnreadableSpec,
    Untagged,
    Vxlan,
)
from danm_api.model.limits import MAX_ROUTING_TABLE, RESERVED_ROUTING_TABLES
from danm_api.names import MAX_INTERFACE_NAME_BYTES
from danm_api.validation.hostless import gateway_fault, hostless_part
from danm_api.validation.links import host_link_name, interface_name_fault
from danm_api.validation.pools import effective_pool, effective_pool6

_OPTIONS: Final = "spec.Options"

# The stem of a file name in the CNI configuration directory (SPEC E2). ".." is looked for apart.
PLAIN_FILE_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,62}")
# Of an extended resource: a domain, and a name of at most 63 characters.
RESOURCE_NAME: Final = re.compile(
    r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
)
# A delegate of this name would call DANM itself (SPEC E2).
OWN_PLUGIN: Final = "danm"
# Names that a Pod has already, or that Linux keeps for settings of all interfaces.
TAKEN_IN_PODS: Final = frozenset({"lo", "all", "default"})
# Linux takes IPv6 off a link with less (RFC 8200, section 5).
MIN_MTU_IPV6: Final = 1280


def validate_network(net: DanmNet) -> tuple[Violation, ...]:
    """Return every rule that a DanmNet breaks, whatever other objects there are."""
    match net.spec:
        case UnreadableSpec(violations=violations):
            return violations
        case NetworkSpec() as spec:
            return (
                *_check_name(net, spec),
                *_check_type(spec),
                *_check_links(spec),
                *_check_subnets(spec),
                *_check_pool(spec),
                *_check_pool6(spec),
                *_check_gateways(spec),
                *_check_routing_table(spec),
                *_check_interface(spec),
                *_check_device_pool(spec),
            )


def _violation(option: str, message: str, *, rule: str = "N1") -> Violation:
    return Violation(field=f"{_OPTIONS}.{option}", rule=rule, message=message)


def _check_name(net: DanmNet, spec: NetworkSpec) -> Iterable[Violation]:
    if spec.network_id != net.name:
        message = (
            f'"{spec.network_id}" is not the object\'s name; '
            f'set it to "{net.name}", or create the DanmNet under the other name'
        )
        yield Violation(field="spec.NetworkID", rule="N1", message=message)


def _check_type(spec: NetworkSpec) -> Iterable[Violation]:
    match spec.network_type:
        case BuiltInType():
            return
        case StaticDelegate(name=name):
            known = ", ".join(BuiltInType)
            if not PLAIN_FILE_NAME.fullmatch(name) or ".." in name:
                message = (
                    f'"{name}" is not a plain file name; write {known}, or the name of a '
                    'configuration file of the nodes without its directory and without ".conf"'
                )
                yield Violation(field="spec.NetworkType", rule="N1", message=message)
            elif name == OWN_PLUGIN:
                message = f"DANM cannot delegate to itself; write {known}, or another plugin"
                yield Violation(field="spec.NetworkType", rule="E2", message=message)


def _check_links(spec: NetworkSpec) -> Iterable[Violation]:
    sriov = spec.network_type is BuiltInType.SRIOV
    if spec.host_device is not None:
        fault = interface_name_fault(spec.host_device)
        if fault is not None:
            yield _violation("host_device", fault)
    elif not isinstance(spec.segment, Untagged) and not (sriov and spec.device_pool is not None):
        message = "is missing, and vlan and vxlan need it; name the device to put their link on"
        yield _violation("host_device", message)
    if sriov and isinstance(spec.segment, Vxlan):
        message = (
            "cannot be had with sriov, whose virtual functions know VLANs only; set vlan instead, "
            f"or NetworkType to {BuiltInType.IPVLAN} or {BuiltInType.MACVLAN}"
        )
        yield _violation("vxlan", message, rule="E1")
    link = host_link_name(spec)
    if link is not None and len(link.encode()) > MAX_INTERFACE_NAME_BYTES:
        room = MAX_INTERFACE_NAME_BYTES - (len(link.encode()) - len(spec.network_id.encode()))
        message = (
            f'the nodes\' link would be called "{link}", and Linux allows '
            f"{MAX_INTERFACE_NAME_BYTES} bytes; choose a name of at most {room} bytes"
        )
        yield Violation(field="spec.NetworkID", rule="N1", message=message)


def _check_device_pool(spec: NetworkSpec) -> Iterable[Violation]:
    if spec.device_pool is None:
        return
    if spec.network_type is not BuiltInType.SRIOV:
        message = f"is of sriov networks; remove it, or set NetworkType to {BuiltInType.SRIOV}"
        yield _violation("device_pool", message, rule="E1")
    if not RESOURCE_NAME.fullmatch(spec.device_pool):
        message = (
            f'"{spec.device_pool}" is not the name of a device plugin\'s resource; write it as in '
            "the node's status.allocatable, such as example.com/sriov_a"
        )
        yield _violation("device_pool", message, rule="E1")


def _check_subnets(spec: NetworkSpec) -> Iterable[Violation]:
    for option, subnet in (("cidr", spec.cidr), ("net6", spec.net6)):
        part = None if subnet is None else hostless_part(subnet)
        if part is not None:
            message = f"{subnet} has addresses of {part}, which no Pod can have; choose another"
            yield _violation(option, message)


def _check_pool(spec: NetworkSpec) -> Iterable[Violation]:
    pool = spec.pool
    if pool is None:
        return
    ordered = pool.start <= pool.end
    if not ordered:
        message = f"start {pool.start} lies after end {pool.end}; exchange them"
        yield _violation("allocation_pool", message)
    if spec.cidr is None:
        message = "stands without cidr; set cidr to the subnet, or remove the pool"
        yield _violation("allocation_pool", message)
        return
    outside = [str(end) for end in (pool.start, pool.end) if end not in spec.cidr]
    if outside:
        message = f"{' and '.join(outside)} outside of cidr {spec.cidr}; choose addresses in it"
        yield _violation("allocation_pool", message)
    effective = effective_pool(spec)
    if ordered and not outside and effective is not None and effective.start > effective.end:
        message = "holds only the network's or the broadcast address; choose host addresses"
        yield _violation("allocation_pool", message)


def _check_pool6(spec: NetworkSpec) -> Iterable[Violation]:
    pool = spec.pool6
    if pool is None:
        return
    ordered = pool.start <= pool.end
    if not ordered:
        message = f"start {pool.start} lies after end {pool.end}; exchange them"
        yield _violation("allocation_pool6", message)
    if spec.net6 is None:
        message = "stands without net6; set net6 to the subnet, or remove the pool"
        yield _violation("allocation_pool6", message)
        return
    outside = [str(end) for end in (pool.start, pool.end) if end not in spec.net6]
    if outside:
        message = f"{' and '.join(outside)} outside of net6 {spec.net6}; choose addresses in it"
        yield _violation("allocation_pool6", message)
    effective = effective_pool6(spec)
    if ordered and not outside and effective is not None and effective.start > effective.end:
        message = "holds only the routers' anycast address; choose host addresses"
        yield _violation("allocation_pool6", message)


def _check_gateways(spec: NetworkSpec) -> Iterable[Violation]:
    for option, subnet_option, subnet, routes in (
        ("routes", "cidr", spec.cidr, spec.routes),
        ("routes6", "net6", spec.net6, spec.routes6),
    ):
        if not routes:
            continue
        if subnet is None:
            # A static delegate brings a subnet of its own, which nothing here knows (SPEC E4).
            if isinstance(spec.network_type, BuiltInType):
                message = f"stand without {subnet_option}; set it, or remove the routes"
                yield _violation(option, message)
            continue
        for route in routes:
            fault = gateway_fault(route.gateway, subnet, where=f"{subnet_option} {subnet}")
            if fault is not None:
                yield _violation(f"{option}[{route.destination}]", fault)


def _check_routing_table(spec: NetworkSpec) -> Iterable[Violation]:
    table = spec.routing_table
    if table is None:
        return
    if table in RESERVED_ROUTING_TABLES or not 0 <= table <= MAX_ROUTING_TABLE:
        message = (
            f"{table} is not free for routes of Pods; choose a number from 1 to "
            f"{MAX_ROUTING_TABLE}, but none of 253 to 255, which Linux uses"
        )
        yield _violation("rt_tables", message)


def _check_interface(spec: NetworkSpec) -> Iterable[Violation]:
    prefix = spec.container_prefix
    if prefix is not None:
        fault = interface_name_fault(prefix)
        if fault is None and prefix in TAKEN_IN_PODS:
            fault = f'"{prefix}" is taken in every Pod; choose another name'
        if fault is not None:
            yield _violation("container_prefix", fault, rule="B4")
    if spec.mtu is not None and spec.net6 is not None and spec.mtu < MIN_MTU_IPV6:
        message = f"{spec.mtu} is too small for IPv6; choose at least {MIN_MTU_IPV6}"
        yield _violation("mtu", message, rule="A7")
