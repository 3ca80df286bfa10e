"""ADD behind other plugins, which have made interfaces before; and with devices of the kubelet."""

import asyncio
import time
from dataclasses import replace
from typing import Any, Final

import msgspec
import pytest

from danm_api.codec.cni import decode_result
from danm_api.errors import (
    DanmError,
    DeadlineExceededError,
    DelegateError,
    KubeletUnavailableError,
    SeveralErrors,
)
from danm_api.model.cni import CniResult
from danm_api.names import InterfaceName
from danm_cni.cni_errors import CniCode, CniRequestError, code_of
from danm_cni.concurrency import ChainTurns
from danm_cni.network_status import network_status
from danm_cni.request import Verb
from danm_cni.testing.demo import EXTERNAL, INTERNAL, MANAGEMENT
from danm_cni.testing.node import FakeNode, netns_of

ETH0: Final[dict[str, Any]] = {
    "cniVersion": "1.1.0",
    "interfaces": [
        {"name": "veth1"},
        {"name": "eth0", "mac": "02:00:00:00:00:07", "sandbox": netns_of("c1")},
    ],
    "ips": [{"address": "203.0.113.7/24", "gateway": "203.0.113.1", "interface": 1}],
    "routes": [{"dst": "0.0.0.0/0", "gw": "203.0.113.1"}],
    "dns": {"nameservers": ["203.0.113.2"]},
}
LOOPBACK: Final[dict[str, Any]] = {
    "cniVersion": "1.1.0",
    "interfaces": [{"name": "lo", "sandbox": netns_of("c1")}],
    "ips": [{"address": "127.0.0.1/8", "interface": 0}],
}


async def _add_behind(node: FakeNode, previous: object) -> bytes:
    request = node.request("ADD", "c1", prevResult=previous)
    deadline_s = time.monotonic() + 5
    return await node.daemon.sandboxes.add(request, deadline_s=deadline_s)


def _addresses(result: CniResult) -> list[tuple[str, str]]:
    return [
        (result.interfaces[ip.interface].name, str(ip.address))
        for ip in result.ips
        if ip.interface is not None
    ]


async def test_what_plugins_before_danm_made_stays_in_the_result(node: FakeNode) -> None:
    """Their interfaces come first, with addresses that still belong to them; danm adds its own."""
    node.add_pod(interfaces=[EXTERNAL])
    result = decode_result(await _add_behind(node, ETH0))
    # CNI 1.1.0, section 4
    assert ["veth1", "eth0", "ext"] == [each.name for each in result.interfaces]
    assert [("eth0", "203.0.113.7/24"), ("ext", "198.18.0.10/24")] == _addresses(result)
    assert result.dns.nameservers == ("203.0.113.2",)
    assert {"ext": ["198.18.0.10/24"]} == node.interfaces()
    await node.check()
    await node.end_pod()
    await node.delete()
    assert {} == node.leftovers()


async def test_danms_eth0_comes_before_a_loopback(node: FakeNode) -> None:
    """The runtime takes the first address for the Pod's, so eth0's is it, whoever ran before."""
    node.add_pod(interfaces=[INTERNAL])
    result = decode_result(await _add_behind(node, LOOPBACK))
    assert [("eth0", "198.18.0.10/24"), ("lo", "127.0.0.1/8")] == _addresses(result)


async def test_an_interface_that_is_there_is_not_made_again(node: FakeNode) -> None:
    """An entry that would take the name of an earlier plugin's interface says how to avoid it."""
    node.add_pod(interfaces=[INTERNAL])
    # SPEC B4
    with pytest.raises(SeveralErrors, match="entry 0: .*'eth0' already.*container_prefix"):
        await _add_behind(node, ETH0)
    assert {} == node.leftovers()


async def test_a_pod_that_asks_for_nothing_keeps_what_it_has(node: FakeNode) -> None:
    """Behind other plugins their result is handed on unchanged, and no fallback is called."""
    node.write_cni_config("10-old.conf", {"cniVersion": "1.1.0", "name": "old", "type": "ptp"})
    node.add_pod()
    answer = await _add_behind(node, ETH0)
    assert msgspec.json.decode(answer) == ETH0
    # danm is asked for this sandbox as for every other one.
    await node.check()
    assert answer == await _add_behind(node, ETH0)
    await node.delete()
    assert {} == node.plugins.alive
    assert [] == node.plugins.deleted_with
    assert {} == node.leftovers()


async def test_a_result_without_interfaces_tells_of_the_one_asked_for(node: FakeNode) -> None:
    """Before 0.3.0 a result has addresses alone: the plugin before danm made CNI_IFNAME."""
    flat = {"cniVersion": "0.2.0", "ip4": {"ip": "203.0.113.7/24"}, "dns": {}}
    node.add_pod(interfaces=[EXTERNAL])
    result = decode_result(await _add_behind(node, flat))
    assert [("eth0", "203.0.113.7/24"), ("ext", "198.18.0.10/24")] == _addresses(result)


async def test_an_interface_name_that_nobody_makes_is_refused(node: FakeNode) -> None:
    """CNI_IFNAME is used or refused, before anything is touched."""
    # CNI 1.1.0, section 2
    node.add_pod(interfaces=[INTERNAL, EXTERNAL])
    request = replace(node.request("ADD", "c1"), interface=InterfaceName("net1"))
    with pytest.raises(SeveralErrors, match="CNI_IFNAME is 'net1'.* eth0, ext;") as caught:
        await node.daemon.sandboxes.add(request, deadline_s=time.monotonic() + 5)
    assert code_of(caught.value) == CniCode.INVALID_ENVIRONMENT
    assert {} == node.leftovers()
    request = replace(request, interface=InterfaceName("ext"))
    await node.daemon.sandboxes.add(request, deadline_s=time.monotonic() + 5)


async def test_an_add_of_a_sandbox_that_only_danmeps_tell_of_makes_it_anew(node: FakeNode) -> None:
    """DanmEps do not say what its ADD answered, so a repeated one is no mere look-up."""
    # SPEC C5
    node.add_pod(interfaces=[INTERNAL])
    before = await node.add()
    await node.until(lambda: len(node.daemon.informers[2].items()) == 1)
    await node.lose_journal()
    await node.daemon.upkeep.compare()
    assert [True] == [each.adopted for each in node.daemon.journal.records()]
    assert before == await node.add()
    assert before == await node.add()
    await node.check()
    await node.end_pod()
    await node.delete()
    assert {} == node.leftovers()


async def test_a_container_that_has_another_namespace_gets_interfaces_there(node: FakeNode) -> None:
    """Tools use an id again after a boot: what was told of the old namespace is not told again."""
    # SPEC C5: the same answer is for the same attachment
    node.add_pod(interfaces=[INTERNAL])
    before = await node.add("c1")
    node.kernel.gone.add(netns_of("c1"))
    del node.kernel.namespaces[netns_of("c1")]
    request = replace(node.request("ADD", "c1"), netns="/var/run/netns/next")
    answer = await node.daemon.sandboxes.add(request, deadline_s=time.monotonic() + 5)
    after = decode_result(answer)
    assert ["/var/run/netns/next"] == [each.sandbox for each in after.interfaces]
    assert {"eth0"} == set(node.kernel.namespaces["/var/run/netns/next"].interfaces)
    assert [ip.address for ip in before.ips] == [ip.address for ip in after.ips]


async def test_another_interface_name_leaves_a_sandbox_alone(node: FakeNode) -> None:
    """A sandbox is of the CNI_IFNAME of its ADD: no ADD or DEL of another name takes it down."""
    # CNI 1.1.0, section 2: what is there already is an error; DEL is of one interface
    node.add_pod(interfaces=[INTERNAL, EXTERNAL])
    await node.add()
    before = dict(node.interfaces())
    add, delete = (
        replace(node.request(verb, "c1"), interface=InterfaceName("ext")) for verb in ("ADD", "DEL")
    )
    with pytest.raises(CniRequestError, match="CNI_IFNAME is 'ext'.*eth0") as caught:
        await node.daemon.sandboxes.add(add, deadline_s=time.monotonic() + 5)
    assert caught.value.code == CniCode.INVALID_ENVIRONMENT
    await node.daemon.sandboxes.ending.delete(
        delete, deadline_s=time.monotonic() + 5, informed=True
    )
    assert before == node.interfaces()
    await node.check()
    await node.end_pod()
    await node.delete()
    assert {} == node.leftovers()


@pytest.mark.parametrize(
    "previous",
    [
        pytest.param({"ips": [{"address": "nope"}]}, id="no address"),
        pytest.param(
            {**LOOPBACK, "ips": [{"address": "127.0.0.1/8", "interface": 1}]}, id="no interface"
        ),
    ],
)
async def test_an_unreadable_previous_result_is_an_error_of_the_configuration(
    node: FakeNode, previous: object
) -> None:
    """Rubbish of the plugins before danm is refused before anything is touched."""
    node.add_pod(interfaces=[EXTERNAL])
    with pytest.raises(CniRequestError, match="prevResult") as caught:
        await _add_behind(node, previous)
    assert caught.value.code == CniCode.UNDECODABLE
    assert {} == node.leftovers()


async def test_so_many_plugins_run_at_once_and_the_others_wait(node: FakeNode) -> None:
    """After a boot all Pods come at once: their plugins do not, and the wait is told (P6, P7)."""
    node.plugins.turns = ChainTurns(limit=2)
    names = [f"pod-{number}" for number in range(1, 4)]
    for name in names:
        node.add_pod(name, interfaces=[MANAGEMENT])
    node.plugins.failures.hang("bridge")
    *first, last = names
    adds = [asyncio.create_task(node.add(f"c-{name}", pod=name, timeout_s=3.0)) for name in first]
    await node.until(lambda: node.plugins.failures.hanging["bridge"] == 2)
    with pytest.raises(DeadlineExceededError, match="waiting for its turn among the plugins"):
        await node.add(f"c-{last}", pod=last, timeout_s=0.3)
    assert node.plugins.failures.hanging["bridge"] == 2
    ended = await asyncio.gather(*adds, return_exceptions=True)
    assert all("needs plugin bridge" in str(each) for each in ended)
    assert {} == node.leftovers()


async def test_the_fallback_s_plugins_wait_for_their_turn(node: FakeNode) -> None:
    """It is what most Pods of a node have."""
    node.write_cni_config("10-old.conf", {"cniVersion": "1.1.0", "name": "old", "type": "ptp"})
    node.plugins.turns = ChainTurns(limit=1)
    node.add_pod()
    async with node.plugins.turn(Verb.ADD):
        with pytest.raises(DeadlineExceededError, match="waiting for its turn among the plugins"):
            await node.add("c1", timeout_s=0.5)
    assert {} == node.plugins.alive
    await node.add("c2")


async def test_a_pod_does_not_wait_for_itself(node: FakeNode) -> None:
    """Its interfaces come one after the other where no more plugins may run."""
    node.plugins.turns = ChainTurns(limit=1)
    node.add_pod(interfaces=[MANAGEMENT, {"network": "device", "ip": "dynamic"}])
    await node.add()
    await node.end_pod()
    await node.delete()
    assert {} == node.leftovers()


async def test_a_del_does_not_wait_for_plugins_of_adds(node: FakeNode) -> None:
    """It is what makes room."""
    # SPEC C4
    node.plugins.turns = ChainTurns(limit=1)
    node.add_pod(interfaces=[MANAGEMENT])
    await node.add()
    await node.end_pod()
    async with node.plugins.turn(Verb.ADD):
        await node.delete()
        await node.until(lambda: {} == node.leftovers())


async def test_dels_run_so_many_plugins_at_once(node: FakeNode) -> None:
    """One that waits for its turn is answered in time, and finished later."""
    # SPEC C4; DESIGN, P5
    node.plugins.turns = ChainTurns(limit=1)
    node.add_pod(interfaces=[MANAGEMENT])
    await node.add()
    await node.end_pod()
    async with node.plugins.turn(Verb.DEL):
        await node.delete(timeout_s=0.5)
        assert node.plugins.alive
    await node.until(lambda: {} == node.leftovers())


async def _has_device_network(node: FakeNode) -> None:
    await node.have_network(
        "fast", network_type="sriov", device_pool="example.com/a", container_prefix="fast0"
    )
    node.add_pod(interfaces=[INTERNAL, {"network": "fast", "ip": "none"}])


async def test_a_delegate_gets_the_device_that_the_kubelet_gave(node: FakeNode) -> None:
    """Its id is in the plugin's configuration, in the journal and in what the Pod is told."""
    await _has_device_network(node)
    node.devices.given = {"example.com/a": ["0000:18:02.5"]}
    await node.add()
    config = msgspec.json.decode(node.plugins.alive["sriov", "c1", "fast0"])
    # SPEC E1
    assert config["deviceID"] == "0000:18:02.5"
    (record,) = node.daemon.journal.records()
    assert ["", "0000:18:02.5"] == [each.device for each in record.interfaces]
    _, told = msgspec.json.decode(network_status(record))
    assert told["device-info"]["pci"] == {"pci-address": "0000:18:02.5"}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(None, CniCode.INVALID_ATTACHMENT, id="the Pod requests no device"),
        pytest.param(KubeletUnavailableError("away"), CniCode.TRY_AGAIN, id="no kubelet"),
    ],
)
async def test_without_a_device_nothing_is_made(
    node: FakeNode, error: DanmError | None, code: int
) -> None:
    """A Pod that cannot get its device is refused before anything is reserved."""
    await _has_device_network(node)
    if error is not None:
        node.devices.failures.fail("devices", error)
    with pytest.raises(DanmError) as caught:
        await node.add()
    assert code_of(caught.value) == code
    assert {} == node.leftovers()


async def test_a_plugin_that_is_missing_leaves_nothing(node: FakeNode) -> None:
    """An ADD that could not start its plugin is undone at once, and not tried to be for ever."""
    node.plugins.missing.add("sriov")
    node.add_pod(interfaces=[INTERNAL, {"network": "device", "ip": "dynamic"}])
    with pytest.raises(DelegateError, match="not in CNI_PATH"):
        await node.add()
    assert {} == node.leftovers()


async def test_all_interfaces_are_made_at_once(node: FakeNode) -> None:
    """None waits for another one; and when time is over all of them are undone."""
    # Peers' complaint 11; SPEC C3
    node.add_pod(interfaces=[MANAGEMENT, INTERNAL] * 8)
    node.plugins.failures.hang("bridge-half")
    node.kernel.failures.hang("create-half")
    adding = asyncio.create_task(node.add(timeout_s=3))
    await node.until(
        lambda: node.plugins.failures.hanging["bridge-half"] == 8
        and node.kernel.failures.hanging["create-half"] == 8
    )
    assert len(node.interfaces()) == 16
    with pytest.raises(DeadlineExceededError, match="making the interfaces"):
        await adding
    assert {} == node.leftovers()


async def test_delegates_that_do_not_end_are_named(node: FakeNode) -> None:
    """Those alone that hang, with interface, DanmNet, file, and what to do; not those that end."""
    # DESIGN, P7
    await node.have_network("hung", network_type="hung", container_prefix="net1")
    node.write_cni_config("hung.conf", {"cniVersion": "1.0.0", "name": "hung", "type": "ptp"})
    node.add_pod(interfaces=[MANAGEMENT, {"network": "hung"}])
    node.plugins.failures.hang("ptp-half")
    with pytest.raises(DeadlineExceededError) as caught:
        await node.add(timeout_s=3.0)
    assert "while making the interfaces: interface net1 on DanmNet" in caught.value.reason
    assert "/hung needs plugin ptp of hung.conf, which has not ended" in caught.value.reason
    assert "find out on the node what it waits for" in caught.value.reason
    assert "the runtime will try again" in caught.value.reason
    assert "flannel.conf" not in caught.value.reason
    assert {} == node.leftovers()


async def test_a_fallback_that_does_not_end_is_named(node: FakeNode) -> None:
    """The plugin of a Pod that asked for nothing, and whose file it is."""
    # DESIGN, P7
    node.write_cni_config("10-old.conf", {"cniVersion": "1.1.0", "name": "old", "type": "ptp"})
    node.add_pod()
    node.plugins.failures.hang("ptp")
    told = "interface eth0 on the fallback network needs plugin ptp of 10-old.conf"
    with pytest.raises(DeadlineExceededError, match=told):
        await node.add(timeout_s=3.0)
