"""The rules for what an attachment asks of its network, as far as no record is needed. Pure."""

from collections.abc import Iterator
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, ip_network

from danm_api.errors import Violation
from danm_api.model.addresses import usable_ipv4, usable_ipv6
from danm_api.model.attachment import (
    Attachment,
    Dynamic,
    IPv4Request,
    IPv6Request,
    NoAddress,
    StaticIPv4,
    StaticIPv6,
)
from danm_api.model.danmnet import NetworkSpec
from danm_api.validation.hostless import gateway_fault, hostless_part
from danm_api.validation.pools import effective_pool, effective_pool6, hands_out_addresses


def check_attachment(
    spec: NetworkSpec, attachment: Attachment, *, shares_wire: bool
) -> tuple[Violation, ...]:
    """Return every rule that one entry of an annotation breaks (SPEC B3, D3, G2 to G5).

    Args:
        spec: The spec in force of the network that it names.
        attachment: The entry; fields of violations start with its index.
        shares_wire: Other DanmNets are on the network's wire.
    """
    where = f"[{attachment.index}]."
    return (
        *check_ip_request(
            spec, attachment.ip, attachment.ip6, shares_wire=shares_wire, prefix=where
        ),
        *_check_policy_routes(spec, attachment, where),
    )


def check_ip_request(
    spec: NetworkSpec,
    ip: IPv4Request,
    ip6: IPv6Request,
    *,
    shares_wire: bool,
    prefix: str = "",
) -> tuple[Violation, ...]:
    """Return every rule that a request for addresses breaks.

    A static delegate's network ignores what is asked (SPEC G), so nothing is wrong there.

    Args:
        spec: The spec in force.
        ip: What is asked for IPv4.
        ip6: What is asked for IPv6.
        shares_wire: Other DanmNets are on the network's wire, so a static address must lie in the
            network's own pool (SPEC G3).
        prefix: Put before the fields' names, such as ``[1].``.
    """
    if not hands_out_addresses(spec):
        return ()
    return (
        *_check_ipv4(spec, ip, shares_wire=shares_wire, field=f"{prefix}ip"),
        *_check_ipv6(spec, ip6, shares_wire=shares_wire, field=f"{prefix}ip6"),
    )


def _check_ipv4(
    spec: NetworkSpec, request: IPv4Request, *, shares_wire: bool, field: str
) -> Iterator[Violation]:
    name = spec.network_id
    match request:
        case NoAddress():
            return
        case Dynamic():
            if spec.cidr is None:
                message = (
                    f'"dynamic" is asked of {name}, which has no cidr; ask for "none" or a '
                    "static address, or give the DanmNet a cidr"
                )
                yield Violation(field=field, rule="G4", message=message)
        case StaticIPv4(interface=interface):
            if spec.cidr is None:
                yield from _check_hostless(interface, field=field, rule="G3")
                return
            usable, pool = usable_ipv4(spec.cidr), effective_pool(spec)
            message = ""
            if interface.ip not in spec.cidr:
                message = f"{interface} lies outside of cidr {spec.cidr} of {name}"
            elif interface.network.prefixlen != spec.cidr.prefixlen:
                message = f"{interface} has another prefix length than cidr {spec.cidr} of {name}"
            elif interface.ip not in usable:
                message = f"{interface.ip} is the network's or broadcast address of {name}"
            elif shares_wire and (pool is None or interface.ip not in pool):
                message = (
                    f"{interface.ip} lies outside of the allocation_pool of {name}, whose wire "
                    "other DanmNets share"
                )
                usable = usable if pool is None else pool
            if message:
                hint = f"choose one of {usable.start} to {usable.end}, as /{spec.cidr.prefixlen}"
                yield Violation(field=field, rule="G3", message=f"{message}; {hint}")


def _check_ipv6(
    spec: NetworkSpec, request: IPv6Request, *, shares_wire: bool, field: str
) -> Iterator[Violation]:
    name, pool = spec.network_id, effective_pool6(spec)
    match request:
        case NoAddress():
            return
        case Dynamic():
            if spec.net6 is None:
                message = (
                    f'"dynamic" is asked of {name}, which has no net6; ask for "none" or a '
                    "static address, or give the DanmNet a net6"
                )
                yield Violation(field=field, rule="G4", message=message)
            elif pool is None:
                message = (
                    f'"dynamic" needs a /64 or an allocation_pool6, and {name} has net6 '
                    f"{spec.net6} and no pool; give the DanmNet an allocation_pool6"
                )
                yield Violation(field=field, rule="G5", message=message)
        case StaticIPv6(interface=interface):
            if spec.net6 is None:
                yield from _check_hostless(interface, field=field, rule="G5")
                return
            usable = usable_ipv6(spec.net6)
            message = ""
            if not interface.network.subnet_of(spec.net6):
                message = f"{interface} lies outside of net6 {spec.net6} of {name}"
            elif interface.ip not in usable:
                message = f"{interface.ip} is the routers' anycast address of {name}"
            elif shares_wire and (pool is None or interface.ip not in pool):
                message = (
                    f"{interface.ip} lies outside of the allocation_pool6 of {name}, whose wire "
                    "other DanmNets share"
                )
                usable = usable if pool is None else pool
            if message:
                hint = f"choose one of {usable.start} to {usable.end}, as /{spec.net6.prefixlen}"
                yield Violation(field=field, rule="G5", message=f"{message}; {hint}")


def _check_hostless(
    interface: IPv4Interface | IPv6Interface, *, field: str, rule: str
) -> Iterator[Violation]:
    part = hostless_part(ip_network(interface.ip))
    if part is not None:
        message = f"{interface.ip} is of {part}, which no Pod can have; choose another address"
        yield Violation(field=field, rule=rule, message=message)


def _on_link(spec: NetworkSpec, request: IPv4Request) -> IPv4Network | None:
    """Return where IPv4 gateways must lie; None where nobody knows it.

    On an L2 network it follows from the address. There is no such thing of IPv6, whose routers may
    tell of more subnets.
    """
    if spec.cidr is None and isinstance(request, StaticIPv4):
        return request.interface.network
    return spec.cidr


def _check_policy_routes(
    spec: NetworkSpec, attachment: Attachment, where: str
) -> Iterator[Violation]:
    for field, routes, request, subnet in (
        ("proutes", attachment.policy_routes, attachment.ip, _on_link(spec, attachment.ip)),
        ("proutes6", attachment.policy_routes6, attachment.ip6, spec.net6),
    ):
        if not routes:
            continue
        if spec.routing_table is None:
            message = (
                f"{spec.network_id} has no rt_tables to put them into; "
                "give the DanmNet rt_tables, or remove the routes"
            )
            yield Violation(field=f"{where}{field}", rule="D3", message=message)
        if not hands_out_addresses(spec):
            # A static delegate brings address and subnet, which nothing here knows (SPEC E4).
            continue
        if isinstance(request, NoAddress):
            message = "are asked without an address to send from; ask for one, or remove the routes"
            yield Violation(field=f"{where}{field}", rule="D3", message=message)
        for route in routes:
            if subnet is not None:
                within = f"{subnet} of {spec.network_id}"
                fault = gateway_fault(route.gateway, subnet, where=within)
            elif (part := hostless_part(ip_network(route.gateway))) is not None:
                fault = f"gateway {route.gateway} is of {part}; choose a host's address"
            else:
                fault = None
            if fault is not None:
                name = f"{where}{field}[{route.destination}]"
                yield Violation(field=name, rule="D3", message=fault)
