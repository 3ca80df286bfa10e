"""What danmd tells again after etcd was restored from a backup: addresses, then DanmEps."""

from dataclasses import replace

import msgspec
import pytest

from danm_api.errors import (
    AccessDeniedError,
    AddressTakenError,
    ApiUnavailableError,
    DanmError,
    IpamUnavailableError,
    NetworkNotFoundError,
    PodNotFoundError,
)
from danm_api.kube.api import DANMEPS, EVENTS, PODS, RawObject
from danm_api.names import ContainerId
from danm_api.testing.builders import NAMESPACE
from danm_cni.testing.demo import EXTERNAL, INTERNAL, MANAGEMENT
from danm_cni.testing.node import FakeNode, counted, messages_of, netns_of

# As kubelet names static Pods.
_STATIC_UID = "0d1f2a7f6c1b4a5d9e8f7a6b5c4d3e2f"


async def test_a_forgotten_address_is_claimed_again(
    node: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    """After ipam-svc's record was restored from a backup, live interfaces keep their addresses."""
    node.add_pod(interfaces=[INTERNAL, EXTERNAL])
    await node.add()
    before = {(each.interface, each.address) for each in node.addresses.entries}
    node.addresses.entries = node.addresses.entries[:1]
    claimed = counted("danmd_addresses_claimed_total")
    # DESIGN, "Nodes fence"
    await node.daemon.upkeep.compare()
    # Issue 4: each with a metric, an Event and a log line.
    assert counted("danmd_addresses_claimed_total") == claimed + 1
    assert messages_of(caplog.records).count("Claimed forgotten address") == 1
    told = node.events("ClaimedAddress")
    assert ["DanmNet/external"] == list(told)
    assert "claimed again 198.18.0.11 of" in told["DanmNet/external"]
    assert before == {(each.interface, each.address) for each in node.addresses.entries}
    await node.end_pod()
    await node.delete()
    assert {} == node.leftovers()


async def test_only_what_ipam_svc_gave_is_claimed_again(node: FakeNode) -> None:
    """Another network may have the same address by other means: that is no claim on ipam-svc."""
    # DESIGN, "Nodes fence"
    result = {
        "cniVersion": "1.0.0",
        "interfaces": [{"name": "eth0", "sandbox": netns_of("c1"), "mac": "02:00:00:00:00:02"}],
        "ips": [{"address": "198.18.0.10/24", "interface": 0}],
    }
    node.plugins.results["bridge"] = msgspec.json.encode(result)
    node.add_pod(interfaces=[MANAGEMENT, EXTERNAL])
    await node.add()
    node.addresses.entries = []
    await node.daemon.upkeep.compare()
    assert [("ext", "external", "198.18.0.10/24")] == [
        (each.interface, each.network, each.address) for each in node.addresses.entries
    ]


async def test_an_interface_with_another_address_by_now_claims_nothing(node: FakeNode) -> None:
    """Its entry is of the Pod's next sandbox: a claim would take over that one's attempt."""
    # DESIGN, "Attempts fence"
    node.add_pod(interfaces=[INTERNAL])
    await node.add()
    (entry,) = node.addresses.entries
    node.addresses.entries = [replace(entry, address="198.18.0.99/24", attempt=7)]
    await node.daemon.upkeep.compare()
    assert [("198.18.0.99/24", 7)] == [
        (each.address, each.attempt) for each in node.addresses.entries
    ]


async def test_a_forgotten_address_that_another_has_takes_the_interface_down(
    node: FakeNode,
) -> None:
    """Where somebody else has the address, the interface goes and the Pod's owner is told."""
    node.add_pod(interfaces=[INTERNAL, EXTERNAL])
    await node.add()
    node.addresses.entries = [each for each in node.addresses.entries if each.interface == "eth0"]
    node.addresses.failures.fail("reserve", AddressTakenError("held by Pod x"))
    lost = counted("danmd_addresses_lost_total")
    await node.daemon.upkeep.compare()
    assert counted("danmd_addresses_lost_total") == lost + 1
    # DESIGN, P1
    assert ["eth0"] == list(node.interfaces())
    assert ["eth0"] == [each["spec"]["Interface"]["Name"] for each in node.endpoints()]
    (event,) = node.kube.all_stored(EVENTS)
    assert "ext was taken down" in event["note"]
    await node.end_pod()
    await node.delete()
    assert {} == node.leftovers()


async def test_the_interfaces_of_a_pod_that_is_gone_go_down(
    node: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    """A node that comes back takes down what was freed meanwhile: others may have it."""
    node.add_pod(interfaces=[INTERNAL, EXTERNAL])
    await node.add()
    node.addresses.entries = []
    await node.kube.delete(PODS, "pod-1", namespace=NAMESPACE)
    node.addresses.failures.fail("reserve", PodNotFoundError("there is no such Pod"), times=2)
    lost = counted("danmd_addresses_lost_total")
    # DESIGN, P1, "Nodes fence"
    await node.daemon.upkeep.compare()
    assert {} == node.interfaces()
    assert [] == node.endpoints()
    assert counted("danmd_addresses_lost_total") == lost + 2
    assert messages_of(caplog.records).count("Lost address of a Pod that is gone") == 2
    told = node.events("AddressLost")
    assert {"DanmNet/internal", "DanmNet/external"} == set(told)
    assert "lost 198.18.0.10 of" in told["DanmNet/internal"]
    assert "pod-1 (interface eth0)" in told["DanmNet/internal"]
    await node.delete()
    assert {} == node.leftovers()


async def test_a_static_pod_keeps_its_interface_until_kubelet_has_its_mirror(
    node: FakeNode,
) -> None:
    """A static Pod lives without its mirror, which kubelet creates again after it was deleted."""
    node.add_pod(interfaces=[INTERNAL], uid=_STATIC_UID)
    await node.add(uid=_STATIC_UID)
    node.addresses.entries = []
    node.addresses.failures.fail("reserve", PodNotFoundError("there is no such Pod"))
    # DESIGN, P3
    await node.daemon.upkeep.compare()
    assert ["eth0"] == list(node.interfaces())
    await node.daemon.upkeep.compare()
    assert len(node.addresses.entries) == 1


@pytest.mark.parametrize(
    "error",
    [
        ApiUnavailableError("away", status=0),
        IpamUnavailableError("away"),
        NetworkNotFoundError("no such DanmNet"),
        AccessDeniedError("not allowed"),
    ],
)
async def test_what_is_not_known_takes_no_interface_down(node: FakeNode, error: DanmError) -> None:
    """As long as nobody can say that the Pod is gone, its interface stays."""
    node.add_pod(interfaces=[INTERNAL])
    await node.add()
    node.addresses.entries = []
    node.addresses.failures.fail("reserve", error)
    # DESIGN, P3
    await node.daemon.upkeep.compare()
    assert ["eth0"] == list(node.interfaces())
    await node.daemon.upkeep.compare()
    assert len(node.addresses.entries) == 1


async def test_one_family_of_an_interface_is_claimed_again(node: FakeNode) -> None:
    """Each family is in a block of its own, and a backup may be of the moment between them."""
    node.add_network("both", host_device="ens3", cidr="10.0.0.0/24", net6="2001:db8::/64")
    node.add_pod(interfaces=[{"network": "both", "ip": "dynamic", "ip6": "dynamic"}])
    await node.add()
    before = {each.address for each in node.addresses.entries}
    node.addresses.entries = node.addresses.entries[:1]
    # DESIGN, P1
    await node.daemon.upkeep.compare()
    assert before == {each.address for each in node.addresses.entries}
    told = node.events("ClaimedAddress")["DanmNet/both"]
    assert "claimed again 2001:db8::a of" in told
    assert "198.18" not in told


@pytest.mark.parametrize("interfaces", [[INTERNAL, EXTERNAL], [MANAGEMENT]])
async def test_a_forgotten_danmep_is_created_again(
    node: FakeNode, interfaces: list[dict[str, object]]
) -> None:
    """Just as it was: Services find the Pod by it."""
    node.add_pod(interfaces=interfaces, labels={"app": "x"})
    await node.add()
    before = node.endpoints()
    restored = counted("danmd_endpoints_restored_total")
    await _forget_endpoints(node)
    # DESIGN, "Nodes fence"
    await node.daemon.upkeep.compare()
    assert _wanted(node.endpoints()) == _wanted(before)
    assert counted("danmd_endpoints_restored_total") == restored + len(interfaces)
    await node.daemon.upkeep.compare()
    assert counted("danmd_endpoints_restored_total") == restored + len(interfaces)
    await node.end_pod()
    await node.delete()
    assert {} == node.leftovers()


def _wanted(endpoints: list[RawObject]) -> dict[str, tuple[object, object]]:
    return {
        each["metadata"]["name"]: (each["spec"], each["metadata"]["labels"]) for each in endpoints
    }


async def test_the_danmep_of_a_pod_that_ends_is_left_alone(node: FakeNode) -> None:
    """It would only be in the way of whoever cleans up."""
    node.add_pod(interfaces=[INTERNAL])
    await node.add()
    await _forget_endpoints(node)
    await node.end_pod()
    await node.daemon.upkeep.compare()
    assert [] == list(node.endpoints())


async def test_the_danmep_of_a_pod_that_was_replaced_is_left_alone(node: FakeNode) -> None:
    """A Pod of the same name has another UID."""
    node.add_pod(interfaces=[INTERNAL])
    await node.add()
    await _forget_endpoints(node)
    await node.kube.delete(PODS, "pod-1", namespace=NAMESPACE)
    node.add_pod(interfaces=[INTERNAL], uid="another")
    await node.until(lambda: _seen_uid(node) == "another")
    await node.daemon.upkeep.compare()
    assert [] == list(node.endpoints())


async def test_a_danmep_is_not_created_before_its_address_is_claimed(node: FakeNode) -> None:
    """It may be somebody else's by now, and Services send to what DanmEps say."""
    node.add_pod(interfaces=[INTERNAL])
    await node.add()
    await _forget_endpoints(node)
    kept = list(node.addresses.entries)
    node.addresses.entries = []
    node.addresses.failures.fail("reserve", IpamUnavailableError("away"))
    # DESIGN, P1
    await node.daemon.upkeep.compare()
    assert [] == list(node.endpoints())
    node.addresses.failures.heal()
    await node.daemon.upkeep.compare()
    assert len(node.endpoints()) == len(node.addresses.entries) == len(kept)


async def test_an_adopted_sandbox_is_no_source_of_danmeps(node: FakeNode) -> None:
    """What danmd knows of it is what DanmEps have told, and that is not all."""
    node.add_pod(interfaces=[INTERNAL])
    await node.add()
    for path in (node.root / "state/journal").iterdir():
        path.unlink()
    await node.restart()
    await node.daemon.upkeep.compare()
    (record,) = node.daemon.journal.records()
    assert record.adopted
    await _forget_endpoints(node)
    await node.daemon.upkeep.compare()
    assert [] == list(node.endpoints())


async def test_a_danmep_that_is_there_is_not_counted_as_restored(node: FakeNode) -> None:
    """The watch was only late."""
    node.add_pod(interfaces=[INTERNAL])
    await node.add()
    (before,) = node.endpoints()
    restored = counted("danmd_endpoints_restored_total")
    name = before["metadata"]["name"]
    await node.daemon.sandboxes.reassert(ContainerId("c1"), endpoints=[name])
    assert [before] == node.endpoints()
    assert counted("danmd_endpoints_restored_total") == restored


async def _forget_endpoints(node: FakeNode) -> None:
    for each in node.endpoints():
        await node.kube.delete(DANMEPS, each["metadata"]["name"], namespace=NAMESPACE)
    _, _, seen = node.daemon.informers
    await node.until(lambda: not seen.items())


def _seen_uid(node: FakeNode) -> str:
    pods, _, _ = node.daemon.informers
    return "".join(pod.runtime_uid for pod in pods.items())
