"""How long a tunnel waits for its parent's IPv4 address."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest

from danm_api.testing.clock import FakeClock
from netwatcher.ipv4_wait import Ipv4Wait, since_s
from netwatcher.links import ObservedAddress

PARENT = 2
IPV4 = ObservedAddress(address=IPv4Address("198.18.0.1"), is_global=True, is_stable=True)
IPV6 = ObservedAddress(address=IPv6Address("2001:db8::1"), is_global=True, is_stable=True)
LINK_LOCAL = replace(IPV6, address=IPv6Address("fe80::1"), is_global=False)


@pytest.mark.parametrize(
    ("addresses", "left_s"),
    [
        pytest.param([], 0, id="no address"),
        pytest.param([LINK_LOCAL], 0, id="none that counts"),
        pytest.param([replace(IPV6, since_s=990), IPV4], 0, id="both families"),
        pytest.param([replace(IPV6, since_s=990)], 50, id="a new IPv6 address"),
        pytest.param([replace(IPV6, since_s=1000)], 60, id="a brand new one"),
        pytest.param([replace(IPV6, since_s=900)], 0, id="one of old"),
        pytest.param(
            [replace(IPV6, since_s=990), replace(IPV6, since_s=900)], 0, id="a second one"
        ),
        pytest.param(
            [replace(IPV6, since_s=990), replace(LINK_LOCAL, since_s=900)],
            50,
            id="of the link only before",
        ),
        pytest.param(
            [replace(IPV6, since_s=990), replace(IPV4, is_stable=False)], 50, id="a deprecated IPv4"
        ),
    ],
)
def test_a_new_parent_gets_time_for_ipv4(addresses: list[ObservedAddress], left_s: float) -> None:
    """It counts from its first IPv6 address; a node without IPv4 does not wait again and again."""
    clock = FakeClock()  # SPEC N2
    wait = Ipv4Wait(wait_s=60, clock=clock)
    clock.advance(1000)
    wait.saw(PARENT, addresses)
    assert wait.left_s(PARENT, addresses) == left_s


@pytest.mark.parametrize(
    ("created", "now_s", "since"),
    [
        pytest.param(99_000, 1000.0, 990, id="before"),
        pytest.param(100_000, 1000.0, 1000, id="now"),
        pytest.param(100_030, 1000.0, 1000, id="by a clock that is ahead"),
        pytest.param(2**32 - 1000, 42_949_682.96, 42_949_662.96, id="before the number ran over"),
        pytest.param(1000, 42_949_692.96, 42_949_682.96, id="after it"),
        pytest.param(0, 40_000_000.0, 0, id="since the boot"),
    ],
)
def test_the_kernels_time_of_an_address_is_understood(
    created: int, now_s: float, since: float
) -> None:
    """Also of a node that has been up for years."""
    assert since_s(created, now_s) == pytest.approx(since)


def test_a_parent_that_loses_ipv4_gets_time_too() -> None:
    """A DHCP client that starts anew takes the address away for a moment."""  # SPEC N2
    clock = FakeClock()
    wait = Ipv4Wait(wait_s=60, clock=clock)
    clock.advance(1000)
    wait.saw(PARENT, [IPV6, IPV4])
    clock.advance(1000)
    wait.saw(PARENT, [IPV6])
    clock.advance(20)
    wait.saw(PARENT, [IPV6])
    assert wait.left_s(PARENT, [IPV6]) == 40
    clock.advance(40)
    assert wait.left_s(PARENT, [IPV6]) == 0


def test_another_parent_of_the_number_has_lost_nothing() -> None:
    """Numbers of links are given again."""
    clock = FakeClock()
    wait = Ipv4Wait(wait_s=60, clock=clock)
    clock.advance(1000)
    wait.saw(PARENT, [IPV4])
    wait.saw(PARENT, [])
    wait.forget(PARENT)
    assert wait.left_s(PARENT, [IPV6]) == 0
