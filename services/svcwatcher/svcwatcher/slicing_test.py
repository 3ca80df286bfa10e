"""Tests of spreading endpoints over slices."""

from ipaddress import ip_address

import pytest

from danm_api.model.endpoint_slice import Endpoint
from danm_api.model.service import IpFamily
from danm_api.testing.service_builders import a_service
from svcwatcher.slicing import slice_name, spread


def endpoints(count: int, *, after: int = 0) -> list[Endpoint]:
    """Build endpoints with addresses of their own."""
    return [Endpoint(address=ip_address(0x0A000000 + after + n)) for n in range(count)]


def test_a_slice_is_named_after_service_family_and_number() -> None:
    """Two writers mean the same object; a Service made again means another."""
    # SPEC S2
    name = slice_name(a_service("lb"), IpFamily.IPV6, 3)
    assert name.startswith("lb-ipv6-3-")
    assert name == slice_name(a_service("lb"), IpFamily.IPV6, 3)
    assert name != slice_name(a_service("lb", uid="another"), IpFamily.IPV6, 3)


@pytest.mark.parametrize(
    ("held", "written_anyway", "new", "expected"),
    [
        # sizes of the slices that are there, then of those that are made
        pytest.param([60, 70], {"s0"}, 3, [63, 70], id="where-something-is-written-anyway"),
        pytest.param([60, 90], set(), 10, [60, 100], id="where-it-fits-best"),
        pytest.param([60, 98], set(), 10, [70, 98], id="into-one-slice"),
        pytest.param([100, 100], set(), 101, [100, 100, 100, 1], id="into-slices-of-their-own"),
        pytest.param([100, 10, 20], {"s1"}, 0, [100, 0, 30], id="merged-when-half-empty"),
        pytest.param([], set(), 0, [], id="nothing"),
    ],
)
def test_few_slices_change(
    held: list[int], written_anyway: set[str], new: int, expected: list[int]
) -> None:
    """New endpoints go where they cost the fewest writes, and no slice holds more than 100."""
    # SPEC S2, DESIGN P6
    slices = {f"s{n}": endpoints(size, after=n * 1000) for n, size in enumerate(held)}
    before = [e.address for kept in slices.values() for e in kept]
    placed = endpoints(new, after=9000)
    wanted = sorted(before + [e.address for e in placed], key=int)
    added = spread(slices, written_anyway, placed)
    everything = [*slices.values(), *added]
    assert [len(kept) for kept in everything] == expected
    assert sorted((e.address for kept in everything for e in kept), key=int) == wanted
