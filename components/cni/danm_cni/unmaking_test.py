"""What is taken down of a sandbox's interfaces, and what is not danmd's to take."""

import msgspec
import pytest

from danm_api.names import ContainerId
from danm_cni.netns import NetnsGoneError
from danm_cni.request import Verb
from danm_cni.testing.demo import INTERNAL
from danm_cni.testing.node import FakeNode, netns_of


async def test_a_namespace_that_goes_while_it_is_cleared_holds_up_nothing(node: FakeNode) -> None:
    """The runtime may remove it between danmd's look and its work: all in it is gone then."""
    # SPEC C4
    node.add_pod(interfaces=[INTERNAL])
    await node.add()
    await node.end_pod()
    node.kernel.failures.fail("take_down", NetnsGoneError("gone"))
    await node.delete()
    node.kernel.namespaces.clear()
    assert {} == node.leftovers()


async def test_rules_of_a_static_types_interface_go_with_it(node: FakeNode) -> None:
    """Its plugin removes the interface, and danmd the rules that it has added."""
    # SPEC D3, E4
    await node.have_network("ruled", network_type="flannel", rt_tables=250)
    node.plugins.have_report("bridge", "203.0.113.5/24", "2001:db8:1::5/64", netns=netns_of("c1"))
    policy = {"proutes": {"192.0.2.0/24": "203.0.113.1"}, "proutes6": {"::/0": "2001:db8:1::1"}}
    node.add_pod(interfaces=[{"network": "ruled", **policy}])
    await node.add()
    space = node.kernel.namespaces[netns_of("c1")]
    expected = {("203.0.113.5", 250), ("2001:db8:1::5", 250)}
    assert expected == {(str(rule.source), rule.table) for rule in space.rules}
    # Of a danmd that has the journal alone.
    await node.restart()
    await node.end_pod()
    await node.delete()
    assert {} == node.leftovers()


@pytest.mark.parametrize("address", ["203.0.113.5", "2001:db8:1::5"])
async def test_flannels_reservations_of_both_families_are_cleaned(
    node: FakeNode, address: str
) -> None:
    """What its plugin leaves in host-local's directory goes, whatever family it is of."""
    # SPEC E5
    node.plugins.have_report("bridge", "203.0.113.5/24", "2001:db8:1::5/64", netns=netns_of("c1"))
    node.add_pod(interfaces=[{"network": "management"}])
    await node.add()
    file = node.root / "var/lib/cni/networks/cbr0" / address
    file.parent.mkdir(parents=True)
    file.write_text("c1\r\neth0")
    await node.end_pod()
    await node.delete()
    assert not file.exists()


@pytest.mark.parametrize("asked", ["by the runtime", "by nobody"])
async def test_nothing_is_taken_down_in_somebody_elses_namespace(
    node: FakeNode, asked: str
) -> None:
    """A runtime's path may name a process: that number is another one's later, or after a boot."""
    # DESIGN, P5 and step 8
    await node.have_network("second", network_type="flannel", container_prefix="eth1")
    node.add_pod(interfaces=[INTERNAL, {"network": "second"}])
    await node.add()
    await node.end_pod()
    theirs = {"eth0": ["192.0.2.7/24"], "eth1": ["192.0.2.8/24"]}
    node.kernel.namespaces[netns_of("c1")].interfaces = dict(theirs)
    node.kernel.identities[netns_of("c1")] = "another one"
    if asked == "by nobody":
        await node.daemon.sandboxes.ending.finish(ContainerId("c1"))
    else:
        await node.delete()
    assert theirs == node.interfaces()
    # Plugins are told that there is none.
    assert node.plugins.environments["bridge", Verb.DEL]["CNI_NETNS"] == ""
    node.kernel.namespaces.clear()
    assert {} == node.leftovers()


async def test_a_sandbox_of_a_release_before_is_known_by_its_path_alone(node: FakeNode) -> None:
    """Its record does not say which namespace it was."""
    node.add_pod(interfaces=[INTERNAL])
    await node.add()
    record = node.daemon.journal.existing(ContainerId("c1"))
    await node.daemon.journal.put(msgspec.structs.replace(record, netns_identity=""))
    node.kernel.identities[netns_of("c1")] = "whatever it is"
    await node.end_pod()
    await node.delete()
    assert {} == node.leftovers()
