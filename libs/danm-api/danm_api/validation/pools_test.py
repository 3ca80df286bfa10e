"""Which addresses are handed out dynamically."""

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given

from danm_api.model.danmnet import NetworkSpec
from danm_api.testing.builders import a_danmnet
from danm_api.testing.strategies import network_specs
from danm_api.validation.pools import (
    effective_pool,
    effective_pool6,
    hands_out_addresses,
    is_excluded,
)


def _spec(network_type: str = "ipvlan", **options: object) -> NetworkSpec:
    net = a_danmnet("external", network_type=network_type, **options)  # type: ignore[arg-type]
    assert isinstance(net.spec, NetworkSpec)
    return net.spec


@pytest.mark.parametrize(
    ("options", "first", "last"),
    [
        pytest.param({"cidr": "10.0.0.0/24"}, "10.0.0.1", "10.0.0.254", id="default"),
        pytest.param({"cidr": "10.0.0.0/30"}, "10.0.0.1", "10.0.0.2", id="/30"),
        pytest.param({"cidr": "10.0.0.0/31"}, "10.0.0.0", "10.0.0.1", id="/31"),
        pytest.param({"cidr": "10.0.0.5/32"}, "10.0.0.5", "10.0.0.5", id="/32"),
        pytest.param(
            {
                "cidr": "10.0.0.0/24",
                "allocation_pool": {"start": "10.0.0.10", "end": "10.0.0.30"},
            },
            "10.0.0.10",
            "10.0.0.30",
            id="pool, both ends",
        ),
        pytest.param(
            {
                "cidr": "10.0.0.0/24",
                "allocation_pool": {"start": "10.0.0.0", "end": "10.0.0.255"},
            },
            "10.0.0.1",
            "10.0.0.254",
            id="pool of everything",
        ),
    ],
)
def test_the_pool_has_both_its_ends(options: dict[str, Any], first: str, last: str) -> None:
    """The old program left out the end, and its default pool had one address."""  # SPEC G2
    pool = effective_pool(_spec(**options))
    assert pool is not None
    assert (str(pool.start), str(pool.end)) == (first, last)


def test_an_l2_network_has_no_pool() -> None:
    """Neither family."""  # SPEC G4
    spec = _spec()
    assert (effective_pool(spec), effective_pool6(spec)) == (None, None)


@pytest.mark.parametrize(
    ("options", "first", "last"),
    [
        pytest.param(
            {"net6": "2001:db8::/64"},
            "2001:db8::f816:3eff:fe00:0",
            "2001:db8::f816:3eff:feff:ffff",
            id="EUI-64",
        ),
        pytest.param(
            {
                "net6": "2001:db8::/48",
                "allocation_pool6": {"start": "2001:db8::", "end": "2001:db8::ff"},
            },
            "2001:db8::1",
            "2001:db8::ff",
            id="pool",
        ),
    ],
)
def test_ipv6_comes_from_a_pool_or_from_the_mac(
    options: dict[str, Any], first: str, last: str
) -> None:
    """EUI-64 unless there is a pool."""  # SPEC G5, A7
    pool = effective_pool6(_spec(**options))
    assert pool is not None
    assert (str(pool.start), str(pool.end)) == (first, last)


def test_only_a_64_has_room_for_eui_64() -> None:
    """Another net6 needs a pool."""  # SPEC G5
    assert effective_pool6(_spec(net6="2001:db8::/48")) is None


@pytest.mark.parametrize(
    ("address", "excluded"),
    [
        pytest.param("10.0.0.0", True, id="network"),
        pytest.param("10.0.0.255", True, id="broadcast"),
        pytest.param("10.0.0.1", True, id="gateway"),
        pytest.param("10.0.0.50", True, id="excluded address"),
        pytest.param("10.0.0.66", True, id="excluded subnet"),
        pytest.param("10.0.0.51", False, id="host"),
        pytest.param("10.0.0.68", False, id="after the excluded subnet"),
        pytest.param("2001:db8::", True, id="anycast"),
        pytest.param("2001:db8::1", True, id="gateway, 6"),
        pytest.param("2001:db8::2", False, id="host, 6"),
    ],
)
def test_some_addresses_are_never_handed_out(address: str, excluded: bool) -> None:
    """Network, broadcast, gateways and what ``exclude`` names."""  # SPEC G2, A7
    spec = _spec(
        cidr="10.0.0.0/24",
        net6="2001:db8::/64",
        routes={"10.1.0.0/16": "10.0.0.1"},
        routes6={"2001:db8:1::/48": "2001:db8::1"},
        exclude=["10.0.0.50", "10.0.0.64/30"],
    )
    assert is_excluded(spec, ip_address(address)) is excluded


@pytest.mark.parametrize("address", ["10.0.0.0", "10.0.0.1"])
def test_a_31_has_no_broadcast_address(address: str) -> None:
    """Both ends of a point-to-point link are hosts."""  # SPEC G2
    assert not is_excluded(_spec(cidr="10.0.0.0/31"), ip_address(address))


@pytest.mark.parametrize(
    ("network_type", "fakeipam", "expected"),
    [
        pytest.param("ipvlan", False, True, id="built-in"),
        pytest.param("flannel", False, False, id="static"),
        pytest.param("bridge", True, True, id="static with fakeipam"),
    ],
)
def test_static_delegates_address_pods_themselves(
    network_type: str, fakeipam: bool, expected: bool
) -> None:
    """Unless they ask DANM through fakeipam."""  # SPEC G, F2
    spec = _spec(network_type, fakeipam=fakeipam)
    assert hands_out_addresses(spec) is expected


@given(network_specs)
def test_pools_stay_inside_their_subnets(spec: NetworkSpec) -> None:
    """Whatever a manifest says, no address outside of the subnet is dynamic by default."""
    if spec.cidr is not None and spec.pool is None:  # SPEC G2
        pool = effective_pool(spec)
        assert pool is not None
        assert pool.start in spec.cidr
        assert pool.end in spec.cidr
