"""MACs of owners, and EUI-64 addresses of MACs."""

from ipaddress import IPv6Network

from hypothesis import given
from hypothesis import strategies as st

from danm_api.model.addresses import eui64_range, mac_of
from ipam_svc.mac import drawn_mac, eui64_address

_NET6 = IPv6Network("2001:db8::/64")


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_drawn_mac_is_local_unicast_and_stable(identity: list[str]) -> None:
    """A drawn MAC is locally administered, no group's, never of the addresses' prefix, the same."""
    # SPEC G6, G7
    mac = drawn_mac(*identity)
    first = int(mac[:2], 16)
    assert first & 0x02
    assert not first & 0x01
    assert not mac.startswith("fa:16:3e")
    assert mac == drawn_mac(*identity)


@given(st.integers(0, 2**24 - 1))
def test_eui64_address_lies_where_the_shared_rules_say(low: int) -> None:
    """The EUI-64 address of an address's MAC is the one at its place in eui64_range."""
    start = eui64_range(_NET6).start
    assert eui64_address(_NET6, mac_of(start + low)) == start + low


def test_eui64_address_of_any_mac() -> None:
    """RFC 4291, appendix A: the universal bit is inverted, ff:fe stands in the middle."""
    assert str(eui64_address(_NET6, "34:56:78:9a:bc:de")) == "2001:db8::3656:78ff:fe9a:bcde"
