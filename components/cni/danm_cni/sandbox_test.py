"""ADD and DEL as wholes, on fakes of the world."""

import asyncio
import errno
from typing import Any

import msgspec
import pytest

from danm_api.errors import (
    ApiUnavailableError,
    DanmError,
    DeadlineExceededError,
    InvalidAttachmentError,
    SeveralErrors,
)
from danm_api.kube.api import DANMEPS, PODS
from danm_api.names import ContainerId
from danm_api.testing.builders import NAMESPACE
from danm_cni.failpoints import Effect, observed_by
from danm_cni.journal import SandboxState
from danm_cni.testing.demo import EXTERNAL, INTERNAL, MANAGEMENT
from danm_cni.testing.fake_kernel import PARENT_MAC
from danm_cni.testing.node import FakeNode, netns_of


async def test_add_makes_every_interface_and_records_it(node: FakeNode) -> None:
    """An ADD makes all interfaces, in the order asked, eth0's address first, with DanmEps."""
    node.add_pod(interfaces=[MANAGEMENT, EXTERNAL], labels={"app": "lb", "danm.k8s.io/node": "x"})
    result = await node.add()
    # SPEC C3
    assert ["203.0.113.5/24", "198.18.0.10/24"] == [str(ip.address) for ip in result.ips]
    assert [0, 1] == [ip.interface for ip in result.ips]
    assert ["eth0", "ext"] == [each.name for each in result.interfaces]
    assert {"eth0": [], "ext": ["198.18.0.10/24"]} == node.interfaces()
    # SPEC A2, E3
    specs = {each["spec"]["Interface"]["Name"]: each["spec"] for each in node.endpoints()}
    assert specs["eth0"]["Interface"]["Address"] == "203.0.113.5/24"
    assert specs["eth0"]["NetworkType"] == "flannel"
    assert specs["ext"]["Interface"]["Address"] == "198.18.0.10/24"
    # SPEC G6
    assert specs["ext"]["Interface"]["MacAddress"] == PARENT_MAC
    assert {"10.100.20.1"} == set(specs["ext"]["Interface"]["proutes"].values())
    for each in node.endpoints():
        assert each["metadata"]["labels"]["app"] == "lb"
        assert each["metadata"]["labels"]["danm.k8s.io/node"] == "node-1"
    # SPEC D3
    (rule,) = node.kernel.namespaces[netns_of("c1")].rules
    assert (str(rule.source), rule.table) == ("198.18.0.10", 250)


async def test_a_macvlan_interface_needs_no_plugin(node: FakeNode) -> None:
    """It is made with the MAC of its address, and taken down, without any process."""
    node.plugins.missing.add("macvlan")
    node.add_pod(interfaces=[INTERNAL, {"network": "mac", "ip": "dynamic"}])
    result = await node.add()
    # SPEC E1, G6
    mac = "fa:16:3e:12:00:0b"
    assert {"eth0": ["198.18.0.10/24"], "mac0": ["198.18.0.11/24"]} == node.interfaces()
    assert mac == node.kernel.namespaces[netns_of("c1")].macs["mac0"]
    assert [PARENT_MAC, mac] == [each.mac for each in result.interfaces]
    told = {each["spec"]["Interface"]["Name"]: each["spec"] for each in node.endpoints()}
    assert (told["mac0"]["NetworkType"], told["mac0"]["Interface"]["MacAddress"]) == (
        "macvlan",
        mac,
    )
    await node.end_pod()
    await node.delete()
    assert {} == node.leftovers()


async def test_a_macvlan_mtu_beyond_its_parents_is_refused(node: FakeNode) -> None:
    """What the kernel would refuse is told before anything is touched, with the way out."""
    await node.have_network(
        "jumbo", network_type="macvlan", host_device="ens3", cidr="10.7.0.0/24", mtu=9000
    )
    node.add_pod(interfaces=[{"network": "jumbo", "ip": "dynamic"}])
    # DESIGN, P7
    with pytest.raises(SeveralErrors, match="mtu 9000 of DanmNet .*jumbo is more than the 1500"):
        await node.add()
    assert {} == node.leftovers()


async def test_no_interface_is_made_before_the_journal_has_its_addresses(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The DanmEps are written meanwhile, whoever makes the interface."""
    # DESIGN, "An ADD", step 5
    node.add_pod(interfaces=[INTERNAL, {"network": "device", "ip": "dynamic"}])
    written, write = asyncio.Event(), node.daemon.journal.change_all

    async def write_late(*args: Any) -> None:  # noqa: ANN401
        # What is told of plugins later is not held up.
        monkeypatch.setattr(node.daemon.journal, "change_all", write)
        await written.wait()
        await write(*args)

    monkeypatch.setattr(node.daemon.journal, "change_all", write_late)
    add = asyncio.create_task(node.add())
    await node.until(lambda: len(node.endpoints()) == 2)
    # Whoever does not wait goes on in these turns of the loop.
    for _ in range(100):
        await asyncio.sleep(0)
    assert (node.interfaces(), node.plugins.alive) == ({}, {})
    written.set()
    assert len((await add).ips) == 2


async def test_a_danmep_gets_its_addresses_beside_the_routes(node: FakeNode) -> None:
    """What a delegate reported is written while the node still works on the interface."""
    await node.have_network(
        "routed", network_type="flannel", routes={"192.0.2.0/24": "203.0.113.1"}
    )
    node.add_pod(interfaces=[{"network": "routed"}])
    node.kernel.failures.hang("set_up")
    add = asyncio.create_task(node.add(timeout_s=1.0))
    # SPEC E3
    await node.until(
        lambda: any("Address" in each["spec"]["Interface"] for each in node.endpoints())
    )
    with pytest.raises(DeadlineExceededError):
        await add
    assert {} == node.leftovers()


async def test_a_repeated_add_gives_the_same_answer(node: FakeNode) -> None:
    """The same (Pod, container id, interface) gets one address however often it is asked for."""
    node.add_pod(interfaces=[INTERNAL])
    # SPEC C5
    assert await node.add() == await node.add()
    assert len(node.addresses.entries) == 1


async def test_del_of_an_ending_pod_leaves_nothing(node: FakeNode) -> None:
    """A DEL gives back everything that an ADD took, once the Pod is going."""
    node.add_pod(interfaces=[MANAGEMENT, EXTERNAL])
    await node.add()
    await node.end_pod()
    await node.delete()
    assert {} == node.leftovers()
    await node.delete()


async def test_a_new_sandbox_of_a_living_pod_has_the_same_address(node: FakeNode) -> None:
    """While a Pod lives, its address stays its own through a new sandbox."""
    node.add_pod(interfaces=[INTERNAL])
    before = await node.add("c1")
    await node.delete("c1")
    assert {} == node.interfaces("c1")
    assert len(node.addresses.entries) == 1
    after = await node.add("c2")
    assert [ip.address for ip in before.ips] == [ip.address for ip in after.ips]
    assert ["c2"] == [each.container_id for each in node.daemon.journal.records()]


async def test_a_container_id_may_be_used_again(node: FakeNode) -> None:
    """Tools that use an id again get what they ask for, and DEL finds it."""
    node.add_pod(interfaces=[INTERNAL])
    for _ in range(3):
        assert len((await node.add("c1")).ips) == 1
        await node.delete("c1")
    await node.add("c1")
    await node.end_pod()
    await node.delete("c1")
    assert {} == node.leftovers()


async def test_an_add_first_removes_the_pods_older_sandbox(node: FakeNode) -> None:
    """An older sandbox that the runtime did not DEL loses its interfaces before the new has any."""
    node.add_pod(interfaces=[INTERNAL])
    await node.add("c1")
    await node.add("c2")
    assert {} == node.interfaces("c1")
    assert len(node.endpoints()) == 1


async def test_del_is_answered_in_time_and_finished_later(node: FakeNode) -> None:
    """A DEL succeeds although ipam-svc hangs; the address comes back when it does not any more."""
    node.add_pod(interfaces=[INTERNAL])
    await node.add()
    await node.end_pod()
    node.addresses.failures.hang("release")
    # DESIGN, P5
    await node.delete(timeout_s=0.3)
    # The interface goes before, however little of it was done when the answer was due.
    await node.until(lambda: node.addresses.failures.hanging["release"] == 1)
    assert {} == node.interfaces()
    node.addresses.failures.heal()
    await node.restart()
    await node.daemon.upkeep.compare()
    assert {} == node.leftovers()


async def test_del_succeeds_when_everything_is_gone(node: FakeNode) -> None:
    """A DEL succeeds without netns, DanmNet, Pod or API server."""
    node.add_pod(interfaces=[MANAGEMENT, EXTERNAL])
    await node.add()
    node.kernel.gone.add(netns_of("c1"))
    node.kernel.namespaces.clear()
    await node.kube.delete(PODS, "pod-1", namespace=NAMESPACE)
    node.kube.fail_next("delete", DANMEPS, ApiUnavailableError("away", status=0), times=2)
    # SPEC C4
    await node.delete()
    await node.daemon.upkeep.compare()
    assert {} == node.leftovers()


async def test_a_delegates_del_gets_the_exact_configuration_of_its_add(node: FakeNode) -> None:
    """Editing a static configuration between ADD and DEL does not change what DEL gets."""
    node.add_pod(interfaces=[MANAGEMENT])
    await node.add()
    (config,) = node.plugins.alive.values()
    node.write_cni_config("flannel.conf", {"cniVersion": "0.3.1", "name": "other", "type": "ptp"})
    # SPEC E3
    await node.delete()
    assert [config] == node.plugins.deleted_with


async def test_a_delegates_del_needs_no_configuration_any_more(node: FakeNode) -> None:
    """With the file gone and danmd restarted, DEL still gets what ADD got, from the journal."""
    # Peers' complaint 8; SPEC E3
    node.add_pod(interfaces=[MANAGEMENT])
    await node.add()
    (config,) = node.plugins.alive.values()
    (node.root / "etc/cni/net.d/flannel.conf").unlink()
    await node.restart()
    await node.delete()
    assert [config] == node.plugins.deleted_with


async def test_a_pod_that_asks_for_nothing_has_the_fallback_as_it_is(node: FakeNode) -> None:
    """Without annotation and default network the node's first configuration is used, unchanged."""
    config = node.write_cni_config(
        "10-old.conf", {"cniVersion": "1.1.0", "name": "old", "type": "bridge", "isGateway": True}
    )
    answer = b'{"cniVersion":"1.1.0","ips":[{"address":"203.0.113.9/24"}],"odd":"kept"}'
    node.plugins.results["bridge"] = answer
    node.add_pod()
    # SPEC B2
    request = node.request("ADD", "c1")
    assert answer == await node.daemon.sandboxes.add(request, deadline_s=2**40)
    assert [config] == list(node.plugins.alive.values())
    assert [] == node.endpoints()
    await node.delete()
    # CNI 1.1.0, section 4: DEL has the result, too.
    assert [config[:-1] + b',"prevResult":' + answer + b"}"] == node.plugins.deleted_with
    assert {} == node.leftovers()


async def test_del_of_a_pod_from_before_the_installation(node: FakeNode) -> None:
    """A container that danmd never added goes to the fallback's DEL."""
    config = node.write_cni_config(
        "10-old.conf", {"cniVersion": "1.1.0", "name": "old", "type": "bridge"}
    )
    # DESIGN, "An ADD", step 10
    await node.delete("from-before")
    assert [config] == node.plugins.deleted_with


async def test_del_without_a_usable_fallback_succeeds(node: FakeNode) -> None:
    """A fallback's file that cannot be used keeps no container from its end."""
    # SPEC C4
    (node.root / "etc/cni/net.d/10-old.conf").write_text("no JSON")
    await node.delete("unknown")
    assert [] == node.plugins.deleted_with


async def test_what_danmd_added_never_goes_to_the_fallbacks_del(node: FakeNode) -> None:
    """Repeated DELs, and DELs after a refused ADD, concern no other plugin."""
    node.write_cni_config("10-old.conf", {"cniVersion": "1.1.0", "name": "old", "type": "bridge"})
    node.add_pod(interfaces=[INTERNAL])
    node.add_pod("bad", interfaces=[{"network": "nope"}])
    await node.add("c1")
    with pytest.raises(SeveralErrors):
        await node.add("c2", pod="bad")
    for _ in range(2):
        await node.delete("c1")
        await node.delete("c2", pod="bad")
    assert [] == node.plugins.deleted_with


async def test_no_network_at_all_says_what_to_create(node: FakeNode) -> None:
    """Without fallback a Pod that asks for nothing gets a sentence that helps."""
    (node.root / "etc/cni/net.d/flannel.conf").unlink()
    node.add_pod()
    with pytest.raises(DanmError, match="create a DanmNet named 'default'"):
        await node.add()
    assert {} == node.leftovers()


async def test_the_default_network_is_used_where_there_is_one(node: FakeNode) -> None:
    """A namespace's DanmNet 'default' serves Pods that ask for nothing, with a dynamic address."""
    await node.have_network("default", host_device="ens3", cidr="10.7.0.0/24")
    node.add_pod(interfaces=[])
    # SPEC B2
    assert ["198.18.0.10/24"] == [str(ip.address) for ip in (await node.add()).ips]


async def test_bad_annotations_are_refused_before_anything_is_touched(node: FakeNode) -> None:
    """Regression: the old program swallowed bad JSON."""
    node.add_pod(interfaces="[{network: internal}]")
    # SPEC B3
    with pytest.raises(InvalidAttachmentError, match="pod-1"):
        await node.add()
    assert {} == node.leftovers()


async def test_a_half_made_sandbox_of_before_stops_no_add(node: FakeNode) -> None:
    """Its plugins do not run in this danmd's hands: the runtime's next ADD begins anew."""
    node.add_pod(interfaces=[MANAGEMENT])
    await node.add()
    record = node.daemon.journal.existing(ContainerId("c1"))
    half = msgspec.structs.replace(record, state=SandboxState.ADDING, result=b"")
    await node.daemon.journal.put(half)
    await node.restart()
    assert ["203.0.113.5/24"] == [str(ip.address) for ip in (await node.add()).ips]


async def test_what_the_journal_knows_is_not_adopted(node: FakeNode) -> None:
    """An ADD that came between the look at the DanmEps and the adoption knows more."""
    node.add_pod(interfaces=[INTERNAL])
    await node.add()
    known = node.daemon.journal.existing(ContainerId("c1"))
    await node.daemon.sandboxes.adopt(msgspec.structs.replace(known, adopted=True, result=b""))
    assert known == node.daemon.journal.existing(ContainerId("c1"))


async def test_an_add_that_the_disk_refuses_leaves_nothing(node: FakeNode) -> None:
    """Any error undoes it, whatever danmd thinks of it."""
    node.add_pod(interfaces=[INTERNAL, EXTERNAL])

    def refuse(point: str) -> None:
        if point == f"before {Effect.WRITE_ADDED}":
            raise OSError(errno.ENOSPC, "No space left on device")

    # SPEC C3
    with observed_by(refuse), pytest.raises(OSError, match="No space left"):
        await node.add()
    assert {} == node.leftovers()
