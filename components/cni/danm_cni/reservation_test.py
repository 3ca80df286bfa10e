"""Addresses of an ADD: waited for, asked for once, and told when there are none."""

import pytest

from danm_api.errors import (
    AddressTakenError,
    IpamUnavailableError,
    PoolExhaustedError,
)
from danm_cni.testing.demo import INTERNAL
from danm_cni.testing.node import FakeNode


async def test_a_full_pool_is_the_adds_error(node: FakeNode) -> None:
    """Regression: the old program answered success with an empty address when the pool was full."""
    node.add_pod(interfaces=[INTERNAL])
    node.addresses.failures.fail("reserve", PoolExhaustedError("pool is full"))
    with pytest.raises(PoolExhaustedError):
        await node.add()
    assert {} == node.leftovers()


async def test_a_static_address_of_a_pod_that_goes_is_waited_for(node: FakeNode) -> None:
    """An ADD whose static address is still held gets it once the holder has let go."""
    node.add_pod(interfaces=[{"network": "internal", "ip": "10.240.1.7/24"}])
    node.addresses.failures.fail("reserve", AddressTakenError("held by Pod x"), times=2)
    # DESIGN, "When an address is released"
    assert ["10.240.1.7/24"] == [str(ip.address) for ip in (await node.add()).ips]


async def test_a_static_address_that_stays_taken_is_told(node: FakeNode) -> None:
    """When the holder does not let go in time, the error is who holds it, not that time is over."""
    node.add_pod(interfaces=[{"network": "internal", "ip": "10.240.1.7/24"}])
    node.addresses.failures.fail("reserve", AddressTakenError("held by Pod x"), times=100)
    with pytest.raises(AddressTakenError, match="held by Pod x"):
        await node.add(timeout_s=2.0)
    assert {} == node.leftovers()


async def test_only_the_first_reserve_for_a_pod_is_fresh(node: FakeNode) -> None:
    """ipam-svc is told that there is nothing to look for once, and never after a restart."""
    node.add_pod(interfaces=[INTERNAL])
    node.addresses.failures.fail("reserve", IpamUnavailableError("away"))
    with pytest.raises(IpamUnavailableError):
        await node.add("c1")
    await node.add("c2")
    node.add_pod("pod-2", interfaces=[INTERNAL])
    await node.restart()
    await node.add("c3", pod="pod-2")
    # DESIGN, "Attempts fence"
    assert [True, False, False] == node.addresses.fresh


async def test_hundreds_of_tries_without_ipam_leave_one_record(node: FakeNode) -> None:
    """While ipam-svc is away, a Pod that is tried again and again does not fill the journal."""
    node.add_pod(interfaces=[INTERNAL])
    for name in ("reserve", "release"):
        node.addresses.failures.fail(name, IpamUnavailableError("away"), times=1000)
    for number in range(20):
        with pytest.raises(IpamUnavailableError):
            await node.add(f"c{number}")
    # DESIGN, P6
    assert len(node.daemon.journal.records()) <= 1
