"""Which IPv4 address belongs to which EUI-64 address."""

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danm_api.model.addresses import IPv6Range, IPv6Route, eui64_range, mac_of
from danm_api.model.danmnet import NetworkSpec
from danm_api.model.ip_block import Cooling, Entry, ExternalOwner
from danm_api.names import Namespace, NetworkName, NodeName
from danm_api.record.entries import CLOCK_SKEW
from danm_api.testing.builders import a_block, a_held_entry, a_pod_owner
from danm_api.validation import is_excluded
from ipam_svc.address_space import dynamic_ipv4
from ipam_svc.claim import Claim
from ipam_svc.mac import eui64_address
from ipam_svc.pairs import pairing_of, without_taken

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_NET6 = IPv6Network("2001:db8::/64")
_MACS = int(eui64_range(_NET6).start)
_CLAIM = Claim(owner=a_pod_owner(), node=NodeName("n1"), attempt=1, deadline=5.0, cooldown_s=30)


def _spec(cidr: str = "10.0.0.0/29", **fields: Any) -> NetworkSpec:  # noqa: ANN401  (a builder)
    return NetworkSpec(
        network_id=NetworkName("net"), cidr=IPv4Network(cidr), **({"net6": _NET6} | fields)
    )


@given(number=st.integers(0, 2**32 - 1), prefix=st.integers(8, 30))
def test_addresses_of_a_pair_find_each_other(number: int, prefix: int) -> None:
    """The IPv4 address whose MAC gives an EUI-64 address is the one that it leads back to."""
    # SPEC G5, G6
    address = IPv4Address(number)
    pairs = pairing_of(_spec(str(IPv4Network((number, prefix), strict=False)))).pairs
    assert pairs is not None
    ipv6 = int(eui64_address(_NET6, mac_of(address)))
    assert list(pairs.ipv4_of(ipv6, ipv6)) == [(number, number)]
    assert list(pairs.ipv4_of(0, _MACS - 1)) == []
    assert list(pairs.ipv4_of(_MACS + 2**24, 2**128 - 1)) == []


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(_spec("10.0.0.0/7"), id="MACs are drawn"),
        pytest.param(_spec(net6=None), id="no net6"),
        pytest.param(
            _spec(pool6=IPv6Range(start=_NET6[1], end=_NET6[9])), id="a pool of IPv6 addresses"
        ),
    ],
)
def test_networks_without_pairs(spec: NetworkSpec) -> None:
    """Where no IPv6 address follows from an IPv4 address none bars another."""
    assert pairing_of(spec).pairs is None
    assert pairing_of(spec).space is dynamic_ipv4(spec)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="nothing excluded"),
        pytest.param({"exclude": (IPv4Network("10.0.0.2/31"),)}, id="IPv4 only"),
        pytest.param({"exclude": (IPv6Network("2001:db8::/65"),)}, id="no EUI-64 addresses"),
        pytest.param(
            {"routes6": (IPv6Route(destination=IPv6Network("::/0"), gateway=_NET6[1]),)},
            id="a usual gateway",
        ),
    ],
)
def test_the_usual_network_costs_nothing(fields: dict[str, Any]) -> None:
    """Attachments of one and of both families search the very same space, judged once."""
    spec = _spec(**fields)
    assert pairing_of(spec).space is dynamic_ipv4(spec)


@given(
    excluded=st.lists(
        st.tuples(st.integers(-20, 300), st.integers(120, 128)).map(
            lambda each: IPv6Network((_MACS + each[0], each[1]), strict=False)
        ),
        max_size=4,
    ),
    gateways=st.lists(st.integers(0, 255), max_size=3),
)
def test_pairs_are_those_of_which_nothing_is_excluded(
    excluded: list[IPv6Network], gateways: list[int]
) -> None:
    """An IPv4 address is given with its IPv6 address exactly if both may be."""
    # SPEC A7, G2, G5
    spec = _spec(
        "10.0.0.0/24",
        exclude=(IPv4Network("10.0.0.7/32"), *excluded),
        routes6=tuple(
            IPv6Route(destination=IPv6Network("::/0"), gateway=_NET6[_MACS - int(_NET6[0]) + each])
            for each in gateways
        ),
    )
    alone, paired = dynamic_ipv4(spec), pairing_of(spec).space
    assert pairing_of(spec).excludes == bool(excluded or gateways)
    assert alone is not None
    assert paired is not None
    for last in range(256):
        address = IPv4Address(int(IPv4Address("10.0.0.0")) + last)
        ipv6 = eui64_address(_NET6, mac_of(address))
        assert (address in paired) == (address in alone and not is_excluded(spec, ipv6))


def _tool(expired_s: float) -> ExternalOwner:
    expires = _NOW - CLOCK_SKEW - timedelta(seconds=expired_s)
    return ExternalOwner(namespace=Namespace("ns"), name="x", reason="", expires=expires)


_SECOND = str(ip_address(_MACS + 2))


@pytest.mark.parametrize(
    ("entry", "barred"),
    [
        pytest.param(a_held_entry(_SECOND, owner=a_pod_owner("q", uid="q")), True, id="another's"),
        pytest.param(a_held_entry(_SECOND, node="n1"), False, id="its own"),
        pytest.param(a_held_entry(_SECOND, node="n2"), True, id="of its UID on another node"),
        pytest.param(a_held_entry(_SECOND, owner=_tool(29), node=""), True, id="expired"),
        pytest.param(a_held_entry(_SECOND, owner=_tool(30), node=""), False, id="and cooled"),
        pytest.param(
            Cooling(address=ip_address(_SECOND), free_at=_NOW + timedelta(seconds=1)),
            True,
            id="cooling",
        ),
        pytest.param(Cooling(address=ip_address(_SECOND), free_at=_NOW), False, id="cooled"),
    ],
)
def test_what_the_record_says_of_an_ipv6_address(entry: Entry, *, barred: bool) -> None:
    """Its IPv4 address is passed over exactly while the owner cannot have the pair."""
    # SPEC G5, A7
    spec = _spec()
    space, pairs = dynamic_ipv4(spec), pairing_of(spec).pairs
    assert space is not None
    assert pairs is not None
    blocks = [a_block("10.0.0.2", a_held_entry("10.0.0.3")), a_block(_SECOND, entry)]
    left = without_taken(space, pairs, blocks, _CLAIM, now=_NOW)
    assert [last for last in range(8) if IPv4Address(f"10.0.0.{last}") in left] == (
        [1, 3, 4, 5, 6] if barred else [1, 2, 3, 4, 5, 6]
    )
