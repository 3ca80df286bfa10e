"""Announcements, byte by byte."""

from ipaddress import IPv4Address, IPv6Address

from hypothesis import given
from hypothesis import strategies as st

from danm_cni.announce import arp_announcement, neighbour_advertisement

MAC = "02:00:5e:00:53:01"


def test_arp_announcement() -> None:
    """A request from the address for the address, to everybody (RFC 5227)."""
    frame = arp_announcement(MAC, IPv4Address("192.0.2.7"))
    # SPEC D2
    expected = (
        "ffffffffffff 02005e005301 0806"
        "0001 0800 06 04 0001 02005e005301 c0000207 000000000000 c0000207"
    )
    assert bytes.fromhex(expected) == frame


def test_neighbour_advertisement() -> None:
    """An override advertisement to all nodes with a right checksum (RFC 4861)."""
    frame = neighbour_advertisement(MAC, IPv6Address("2001:db8::7"))
    assert bytes.fromhex("333300000001 02005e005301 86dd 60000000 0020 3aff") == frame[:22]
    assert IPv6Address("ff02::1").packed == frame[38:54]
    assert bytes.fromhex("8800") == frame[54:56]
    assert bytes.fromhex("20000000") == frame[58:62]


@given(st.ip_addresses(v=6))
def test_the_checksum_makes_the_sum_all_ones(address: IPv6Address) -> None:
    """The receiver's sum over pseudo header and message is 0xffff (RFC 1071)."""
    frame = neighbour_advertisement(MAC, address)
    pseudo = frame[22:54] + len(frame[54:]).to_bytes(4, "big") + (58).to_bytes(4, "big")
    data = pseudo + frame[54:]
    total = sum(int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert total == 0xFFFF
