"""Which addresses may be handed out dynamically."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danm_api.model.addresses import IPAddress, IPv4Range, IPv4Route, IPv6Range, IPv6Route
from danm_api.model.danmnet import NetworkSpec
from danm_api.names import NetworkName
from danm_api.validation import effective_pool, is_excluded
from ipam_svc.address_space import AddressSpace, address_of, dynamic_ipv4, dynamic_ipv6


def _spec(cidr: str, **fields: object) -> NetworkSpec:
    spec = NetworkSpec(network_id=NetworkName("net"), cidr=IPv4Network(cidr))
    return replace(spec, **fields)  # type: ignore[arg-type]


def _members(space: AddressSpace | None) -> list[str]:
    assert space is not None
    return [
        str(address_of(space.version, number))
        for first, last in space.intervals
        for number in range(first, last + 1)
    ]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param(_spec("10.0.0.0/30"), ["10.0.0.1", "10.0.0.2"], id="default pool"),
        pytest.param(_spec("10.0.0.0/31"), ["10.0.0.0", "10.0.0.1"], id="RFC 3021 /31"),
        pytest.param(_spec("10.0.0.4/32"), ["10.0.0.4"], id="RFC 3021 /32"),
        pytest.param(
            _spec(
                "10.0.0.0/24",
                pool=IPv4Range(start=IPv4Address("10.0.0.0"), end=IPv4Address("10.0.0.2")),
            ),
            ["10.0.0.1", "10.0.0.2"],
            id="pool with the network address",
        ),
        pytest.param(
            _spec(
                "10.0.0.0/29",
                exclude=(IPv4Network("10.0.0.2/31"),),
                routes=(
                    IPv4Route(
                        destination=IPv4Network("10.9.0.0/16"), gateway=IPv4Address("10.0.0.5")
                    ),
                ),
            ),
            ["10.0.0.1", "10.0.0.4", "10.0.0.6"],
            id="exclude and gateway",
        ),
    ],
)
def test_dynamic_ipv4(spec: NetworkSpec, expected: list[str]) -> None:
    """Both ends of the pool count; network, broadcast, exclude and gateways do not."""
    # SPEC G2
    assert _members(dynamic_ipv4(spec)) == expected


@given(
    prefix=st.integers(24, 32),
    ends=st.tuples(st.integers(0, 255), st.integers(0, 255)),
    exclude=st.lists(st.tuples(st.integers(0, 255), st.integers(26, 32)), max_size=4),
    gateways=st.lists(st.integers(0, 255), max_size=3),
)
def test_space_is_the_pool_less_what_is_excluded(
    prefix: int,
    ends: tuple[int, int],
    exclude: list[tuple[int, int]],
    gateways: list[int],
) -> None:
    """The intervals hold exactly the addresses that the shared rules admit."""
    base = int(IPv4Address("10.0.0.0"))
    spec = _spec(
        f"10.0.0.0/{prefix}",
        pool=IPv4Range(
            start=IPv4Address(base + min(ends)),
            end=IPv4Address(min(base + max(ends), base + 2 ** (32 - prefix) - 1)),
        ),
        exclude=tuple(
            IPv4Network((base + number, length), strict=False) for number, length in exclude
        ),
        routes=tuple(
            IPv4Route(destination=IPv4Network("0.0.0.0/0"), gateway=IPv4Address(base + number))
            for number in gateways
        ),
    )
    pool = effective_pool(spec)
    assert pool is not None
    expected = [
        str(IPv4Address(number))
        for number in range(base, base + 256)
        if IPv4Address(number) in pool and not is_excluded(spec, IPv4Address(number))
    ]
    space = dynamic_ipv4(spec)
    assert space is not None
    assert _members(space) == expected
    assert space.total == len(expected)
    for number in range(base - 1, base + 257):
        address = IPv4Address(number)
        assert (address in space) == (str(address) in expected)
        following = space.following(number)
        later = [text for text in expected if int(IPv4Address(text)) >= number]
        assert following == (int(IPv4Address(later[0])) if later else None)
    within = [str(IPv4Address(number)) for number in space.within(base + 10, base + 90)]
    assert within == [text for text in expected if base + 10 <= int(IPv4Address(text)) <= base + 90]


def test_large_pools_cost_nothing() -> None:
    """A /8 is a handful of intervals, not 16 million addresses."""
    space = dynamic_ipv4(_spec("10.0.0.0/8"))
    assert space is not None
    assert space.total == 2**24 - 2
    assert len(space.intervals) == 1


def test_ipv6_pool() -> None:
    """allocation_pool6 is a pool like IPv4's."""
    spec = NetworkSpec(
        network_id=NetworkName("net"),
        net6=IPv6Network("2001:db8::/64"),
        pool6=IPv6Range(start=IPv6Address("2001:db8::10"), end=IPv6Address("2001:db8::13")),
        exclude=(ip_network("2001:db8::11"),),
        routes6=(
            IPv6Route(
                destination=IPv6Network("2001:db8:1::/64"), gateway=IPv6Address("2001:db8::12")
            ),
        ),
    )
    assert _members(dynamic_ipv6(spec, seed=7)) == ["2001:db8::10", "2001:db8::13"]


def test_eui64_addresses_leave_out_those_of_ipv4_macs() -> None:
    """An IPv6-only attachment never gets the MAC of an IPv4 address of the network."""
    # SPEC G6
    spec = NetworkSpec(
        network_id=NetworkName("net"),
        cidr=IPv4Network("10.1.2.0/24"),
        net6=IPv6Network("2001:db8::/64"),
    )
    space = dynamic_ipv6(spec, seed=5)
    assert space is not None
    assert space.total == 2**24 - 256
    taken: IPAddress = IPv6Address("2001:db8::f816:3eff:fe01:207")
    assert taken not in space
    assert IPv6Address("2001:db8::f816:3eff:fe01:307") in space
    assert str(IPv6Address(space.start)) == "2001:db8::f816:3eff:fe00:5"


def test_no_dynamic_ipv6() -> None:
    """No net6, or one that is no /64 and has no pool, gives no dynamic address."""
    spec = NetworkSpec(network_id=NetworkName("net"))
    assert dynamic_ipv6(spec, seed=0) is None
    assert dynamic_ipv6(replace(spec, net6=IPv6Network("2001:db8::/48")), seed=0) is None
    assert dynamic_ipv4(spec) is None


@given(
    intervals=st.sets(st.integers(0, 60), max_size=12),
    barred=st.lists(st.tuples(st.integers(-5, 65), st.integers(0, 9)), max_size=5),
)
def test_what_is_barred_is_cut_out(intervals: set[int], barred: list[tuple[int, int]]) -> None:
    """A space less some intervals has all that is in none of them; else it is the same space."""
    ends = sorted(intervals)[: len(intervals) // 2 * 2]
    pairs = tuple((first, last) for first, last in zip(ends[::2], ends[1::2], strict=True))
    space = AddressSpace(version=4, intervals=pairs, start=0)
    cut = space.without((first, first + size) for first, size in barred)
    out = {number for first, size in barred for number in range(first, first + size + 1)}
    assert [number for number in range(-9, 80) if cut.has(number)] == [
        number for number in range(-9, 80) if space.has(number) and number not in out
    ]
    assert cut.total == sum(1 for number in range(80) if cut.has(number))
    if cut == space:
        assert cut is space
