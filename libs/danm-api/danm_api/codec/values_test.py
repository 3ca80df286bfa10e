"""Addresses, networks and routes as people write them."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, ip_network

import pytest

from danm_api.codec.values import (
    Findings,
    UnreadableValueError,
    encode_routes,
    parse_exclusion,
    parse_ip,
    parse_ip_network,
    parse_ipv4,
    parse_ipv4_interface,
    parse_ipv4_network,
    parse_ipv6,
    parse_ipv6_interface,
    parse_time,
    read_routes,
    read_routes6,
)
from danm_api.model.addresses import IPv4Route


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        pytest.param(parse_ipv4, "10.0.0", "write one such as 10.0.0.7", id="too short"),
        pytest.param(parse_ipv4, "10.0.0.07", "not an IPv4 address", id="leading zero"),
        pytest.param(parse_ipv4, "::1", "not an IPv4 address", id="the other family"),
        pytest.param(parse_ipv6, "10.0.0.7", "not an IPv6 address", id="the other family, 6"),
        pytest.param(parse_ipv6, "fe80::1%eth0", "names a zone", id="zone"),
        pytest.param(parse_ipv4_interface, "10.0.0.7", "lacks its prefix length", id="no prefix"),
        pytest.param(parse_ipv4_interface, "10.0.0.7/", "no number of bits", id="empty prefix"),
        pytest.param(
            parse_ipv4_interface, "10.0.0.7/255.255.255.0", "no number of bits", id="netmask"
        ),
        pytest.param(
            parse_ipv4_interface, "10.0.0.7/" + "9" * 5000, "no number of bits", id="endless"
        ),
        pytest.param(parse_ipv4_interface, "10.0.0.7/33", "beyond 32", id="long prefix"),
        pytest.param(parse_time, "0001-01-01T00:00:00+14:00", "years 1 to 9999", id="year 0"),
        pytest.param(parse_time, "9999-12-31T23:59:59-14:00", "years 1 to 9999", id="year 10000"),
        pytest.param(parse_ipv6_interface, "2001:db8::/129", "beyond 128", id="long prefix, 6"),
        pytest.param(parse_ipv4_network, "default", "lacks its prefix length", id="default"),
        pytest.param(parse_time, "yesterday", "not a time", id="time"),
        pytest.param(parse_time, "2026-01-01T00:00:00", "lacks its zone", id="time without zone"),
        pytest.param(parse_exclusion, "10.0.0.7/24", "write 10.0.0.7 for the one", id="host bits"),
    ],
)
def test_a_wrong_text_is_refused_with_a_right_one(
    parse: Callable[[str], object], text: str, message: str
) -> None:
    """Whoever wrote it learns what to write instead."""
    with pytest.raises(UnreadableValueError, match=message):
        parse(text)


def test_host_bits_of_a_subnet_are_cleared() -> None:
    """Manifests that the old program took apply unchanged."""  # SPEC A1
    assert parse_ipv4_network("10.0.0.1/24") == IPv4Network("10.0.0.0/24")


@pytest.mark.parametrize(
    ("text", "excluded"),
    [
        pytest.param("10.0.0.7", "10.0.0.7/32", id="address"),
        pytest.param("10.0.0.8/29", "10.0.0.8/29", id="subnet"),
        pytest.param("2001:db8::7", "2001:db8::7/128", id="address, 6"),
        pytest.param("2001:db8::/120", "2001:db8::/120", id="subnet, 6"),
    ],
)
def test_exclusions_are_addresses_or_subnets(text: str, excluded: str) -> None:
    """Both forms of either family are taken."""  # SPEC A7
    assert parse_exclusion(text) == ip_network(excluded)


def test_the_family_follows_from_the_text() -> None:
    """A colon makes it IPv6."""
    assert (parse_ip("10.0.0.7").version, parse_ip_network("2001:db8::/64").version) == (4, 6)


def test_routes_come_in_the_order_of_destinations() -> None:
    """So one map gives one value, whatever the order of its keys."""
    findings = Findings()
    wire = {"10.2.0.0/16": "10.0.0.2", "10.1.0.0/16": "10.0.0.1"}
    routes = read_routes(findings, wire, field="routes", rule="N1")
    assert [str(route.destination) for route in routes] == ["10.1.0.0/16", "10.2.0.0/16"]
    assert encode_routes(routes) == wire
    assert findings.violations == ()


def test_one_destination_with_two_gateways_is_refused() -> None:
    """Two texts of one destination cannot lead to different gateways."""  # SPEC D3
    findings = Findings()
    wire = {"10.1.0.0/16": "10.0.0.1", "10.1.0.5/16": "10.0.0.2"}
    read_routes(findings, wire, field="routes", rule="N1")
    assert "keep one gateway" in findings.violations[0].message


def test_a_bad_route_is_named_and_the_others_are_read() -> None:
    """The old program skipped bad routes silently."""  # SPEC D3
    findings = Findings()
    wire = {"10.1.0.0": "10.0.0.1", "10.2.0.0/16": "nowhere", "10.3.0.0/16": "10.0.0.3"}
    routes = read_routes(findings, wire, field="routes", rule="N1")
    assert [violation.field for violation in findings.violations] == [
        "routes[10.1.0.0]",
        "routes[10.2.0.0/16]",
    ]
    assert routes == (
        IPv4Route(destination=IPv4Network("10.3.0.0/16"), gateway=IPv4Address("10.0.0.3")),
    )


def test_routes_of_the_other_family_are_refused() -> None:
    """routes6 takes IPv6 only."""
    findings = Findings()
    read_routes6(findings, {"10.1.0.0/16": "2001:db8::1"}, field="routes6", rule="N1")
    assert len(findings.violations) == 1
