"""What the journal says of an interface, before and after it is made."""

from collections.abc import Iterable
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

import msgspec

from danm_api.codec.json_text import decode_foreign
from danm_api.model.danmnet import BuiltInType, StaticDelegate
from danm_cni.child_link import OWN_TYPES
from danm_cni.endpoints import network_type_text
from danm_cni.interface_setup import InterfaceSetup, LinkFacts, policy_rules
from danm_cni.journal import InterfaceKind, InterfaceRecord, RouteRecord
from danm_cni.plan import PlannedAttachment, PlannedRoute


class _Given(msgspec.Struct, frozen=True, kw_only=True):
    """What of a plugin's configuration the runtime gave."""

    runtime_config: Any = msgspec.field(name="runtimeConfig", default=None)


def interface_record(
    planned: PlannedAttachment, *, endpoint: str, parent: LinkFacts | None, device: str
) -> InterfaceRecord:
    """Return the intent of an attachment; pure."""
    network_type = planned.spec.network_type
    static = isinstance(network_type, StaticDelegate)
    ipvlan = network_type is BuiltInType.IPVLAN
    return InterfaceRecord(
        interface=planned.interface,
        kind=InterfaceKind.OWN if network_type in OWN_TYPES else InterfaceKind.DELEGATE,
        network=planned.network.name,
        network_uid=planned.network.uid,
        network_type=network_type_text(network_type),
        endpoint=endpoint,
        # IPVLAN has no MAC of its own (SPEC G6).
        mac=parent.mac if ipvlan and parent is not None else planned.mac,
        routes=tuple(
            RouteRecord(
                destination=str(route.destination),
                gateway=str(route.gateway),
                table=route.table,
                metric=route.metric,
            )
            for route in planned.routes
        ),
        reserved=planned.asks_for_addresses and not static,
        device=device,
    )


def given_capabilities(interfaces: Iterable[InterfaceRecord]) -> frozenset[str]:
    """Return the keys of ``runtimeConfig`` that plugins of interfaces were called with."""
    configs = (decode_foreign(call.config, _Given) for each in interfaces for call in each.calls)
    given = (each.runtime_config for each in configs)
    return frozenset(key for each in given if isinstance(each, dict) for key in each)


def recorded_setup(interface: InterfaceRecord) -> InterfaceSetup:
    """Return what an interface was given, as the journal tells it.

    Routes of a family that a static delegate gave no address of were never made.
    """
    addresses = tuple(ip_interface(text) for text in (interface.ip, interface.ip6) if text)
    families = {address.version for address in addresses}
    routes = tuple(
        PlannedRoute(
            destination=ip_network(each.destination),
            gateway=ip_address(each.gateway),
            table=each.table,
            metric=each.metric,
        )
        for each in interface.routes
    )
    present = tuple(each for each in routes if each.destination.version in families)
    has_own_mac = (
        interface.kind is InterfaceKind.OWN and interface.network_type == BuiltInType.MACVLAN
    )
    return InterfaceSetup(
        name=interface.interface,
        mac=interface.mac if has_own_mac else None,
        addresses=addresses,
        routes=present,
        rules=policy_rules(present, addresses),
    )
