"""Addresses that nobody can have."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given

from danm_api.membership.endpoints import may_be_published
from danm_api.model.addresses import IPAddress
from danm_api.testing.strategies import addresses
from danm_api.validation.hostless import gateway_fault, hostless_part


@pytest.mark.parametrize(
    ("subnet", "part"),
    [
        ("10.0.0.0/8", None),
        ("126.0.0.0/8", None),
        ("127.0.0.0/24", "127.0.0.0/8 (loopback)"),
        ("126.0.0.0/7", "127.0.0.0/8 (loopback)"),
        ("240.0.0.0/8", None),
        ("2001:db8::/32", None),
        ("::ffff:0:0/97", "::ffff:0:0/96 (IPv4 in IPv6)"),
        ("::2/128", None),
    ],
)
def test_a_part_of_a_subnet_is_enough(subnet: str, part: str | None) -> None:
    """Its addresses might be given to a Pod."""  # SPEC N1
    assert hostless_part(ip_network(subnet)) == part


@given(addresses)
def test_what_a_pod_can_have_is_published_unless_it_is_of_one_link(address: IPAddress) -> None:
    """So DANM gives nobody an address with which no Service can find the Pod."""  # SPEC S2
    if hostless_part(ip_network(address)) is None and not address.is_link_local:
        assert may_be_published(address)


def test_mapped_addresses_are_not_published() -> None:
    """Though IPv6 has no word for all that they may be."""  # SPEC S2
    assert not may_be_published(ip_address("::ffff:10.0.0.7"))


@pytest.mark.parametrize(
    ("gateway", "subnet", "fault"),
    [
        ("10.0.0.1", "10.0.0.0/24", None),
        ("10.0.0.255", "10.0.0.0/24", "broadcast address of cidr"),
        ("10.0.0.0", "10.0.0.0/24", "network's"),
        ("10.0.0.1", "10.0.0.0/31", None),
        ("2001:db8::", "2001:db8::/64", None),
        ("10.0.1.1", "10.0.0.0/24", "lies outside of cidr; choose one in it"),
    ],
)
def test_gateways_are_hosts(gateway: str, subnet: str, fault: str | None) -> None:
    """Linux refuses others."""  # SPEC D3
    found = gateway_fault(ip_address(gateway), ip_network(subnet), where="cidr")
    assert (found is None) == (fault is None)
    assert (fault or "") in (found or "")
