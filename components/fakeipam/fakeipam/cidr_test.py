"""Addresses and subnets, against the standard library's."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakeipam.cidr import holds, packed, subnet, version, written

_ADDRESSES = st.ip_addresses()


def _network_text(address: IPv4Address | IPv6Address, length: int) -> str:
    return f"{address}/{length % (address.max_prefixlen + 1)}"


_NETWORK_TEXTS = st.builds(_network_text, _ADDRESSES, st.integers(min_value=0, max_value=128))


@given(_ADDRESSES)
def test_an_address_is_what_the_standard_library_reads(address: IPv4Address | IPv6Address) -> None:
    """Both forms of IPv6 are read, and what is written is the same address."""
    assert packed(str(address)) == packed(address.exploded) == address.packed
    assert version(address.packed) == address.version
    assert ip_address(written(address.packed)) == address


@given(_NETWORK_TEXTS, _ADDRESSES)
def test_a_subnet_is_what_the_standard_library_reads(
    text: str, address: IPv4Address | IPv6Address
) -> None:
    """Any address of the subnet names it, and it holds what it should."""
    network = ip_network(text, strict=False)
    first, length = subnet(text)
    assert (first, length) == (network.network_address.packed, network.prefixlen)
    for each in (address, network[0], network[-1]):
        assert holds((first, length), each.packed) == (each in network)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("2001:DB8:0:0:0:0:0:3", "2001:db8::3", id="shortened"),
        pytest.param("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1", id="one group of zeros"),
        pytest.param("10.1.2.3", "10.1.2.3", id="IPv4"),
    ],
)
def test_addresses_are_written_as_rfc_5952_has_them(text: str, expected: str) -> None:
    """A reader that compares texts finds what others write."""
    assert written(packed(text)) == expected


def test_a_subnet_without_length_is_one_address() -> None:
    """As the standard library has it."""
    assert subnet("10.0.0.1") == (packed("10.0.0.1"), 32)
    assert subnet("2001:db8::1") == (packed("2001:db8::1"), 128)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "10.0.0",
        "10.0.0.256",
        "010.0.0.1",
        "1.2.3.4\0",
        ":",
        "1::2::3",
        "\ud800",
        "fe80::1%eth0",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """With the text in the error."""
    with pytest.raises(ValueError, match="is no IPv4 or IPv6 address"):
        packed(text)


@pytest.mark.parametrize("length", ["", "33", "-1", "+8", "8 ", "1_0", "255.0.0.0", "٣"])
def test_what_is_no_prefix_length_is_refused(length: str) -> None:
    """A netmask is none either."""
    with pytest.raises(ValueError, match="from 0 to 32"):
        subnet(f"10.0.0.0/{length}")
