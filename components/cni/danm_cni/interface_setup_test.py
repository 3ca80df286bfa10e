"""Which rules send an interface's packets to its tables."""

from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_network
from typing import Final

import pytest

from danm_cni.interface_setup import Address, PolicyRule, policy_rules
from danm_cni.plan import PlannedRoute

_IP: Final = IPv4Interface("10.0.0.7/24")
_IP6: Final = IPv6Interface("2001:db8::7/64")


def _route(to: str, table: int | None) -> PlannedRoute:
    gateway = "2001:db8::1" if ":" in to else "10.0.0.1"
    return PlannedRoute(
        destination=ip_network(to), gateway=ip_address(gateway), table=table, metric=100
    )


@pytest.mark.parametrize(
    ("routes", "addresses", "rules"),
    [
        pytest.param([], (_IP, _IP6), [], id="no route"),
        pytest.param([_route("0.0.0.0/0", 250)], (), [], id="no address"),
        pytest.param([_route("0.0.0.0/0", None)], (_IP,), [], id="the main table"),
        pytest.param([_route("0.0.0.0/0", 250)], (_IP, _IP6), [(_IP, 250)], id="of its family"),
        pytest.param([_route("::/0", 250)], (_IP, _IP6), [(_IP6, 250)], id="IPv6"),
        pytest.param([_route("::/0", 250)], (_IP,), [], id="another family"),
        pytest.param(
            [_route("0.0.0.0/0", 250), _route("192.0.2.0/24", 250), _route("::/0", 250)],
            (_IP, _IP6),
            [(_IP, 250), (_IP6, 250)],
            id="one for each table and address",
        ),
        pytest.param(
            [_route("192.0.2.0/24", 251), _route("0.0.0.0/0", 250), _route("::/0", None)],
            (_IP, _IP6),
            [(_IP, 251), (_IP, 250)],
            id="several tables, in the routes' order",
        ),
    ],
)
def test_an_interfaces_own_packets_look_into_its_tables(
    routes: list[PlannedRoute], addresses: tuple[Address, ...], rules: list[tuple[Address, int]]
) -> None:
    """One rule for each address and table that has a route of its family, for the bare address."""
    # SPEC D3
    expected = tuple(PolicyRule(source=each.ip, table=table) for each, table in rules)
    assert policy_rules(tuple(routes), addresses) == expected
