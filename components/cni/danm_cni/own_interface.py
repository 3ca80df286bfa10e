"""What an interface that DANM itself describes is made as, and what is told of it. Pure.

Those of the built-in backends are, and a device is once its plugin has made it.
"""

from collections.abc import Iterable

from danm_api.model.addresses import IPAddress
from danm_api.model.cni import CniInterface, CniIp, CniResult, CniRoute
from danm_cni.child_link import OwnType, child_link
from danm_cni.interface_setup import Address, ChildLink, InterfaceSetup, LinkFacts, policy_rules
from danm_cni.plan import PlannedAttachment, PlannedRoute
from danm_cni.result import InterfaceResult


def own_link(network_type: OwnType, planned: PlannedAttachment, *, mac: str | None) -> ChildLink:
    """Return the link of an attachment (SPEC D1).

    Args:
        network_type: What makes it.
        planned: The attachment.
        mac: That ipam-svc has given it; None for none.
    """
    return child_link(
        network_type,
        name=planned.interface,
        parent=planned.parent,
        mtu=planned.spec.mtu,
        mac=mac,
    )


def own_setup(planned: PlannedAttachment, addresses: tuple[Address, ...]) -> InterfaceSetup:
    """Return what the link of an attachment gets; its MTU it has from its making."""
    return InterfaceSetup(
        name=planned.interface,
        addresses=addresses,
        routes=planned.routes,
        rules=policy_rules(planned.routes, addresses),
    )


def own_result(
    planned: PlannedAttachment, addresses: tuple[Address, ...], facts: LinkFacts, *, netns: str
) -> InterfaceResult:
    """Return the result of an interface whose addresses and routes DANM knows.

    Args:
        planned: The attachment.
        addresses: Those that it was given.
        facts: What the kernel says of it.
        netns: Where it is.
    """
    main = [route for route in planned.routes if route.table is None]
    interface = CniInterface(name=planned.interface, mac=facts.mac, sandbox=netns, mtu=facts.mtu)
    return InterfaceResult(
        interface=planned.interface,
        result=CniResult(
            interfaces=(interface,),
            ips=tuple(
                CniIp(address=each, gateway=_default_gateway(main, each), interface=0)
                for each in addresses
            ),
            routes=tuple(
                CniRoute(
                    destination=route.destination, gateway=route.gateway, priority=route.metric
                )
                for route in main
            ),
        ),
    )


def _default_gateway(routes: Iterable[PlannedRoute], address: Address) -> IPAddress | None:
    return next(
        (
            route.gateway
            for route in routes
            if route.destination.prefixlen == 0 and route.destination.version == address.version
        ),
        None,
    )
