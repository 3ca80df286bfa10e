"""What of an edit is in force at once, and what waits."""

from dataclasses import replace
from ipaddress import IPv4Address, ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danm_api.model.danmnet import NetworkSpec
from danm_api.testing.builders import a_danmnet
from netwatcher.applied import UNUSED, NetworkUse, bring_into_force, depends_on_use


def a_spec(network_type: str | None = None, **options: Any) -> NetworkSpec:  # noqa: ANN401
    """Build a spec: a /24 on VLAN 300, unless told otherwise."""
    base: dict[str, Any] = {"host_device": "ens4", "vlan": 300, "cidr": "10.0.0.0/24"}
    net = a_danmnet("external", network_type=network_type, **(base | options))
    assert isinstance(net.spec, NetworkSpec)
    return net.spec


def a_use(*addresses: str, others: tuple[str, ...] = ()) -> NetworkUse:
    """Build the use of a network by one Pod for each address, and by others without."""
    holders = {ip_address(text): f"Pod n/p{number}" for number, text in enumerate(addresses)}
    return NetworkUse(interfaces=(*holders.values(), *others), holders=holders)


def a_pool(start: int, end: int) -> dict[str, str]:
    """Build a pool of the /24."""
    return {"start": f"10.0.0.{start}", "end": f"10.0.0.{end}"}


SMALL = a_spec(allocation_pool=a_pool(10, 20))
MOVES = [
    pytest.param(a_spec(host_device="ens5"), "host_device stays ens4 and becomes ens5", id="dev"),
    pytest.param(a_spec(vlan=301), "the segment stays vlan 300 and becomes vlan 301", id="vlan"),
    pytest.param(
        a_spec(vlan=None, vxlan=300), "the segment stays vlan 300 and becomes vxlan 300", id="vxlan"
    ),
    pytest.param(
        a_spec(cidr="10.1.0.0/24"), "cidr stays 10.0.0.0/24 and becomes 10.1.0.0/24", id="cidr"
    ),
    pytest.param(a_spec(net6="2001:db8::/64"), "net6 stays None and becomes 2001", id="net6"),
    pytest.param(a_spec("macvlan"), "NetworkType stays ipvlan and becomes macvlan", id="type"),
]


@pytest.mark.parametrize(("wanted", "reason"), MOVES)
def test_what_pods_hang_on_waits_for_the_last_one(wanted: NetworkSpec, reason: str) -> None:
    """The whole edit waits, and says for whom."""  # SPEC N5
    applied = a_spec()
    assert depends_on_use(applied, wanted)
    waits = bring_into_force(applied, wanted, a_use(others=("Pod n/l2",)))
    assert waits.spec == applied
    assert reason in "; ".join(waits.waiting)
    assert "used by Pod n/l2" in waits.waiting[-1]
    free = bring_into_force(applied, wanted, UNUSED)
    assert (free.spec, free.waiting) == (wanted, ())


@pytest.mark.parametrize(
    ("applied", "wanted"),
    [
        pytest.param(SMALL, a_spec(allocation_pool=a_pool(5, 30)), id="a wider pool"),
        pytest.param(SMALL, a_spec(), id="no pool any more, so all of the subnet"),
        pytest.param(a_spec(exclude=["10.0.0.9"]), a_spec(), id="exclude cleared"),
        pytest.param(a_spec(), a_spec(mtu=1400, rt_tables=7, cooldown=5), id="other options"),
        pytest.param(SMALL, a_spec(allocation_pool=a_pool(15, 15)), id="narrower, but free"),
        pytest.param(SMALL, a_spec(allocation_pool=a_pool(15, 25)), id="moved, but free"),
    ],
)
def test_the_rest_is_in_force_at_once(applied: NetworkSpec, wanted: NetworkSpec) -> None:
    """Nothing waits that takes nothing away from anybody."""  # SPEC N5
    # .15 lies in the pool; .200 is a static address outside of it.
    result = bring_into_force(applied, wanted, a_use("10.0.0.15", "10.0.0.200"))
    assert (result.spec, result.waiting) == (wanted, ())


@pytest.mark.parametrize(
    "narrow",
    [
        pytest.param({"allocation_pool": a_pool(10, 14)}, id="pool"),
        pytest.param({"allocation_pool": a_pool(10, 20), "exclude": ["10.0.0.15"]}, id="exclude"),
    ],
)
def test_a_pool_shrinks_when_what_drops_out_is_free(narrow: dict[str, Any]) -> None:
    """The rest of the same edit is in force meanwhile."""  # SPEC N5
    wanted = a_spec(**narrow, mtu=1400)
    waits = bring_into_force(SMALL, wanted, a_use("10.0.0.15"))
    assert waits.spec == replace(SMALL, mtu=1400)
    assert "10.0.0.15 (Pod n/p0)" in waits.waiting[0]
    assert bring_into_force(SMALL, wanted, a_use("10.0.0.11")).spec == wanted


def test_a_first_spec_is_in_force_at_once() -> None:
    """Nobody can use what was never accepted."""  # SPEC N5
    assert not depends_on_use(None, SMALL)
    assert bring_into_force(None, SMALL, UNUSED).spec == SMALL


_pools = st.tuples(st.integers(1, 254), st.integers(1, 254)).map(sorted)


@given(old=_pools, new=_pools, used=st.sets(st.integers(1, 254), max_size=8))
def test_no_used_address_leaves_the_pool(old: list[int], new: list[int], used: set[int]) -> None:
    """What was handed out of the pool in force lies in the pool in force afterwards."""  # SPEC N5
    applied = a_spec(allocation_pool=a_pool(*old))
    wanted = a_spec(allocation_pool=a_pool(*new))
    result = bring_into_force(applied, wanted, a_use(*(f"10.0.0.{last}" for last in used)))
    assert applied.pool is not None
    assert result.spec.pool is not None
    addresses = {IPv4Address(f"10.0.0.{last}") for last in used}
    dynamic = {address for address in addresses if address in applied.pool}
    assert all(address in result.spec.pool for address in dynamic)
    assert result.spec in (applied, wanted)
    assert bool(result.waiting) == (result.spec != wanted)
