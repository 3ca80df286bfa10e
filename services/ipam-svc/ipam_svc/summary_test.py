"""How full a network is."""

from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danm_api.model.addresses import IPv4Range
from danm_api.model.danmnet import DanmNet, NetworkSpec, StaticDelegate, Usage
from danm_api.model.ip_block import Cooling, ExternalOwner, Held, IPBlock
from danm_api.names import Namespace, NetworkName, NetworkUid, NodeName
from ipam_svc.summary import NetworkSummary, ranges_text, stays_in_use, summarise

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_BASE = int(IPv4Address("10.0.0.0"))


def _net(spec: NetworkSpec) -> DanmNet:
    return DanmNet(
        namespace=Namespace("ns"),
        name=NetworkName("net"),
        uid=NetworkUid("uid"),
        generation=1,
        resource_version="1",
        spec=spec,
        created=_NOW,
    )


def _entry(last: int) -> Held:
    return Held(
        address=IPv4Address(_BASE + last),
        owner=ExternalOwner(namespace=Namespace("ns"), name=f"x{last}", reason=""),
        node=NodeName(""),
        attempt=1,
        since=_NOW,
        mac="fa:16:3e:00:00:00",
    )


def _cooling(last: int) -> Cooling:
    return Cooling(address=IPv4Address(_BASE + last), free_at=_NOW)


def _block(*entries: Held | Cooling) -> IPBlock:
    return IPBlock(
        namespace=Namespace("ns"),
        name="uid-0a000000",
        network=NetworkName("net"),
        network_uid=NetworkUid("uid"),
        cidr=IPv4Network("10.0.0.0/26"),
        entries=entries,
    )


def test_summary_counts_pool_and_static_addresses() -> None:
    """Total and free speak of the pool, used of every owner; a cooling address has none."""
    # SPEC A4
    spec = NetworkSpec(
        network_id=NetworkName("net"),
        cidr=IPv4Network("10.0.0.0/24"),
        pool=IPv4Range(start=IPv4Address("10.0.0.10"), end=IPv4Address("10.0.0.17")),
    )
    cooling = Cooling(address=IPv4Address("10.0.0.16"), free_at=_NOW)
    block = _block(_entry(10), _entry(11), _entry(12), cooling, _entry(30))
    found = summarise(_net(spec), spec, [block])
    assert found.ipv4 == Usage(total=8, used=4, free=5, ranges="10.0.0.10-10.0.0.12, 10.0.0.30")
    assert found.ipv6 is None


def test_networks_without_addresses_have_no_usage() -> None:
    """An L2 network and a static delegate's count nothing."""
    l2 = NetworkSpec(network_id=NetworkName("net"))
    static = NetworkSpec(
        network_id=NetworkName("net"),
        cidr=IPv4Network("10.0.0.0/24"),
        network_type=StaticDelegate(name="flannel"),
    )
    for spec in (l2, static):
        found = summarise(_net(spec), spec, [])
        assert (found.ipv4, found.ipv6) == (None, None)


def test_net6_that_is_no_64_counts_its_static_addresses() -> None:
    """Where nothing is dynamic the total is 0."""
    spec = NetworkSpec(network_id=NetworkName("net"), net6=IPv6Network("2001:db8::/48"))
    assert summarise(_net(spec), spec, []).ipv6 == Usage(total=0, used=0, free=0, ranges="")


@pytest.mark.parametrize(
    ("lasts", "expected"),
    [
        ([], ""),
        ([1], "10.0.0.1"),
        ([1, 2, 3, 5], "10.0.0.1-10.0.0.3, 10.0.0.5"),
    ],
)
def test_ranges(lasts: list[int], expected: str) -> None:
    """Neighbours are one range."""
    assert ranges_text(4, [_BASE + last for last in lasts]) == expected


@given(st.sets(st.integers(0, 1000)))
def test_ranges_are_bounded(lasts: set[int]) -> None:
    """At most 100 ranges are named, and the others are counted."""
    # SPEC A4
    text = ranges_text(4, [_BASE + last for last in sorted(lasts)])
    runs = sum(1 for last in lasts if last - 1 not in lasts)
    assert len(text.split(", ")) <= 100 or not lasts
    assert text.endswith(f" and {runs - 100} more") == (runs > 100)


@pytest.mark.parametrize(
    ("used", "free", "entries", "stays"),
    [
        pytest.param(1, 9, [_entry(1)], True, id="used, and used"),
        pytest.param(0, 10, [_entry(1)], False, id="was empty"),
        pytest.param(1, 9, [], False, id="is empty"),
        pytest.param(1, 9, [_cooling(1)], False, id="only cools"),
        pytest.param(9, 1, [_entry(last) for last in range(10)], False, id="may be full"),
        pytest.param(9, 1, [_entry(last) for last in range(9)], True, id="one is free"),
    ],
)
def test_a_network_in_use_need_not_be_counted_again_at_once(
    used: int, free: int, entries: list[Held | Cooling], *, stays: bool
) -> None:
    """Counting is left out only where it can tell nothing new in kind."""
    # SPEC A4: within 5 s when used, empty or full
    summary = NetworkSummary(ipv4=Usage(total=10, used=used, free=free, ranges=""), ipv6=None)
    assert stays_in_use(summary, [_block(*entries)]) is stays
    both = NetworkSummary(ipv4=summary.ipv4, ipv6=summary.ipv4)
    assert not stays_in_use(both, [_block(*entries)])


def test_a_network_without_addresses_is_looked_at() -> None:
    """It has nothing to count."""
    assert not stays_in_use(NetworkSummary(ipv4=None, ipv6=None), [])
