"""Taking sandboxes down: what goes, in which order, and what stays when something fails."""

import errno
from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Interface

import msgspec
import pytest

from danm_api.errors import (
    ApiUnavailableError,
    DelegateError,
    IpamUnavailableError,
    LinkSetupError,
    SeveralErrors,
)
from danm_api.ipam_api import PodOwnerMessage
from danm_api.kube.api import DANMEPS, PODS
from danm_api.model.danmep import DanmEp, EndpointInterface
from danm_api.names import (
    ContainerId,
    InterfaceName,
    Namespace,
    NetworkName,
    NodeName,
    PodName,
    PodUid,
)
from danm_api.testing.builders import NAMESPACE
from danm_cni.cni_errors import CniRequestError
from danm_cni.failpoints import Effect, observed_by
from danm_cni.journal import InterfaceKind, SandboxState
from danm_cni.removal import adopted_record
from danm_cni.testing.demo import EXTERNAL, INTERNAL, MANAGEMENT
from danm_cni.testing.fake_addresses import identity
from danm_cni.testing.node import FakeNode, netns_of
from danm_cni.unmaking import InterfacesLeftError

_DEVICE = {"network": "device", "ip": "dynamic"}


async def test_all_interfaces_are_removed_at_once(node: FakeNode) -> None:
    """No delegate's DEL waits for that of another interface."""
    # Peers' complaint 11
    node.add_pod(interfaces=[MANAGEMENT] * 8)
    await node.add()
    await node.end_pod()
    node.plugins.failures.hang("bridge-del")
    # DESIGN, P5: the answer does not wait for them.
    await node.delete(timeout_s=0.3)
    await node.until(lambda: node.plugins.failures.hanging["bridge-del"] == 8)


@pytest.mark.parametrize(
    ("edge", "step", "left"),
    [
        pytest.param(
            "kernel", "take_down", {"interfaces", "rules", "DanmEps", "addresses"}, id="a link"
        ),
        # It keeps what is its own interface's, which has no address of ipam-svc's.
        pytest.param("plugins", "bridge-del", {"interfaces", "DanmEps"}, id="a plugin"),
        pytest.param("kube", "delete", {"DanmEps", "addresses"}, id="a DanmEp"),
        pytest.param("addresses", "release", {"addresses"}, id="ipam-svc"),
    ],
)
async def test_interfaces_go_first_and_addresses_last(
    node: FakeNode, edge: str, step: str, left: set[str]
) -> None:
    """What fails keeps what comes after it, the journal knows it, and the next try ends it."""
    node.add_pod(interfaces=[MANAGEMENT, EXTERNAL])
    await node.add()
    await node.end_pod()
    if edge == "kube":
        error = ApiUnavailableError("away", status=0)
        node.kube.fail_next("delete", DANMEPS, error, times=2)
    else:
        getattr(node, edge).failures.fail(step, LinkSetupError("no"))
    await node.delete()
    # DESIGN, P3: no address is given back while an interface may have it.
    assert set(node.leftovers()) - {"plugins", "journal"} == left
    (record,) = node.daemon.journal.records()
    assert record.state is SandboxState.REMOVING
    await node.daemon.upkeep.compare()
    assert {} == node.leftovers()


async def test_one_interface_that_stays_does_not_keep_the_others(node: FakeNode) -> None:
    """Each is tried, whatever the others' plugins say, and its DanmEp and address go with it."""
    node.add_pod(interfaces=[MANAGEMENT, INTERNAL, EXTERNAL])
    await node.add()
    await node.end_pod()
    node.plugins.failures.fail("bridge-del", DelegateError("disk is full", code=5))
    # DESIGN, P3: it holds what may be live, and no more.
    await node.delete()
    assert {"eth0"} == set(node.interfaces())
    assert [] == node.addresses.entries
    assert ["eth0"] == [each["spec"]["Interface"]["Name"] for each in node.endpoints()]
    (record,) = node.daemon.journal.records()
    assert ["eth0"] == [each.interface for each in record.interfaces]
    with pytest.raises(CniRequestError, match="has not added container"):
        await node.check()


async def test_an_interface_that_stays_keeps_its_own_address(node: FakeNode) -> None:
    """A device whose plugin fails may still have it, whatever else of the sandbox is gone."""
    node.add_pod(interfaces=[INTERNAL, _DEVICE])
    await node.add()
    await node.end_pod()
    node.plugins.failures.fail("sriov-del", DelegateError("no driver", code=5), times=2)
    for _ in range(2):
        await node.delete()
        # DESIGN, P3
        assert ["device"] == [each.network for each in node.addresses.entries]
        assert {"dev0"} == set(node.interfaces())
    await node.restart()
    await node.delete()
    assert {} == node.leftovers()


async def test_a_del_that_is_repeated_is_for_what_is_left(node: FakeNode) -> None:
    """That plugin gets the result of its ADD again; one that has succeeded is not asked again."""
    # CNI 1.1.0, section 2: "A prevResult must be supplied"
    node.write_cni_config("flannel.conf", {"cniVersion": "1.0.0", "name": "m", "type": "bridge"})
    node.add_pod(interfaces=[MANAGEMENT, _DEVICE])
    await node.add()
    await node.end_pod()
    node.plugins.failures.fail("bridge-del", DelegateError("disk is full", code=5))
    await node.delete()
    await node.restart()
    await node.daemon.upkeep.compare()
    first, second = map(msgspec.json.decode, node.plugins.deleted_with)
    assert (first["type"], second["type"]) == ("sriov", "bridge")
    assert second["prevResult"]["ips"][0]["address"] == "203.0.113.5/24"
    assert {} == node.leftovers()


async def test_a_kill_between_release_and_record_frees_nothing_of_others(node: FakeNode) -> None:
    """What was released is released again, and whoever has the address by then keeps it."""
    node.add_pod(interfaces=[MANAGEMENT, INTERNAL])
    await node.add()
    await node.end_pod()
    (before,) = node.addresses.entries
    node.plugins.failures.fail("bridge-del", DelegateError("disk is full", code=5))

    def kill(point: str) -> None:
        if point == f"after {Effect.RELEASE}":
            raise OSError(errno.EIO, "killed")

    with observed_by(kill):
        await node.delete()
    (record,) = node.daemon.journal.records()
    assert len(record.interfaces) == 2
    await node.restart()
    next_owner = PodOwnerMessage(namespace=NAMESPACE, name="pod-2", uid="uid-pod-2")
    node.addresses.entries.append(replace(before, owner=next_owner))
    node.plugins.failures.fail("bridge-del", DelegateError("disk is full", code=5))
    # DESIGN, "Attempts fence"
    with pytest.raises(DelegateError, match="disk is full"):
        await node.daemon.sandboxes.ending.finish(ContainerId("c1"))
    await node.daemon.sandboxes.ending.finish(ContainerId("c1"))
    assert ["uid-pod-2"] == [identity(each.owner) for each in node.addresses.entries]
    assert node.daemon.journal.records() == ()


async def test_what_stays_for_the_next_sandbox_is_held_as_a_whole(node: FakeNode) -> None:
    """Of a Pod that lives nothing is given back, and DanmEps tell of what is there alone."""
    node.add_pod(interfaces=[MANAGEMENT, INTERNAL])
    await node.add()
    node.plugins.failures.fail("bridge-del", DelegateError("disk is full", code=5))
    await node.delete()
    assert ["eth0"] == [each["spec"]["Interface"]["Name"] for each in node.endpoints()]
    await node.daemon.upkeep.compare()
    (record,) = node.daemon.journal.records()
    assert (record.state, record.networks()) == (SandboxState.HELD, ["internal"])
    assert ["internal"] == [each.network for each in node.addresses.entries]


async def test_a_danmep_that_stays_keeps_its_own_address(node: FakeNode) -> None:
    """Services send to what it says; the other one's is given back."""
    node.add_pod(interfaces=[INTERNAL, EXTERNAL])
    await node.add()
    await node.end_pod()
    node.kube.fail_next("delete", DANMEPS, ApiUnavailableError("away", status=0))
    await node.delete()
    (endpoint,) = node.endpoints()
    (entry,) = node.addresses.entries
    assert entry.network == endpoint["spec"]["NetworkID"]
    await node.daemon.upkeep.compare()
    assert {} == node.leftovers()


async def test_all_that_keeps_a_sandbox_is_told(node: FakeNode) -> None:
    """An address that ipam-svc does not take back stays in the record, beside what is left."""
    node.add_pod(interfaces=[MANAGEMENT, INTERNAL])
    await node.add()
    await node.end_pod()
    node.plugins.failures.fail("bridge-del", DelegateError("disk is full", code=5))
    node.addresses.failures.fail("release", IpamUnavailableError("away"))
    with pytest.raises(SeveralErrors, match="disk is full; away"):
        await node.daemon.sandboxes.ending.finish_tombstone(node.request("DEL", "c1"))
    (record,) = node.daemon.journal.records()
    assert record.networks() == ["internal"]
    await node.daemon.upkeep.compare()
    assert {} == node.leftovers()


async def test_an_address_whose_attempt_is_not_known_is_released(node: FakeNode) -> None:
    """A danmd died between reserve and note: ipam-svc's entries say which attempt it was."""
    node.add_pod(interfaces=[INTERNAL, EXTERNAL])
    node.add_pod("other", interfaces=[INTERNAL])
    await node.add()
    await node.add("c2", pod="other")
    record = node.daemon.journal.existing(ContainerId("c1"))
    first, second = record.interfaces
    half = msgspec.structs.replace(
        record,
        state=SandboxState.ADDING,
        result=b"",
        interfaces=(msgspec.structs.replace(first, attempt=0), second),
    )
    await node.daemon.journal.put(half)
    await node.restart()
    await node.end_pod()
    # DESIGN, "Attempts fence"
    await node.delete()
    assert ["uid-other"] == [identity(each.owner) for each in node.addresses.entries]
    assert ["c2"] == [each.container_id for each in node.daemon.journal.records()]


async def test_an_unknown_attempt_waits_for_ipam_svc(node: FakeNode) -> None:
    """While ipam-svc cannot be asked which attempt it was, the record stays."""
    node.add_pod(interfaces=[INTERNAL])
    await node.add()
    record = node.daemon.journal.existing(ContainerId("c1"))
    interfaces = tuple(msgspec.structs.replace(each, attempt=0) for each in record.interfaces)
    await node.daemon.journal.put(msgspec.structs.replace(record, interfaces=interfaces))
    await node.end_pod()
    node.addresses.failures.fail("list", IpamUnavailableError("away"))
    await node.delete()
    assert {"addresses", "journal"} == set(node.leftovers())
    await node.daemon.upkeep.compare()
    assert {} == node.leftovers()


@pytest.mark.parametrize("state", [SandboxState.ADDING, SandboxState.REMOVING])
async def test_strays_end_before_interfaces_go(node: FakeNode, state: SandboxState) -> None:
    """A delegate that outlived danmd is killed: its ADD would go on later, its DEL may hang."""
    node.add_pod(interfaces=[MANAGEMENT])
    await node.add()
    (record,) = node.daemon.journal.records()
    half = msgspec.structs.replace(record, state=state, result=b"")
    await node.daemon.journal.put(half)
    await node.kube.delete(PODS, "pod-1", namespace=NAMESPACE)
    node.plugins.strays.add("c1")
    await node.restart()
    await node.daemon.upkeep.compare()
    assert {} == node.leftovers()
    assert set() == node.plugins.strays


def _endpoint(
    name: str, *, network_type: str = "ipvlan", ip: str | None, ip6: str | None
) -> DanmEp:
    return DanmEp(
        namespace=Namespace(NAMESPACE),
        name=f"ep-{name}",
        network=NetworkName("internal"),
        network_type=network_type,
        endpoint_id="",
        interface=EndpointInterface(
            name=InterfaceName(name),
            address=IPv4Interface(ip) if ip else None,
            address_ipv6=IPv6Interface(ip6) if ip6 else None,
            mac_address="02:00:00:00:00:07",
        ),
        node=NodeName("n1"),
        pod=PodName("p"),
        pod_uid=PodUid("u1"),
        container_id=ContainerId("c1"),
        netns=netns_of("c1"),
        pod_labels={},
    )


@pytest.mark.parametrize(
    ("network_type", "ip", "ip6", "kind", "reserved"),
    [
        ("ipvlan", "10.0.0.7/24", None, InterfaceKind.OWN, True),
        ("ipvlan", None, "2001:db8::7/64", InterfaceKind.OWN, True),
        ("macvlan", "10.0.0.7/24", "2001:db8::7/64", InterfaceKind.OWN, True),
        ("sriov", None, None, InterfaceKind.DELEGATE, False),
        # A static type's addresses are its own plugin's.
        ("calico", "10.0.0.7/24", None, InterfaceKind.DELEGATE, False),
    ],
)
def test_a_danmep_tells_what_is_to_be_given_back(
    network_type: str, ip: str | None, ip6: str | None, kind: InterfaceKind, *, reserved: bool
) -> None:
    """Where the journal is lost the DanmEps say what there is, and what ipam-svc has of it."""
    record = adopted_record([_endpoint("eth0", network_type=network_type, ip=ip, ip6=ip6)])
    assert record is not None
    (interface,) = record.interfaces
    assert (interface.kind, interface.reserved) == (kind, reserved)
    assert (interface.ip, interface.ip6) == (ip, ip6)
    assert record.networks() == (["internal"] if reserved else [])
    assert (record.adopted, record.state) == (True, SandboxState.ADDED)


def test_all_danmeps_of_a_sandbox_make_one_record() -> None:
    """And none makes none: such a container is nobody's."""
    both = [_endpoint(name, ip="10.0.0.7/24", ip6=None) for name in ("eth0", "ext")]
    record = adopted_record(both)
    assert record is not None
    assert ["ep-eth0", "ep-ext"] == [each.endpoint for each in record.interfaces]
    assert (record.container_id, record.pod_uid, record.netns) == ("c1", "u1", netns_of("c1"))
    assert adopted_record([]) is None


async def test_a_del_that_the_journal_refuses_is_kept_elsewhere(node: FakeNode) -> None:
    """A DEL succeeds only when the disk has the intent; here that is a tombstone."""
    node.add_pod(interfaces=[INTERNAL])
    await node.add()
    await node.end_pod()

    def refuse(point: str) -> None:
        if point == f"before {Effect.WRITE_REMOVING}":
            raise OSError(errno.ENOSPC, "No space left on device")

    # SPEC C4
    with observed_by(refuse):
        await node.delete()
    await node.restart()
    await node.daemon.upkeep.compare()
    assert {} == node.leftovers()


async def test_an_interface_that_cannot_be_dropped_stays_in_the_record(node: FakeNode) -> None:
    """What is left of it is known until it is gone; the sandbox's other interfaces stay."""
    node.add_pod(interfaces=[INTERNAL, EXTERNAL])
    await node.add()
    before = node.daemon.journal.existing(ContainerId("c1"))
    (lost,) = (each for each in before.interfaces if each.interface == "ext")
    node.kernel.failures.fail("take_down", LinkSetupError("no"))
    with pytest.raises(InterfacesLeftError, match="no"):
        await node.daemon.sandboxes.removal.drop(before, lost)
    assert before == node.daemon.journal.existing(ContainerId("c1"))
    assert len(node.endpoints()) == 2
    await node.daemon.sandboxes.removal.drop(before, lost)
    after = node.daemon.journal.existing(ContainerId("c1"))
    assert ["eth0"] == [each.interface for each in after.interfaces]
    assert ["eth0"] == [each["spec"]["Interface"]["Name"] for each in node.endpoints()]
    assert {"eth0"} == set(node.interfaces())
    # The runtime that asks again must not be told of what is gone.
    assert after.result == b""


async def test_each_interface_is_released_with_its_own_attempt(node: FakeNode) -> None:
    """What a danmd that died knew of one and not of the other is no matter."""
    node.add_pod(interfaces=[INTERNAL, EXTERNAL])
    await node.add()
    record = node.daemon.journal.existing(ContainerId("c1"))
    by_name = {each.network: each.attempt for each in node.addresses.entries}
    node.addresses.entries = [
        replace(each, attempt=9) if each.network == "external" else each
        for each in node.addresses.entries
    ]
    interfaces = tuple(
        msgspec.structs.replace(each, attempt=0 if each.network == "external" else each.attempt)
        for each in record.interfaces
    )
    await node.daemon.journal.put(msgspec.structs.replace(record, interfaces=interfaces))
    assert by_name["internal"] != 9
    await node.end_pod()
    # DESIGN, "Attempts fence"
    await node.delete()
    assert {} == node.leftovers()
