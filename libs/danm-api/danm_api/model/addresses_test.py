"""Addresses, ranges and what follows from them."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danm_api.model.addresses import (
    IPv4Range,
    IPv6Range,
    eui64_range,
    mac_of,
    usable_ipv4,
    usable_ipv6,
)


def test_ranges_include_both_ends() -> None:
    """And nothing beyond, and nothing of the other family."""
    four = IPv4Range(start=IPv4Address("10.0.0.1"), end=IPv4Address("10.0.0.3"))
    assert [IPv4Address(f"10.0.0.{n}") in four for n in range(5)] == [False, *[True] * 3, False]
    six = IPv6Range(start=IPv6Address("::1"), end=IPv6Address("::3"))
    assert [IPv6Address(f"::{n}") in six for n in range(5)] == [False, *[True] * 3, False]
    assert IPv6Address("::2") not in four
    assert IPv4Address("0.0.0.2") not in six


@pytest.mark.parametrize(
    ("subnet", "first", "last"),
    [
        pytest.param("10.0.0.0/24", "10.0.0.1", "10.0.0.254", id="/24"),
        pytest.param("10.0.0.0/30", "10.0.0.1", "10.0.0.2", id="/30"),
        pytest.param("10.0.0.0/31", "10.0.0.0", "10.0.0.1", id="/31"),
        pytest.param("10.0.0.7/32", "10.0.0.7", "10.0.0.7", id="/32"),
    ],
)
def test_hosts_of_ipv4(subnet: str, first: str, last: str) -> None:
    """/31 and /32 follow RFC 3021."""  # SPEC G2
    usable = usable_ipv4(IPv4Network(subnet))
    assert (str(usable.start), str(usable.end)) == (first, last)


@pytest.mark.parametrize(
    ("subnet", "first", "last"),
    [
        pytest.param("::/64", "::1", "::ffff:ffff:ffff:ffff", id="/64"),
        pytest.param("::/127", "::", "::1", id="/127"),
        pytest.param("::7/128", "::7", "::7", id="/128"),
    ],
)
def test_hosts_of_ipv6(subnet: str, first: str, last: str) -> None:
    """The routers' anycast address is none."""  # SPEC G5
    usable = usable_ipv6(IPv6Network(subnet))
    assert (str(usable.start), str(usable.end)) == (first, last)


@pytest.mark.parametrize(
    ("address", "mac"),
    [
        pytest.param("10.100.20.7", "fa:16:3e:64:14:07", id="IPv4"),
        pytest.param("2001:db8::f816:3eff:fe64:1407", "fa:16:3e:64:14:07", id="EUI-64"),
    ],
)
def test_a_mac_follows_from_the_low_24_bits(address: str, mac: str) -> None:
    """Of either family."""  # SPEC G6
    assert mac_of(ip_address(address)) == mac


@given(st.integers(0, 0xFF_FFFF))
def test_eui_64_addresses_are_those_of_our_macs(low: int) -> None:
    """The range holds exactly the addresses that RFC 4291 makes of fa:16:3e MACs."""  # SPEC G5
    pool = eui64_range(IPv6Network("2001:db8::/64"))
    address = pool.start + low
    assert address in pool
    octets = bytes.fromhex(mac_of(address).replace(":", ""))
    identifier = bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:]
    assert address.packed[8:] == identifier
