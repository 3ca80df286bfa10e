"""When an address that fakeipam gave is released, and by which container's end."""

import pytest

from danm_api.errors import IpamUnavailableError, LinkSetupError
from danm_cni.allocation_journal import AllocationState
from danm_cni.testing.ipam_caller import Caller
from danm_cni.testing.node import counted


async def test_an_address_in_a_namespace_that_cannot_be_read_stays(caller: Caller) -> None:
    """Not to know is no proof that no interface has it: the DEL succeeds and is finished later."""
    # DESIGN, P3
    await caller.add()
    caller.remove_interface()
    caller.node.kernel.failures.fail("addresses", LinkSetupError("Input/output error"))
    await caller.delete()
    assert caller.held() == ["198.18.0.10/24"]
    assert caller.states() == {"c1": AllocationState.REMOVING}
    await caller.node.daemon.upkeep.compare()
    assert caller.node.leftovers() == {}


async def test_a_container_on_another_network_does_not_inherit(caller: Caller) -> None:
    """What the Pod's next container has of another DanmNet is no reason to keep this one's."""
    await caller.add("c1")
    await caller.add("c2", network="dual")
    caller.remove_interface("c1")
    await caller.delete("c1")
    assert {each.network for each in caller.node.addresses.entries} == {"dual"}
    assert caller.states() == {"c2": AllocationState.ADDED}


async def test_of_two_containers_that_end_the_later_attempt_is_released(caller: Caller) -> None:
    """Neither goes on with the address, so the one that holds it gives it back by itself."""
    # DESIGN, "Attempts fence"
    await caller.add("c2")
    await caller.add("c1")
    for name in ("c1", "c2"):
        # Its interface is still there, so the address waits.
        await caller.delete(name)
    assert set(caller.states().values()) == {AllocationState.REMOVING}
    # From the disk they come in the order of their names: the later attempt first.
    await caller.node.restart()
    for name in ("c1", "c2"):
        caller.remove_interface(name)
    before = counted("danmd_addresses_given_back_total")
    await caller.node.daemon.allocations.finish()
    assert caller.node.leftovers() == {}
    assert counted("danmd_addresses_given_back_total") == before


@pytest.mark.parametrize("next_one", ["ends", "fails"])
async def test_an_interface_of_the_container_before_keeps_the_address(
    caller: Caller, next_one: str
) -> None:
    """A Pod's next container may be gone again while the plugin has yet to clean up the first."""
    # DESIGN, P3
    address = await caller.add("c1")
    await caller.delete("c1")
    assert caller.states() == {"c1": AllocationState.REMOVING}
    if next_one == "ends":
        assert await caller.add("c2") == address
        caller.remove_interface("c2")
        await caller.delete("c2")
    else:
        caller.node.addresses.failures.fail("reserve-lost", IpamUnavailableError("lost"))
        with pytest.raises(IpamUnavailableError):
            await caller.add("c2")
    await caller.node.daemon.upkeep.compare()
    assert caller.held() == [address]
    caller.remove_interface("c1")
    for _ in range(2):
        await caller.node.daemon.upkeep.compare()
    assert caller.node.leftovers() == {}
