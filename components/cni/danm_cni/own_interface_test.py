"""What interfaces that DANM itself describes are made as, and what is told of them."""

from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_network

import pytest

from danm_api.model.attachment import Attachment, Dynamic
from danm_api.model.cni import CniIp, CniRoute
from danm_api.model.danmnet import BuiltInType, NetworkSpec
from danm_api.names import InterfaceName, NetworkName
from danm_api.testing.builders import a_danmnet
from danm_cni.child_link import OwnType
from danm_cni.interface_setup import Address, LinkFacts, PolicyRule
from danm_cni.own_interface import own_link, own_result, own_setup
from danm_cni.plan import PlannedAttachment, PlannedRoute

_MAC = "fa:16:3e:00:00:07"
_IP = IPv4Interface("10.0.0.7/24")
_IP6 = IPv6Interface("2001:db8::7/64")


def _route(
    to: str, via: str, *, table: int | None = None, metric: int | None = None
) -> PlannedRoute:
    return PlannedRoute(
        destination=ip_network(to), gateway=ip_address(via), table=table, metric=metric
    )


_DEFAULT = _route("0.0.0.0/0", "10.0.0.1", metric=100)
_DEFAULT6 = _route("::/0", "2001:db8::1")
_NEAR = _route("192.0.2.0/24", "10.0.0.2")
_POLICY = _route("0.0.0.0/0", "10.0.0.3", table=250)


def _planned(*routes: PlannedRoute, mtu: int | None = None) -> PlannedAttachment:
    name = NetworkName("ext")
    return PlannedAttachment(
        attachment=Attachment(index=0, network=name, ip=Dynamic(), ip6=Dynamic()),
        network=a_danmnet(name),
        spec=NetworkSpec(network_id=name, mtu=mtu),
        interface=InterfaceName("ext0"),
        parent="ext.300",
        routes=routes,
    )


@pytest.mark.parametrize(
    ("network_type", "mac"), [(BuiltInType.IPVLAN, None), (BuiltInType.MACVLAN, _MAC)]
)
def test_a_link_is_as_it_was_planned(network_type: OwnType, mac: str | None) -> None:
    """Its MTU is the network's, and its MAC the one of its address where it can have one."""
    # SPEC D1, G6
    link = own_link(network_type, _planned(mtu=1400), mac=_MAC)
    assert (link.kind, link.name, link.parent) == (network_type.value, "ext0", "ext.300")
    assert (link.mtu, link.mac) == (1400, mac)


def test_an_interface_gets_all_routes_and_the_rules_for_them() -> None:
    """Those of its addresses' families; the MTU it has had since its making."""
    # SPEC D3
    setup = own_setup(_planned(_DEFAULT, _POLICY, mtu=1400), (_IP, _IP6))
    assert setup.addresses == (_IP, _IP6)
    assert setup.routes == (_DEFAULT, _POLICY)
    assert setup.rules == (PolicyRule(source=_IP.ip, table=250),)
    assert setup.mtu is None


@pytest.mark.parametrize(
    ("routes", "gateways"),
    [
        pytest.param((), (None, None), id="none"),
        pytest.param((_NEAR,), (None, None), id="none for everything"),
        pytest.param((_POLICY,), (None, None), id="in a table of its own alone"),
        pytest.param((_DEFAULT,), ("10.0.0.1", None), id="IPv4"),
        pytest.param((_NEAR, _DEFAULT6, _DEFAULT), ("10.0.0.1", "2001:db8::1"), id="both"),
    ],
)
def test_an_address_has_its_familys_default_gateway(
    routes: tuple[PlannedRoute, ...], gateways: tuple[str | None, ...]
) -> None:
    """The result tells it where the main table has one."""
    facts = LinkFacts(mac=_MAC, mtu=1400)
    addresses: tuple[Address, ...] = (_IP, _IP6)
    made = own_result(_planned(*routes), addresses, facts, netns="/run/netns/x")
    assert made.result.ips == tuple(
        CniIp(address=address, gateway=ip_address(gateway) if gateway else None, interface=0)
        for address, gateway in zip(addresses, gateways, strict=True)
    )


def test_a_result_tells_what_the_kernel_says_and_the_main_tables_routes() -> None:
    """A route of another table would be the main one's to whoever reads the result."""
    facts = LinkFacts(mac=_MAC, mtu=1400)
    made = own_result(_planned(_DEFAULT, _POLICY), (_IP,), facts, netns="/run/netns/x")
    (interface,) = made.result.interfaces
    assert (made.interface, interface.name, interface.sandbox) == ("ext0", "ext0", "/run/netns/x")
    assert (interface.mac, interface.mtu) == (_MAC, 1400)
    assert made.result.routes == (
        CniRoute(destination=_DEFAULT.destination, gateway=_DEFAULT.gateway, priority=100),
    )
