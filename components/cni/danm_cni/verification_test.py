"""CHECK, of the node and of its delegates."""

import asyncio
import time
from contextlib import nullcontext
from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_network

import msgspec
import pytest

from danm_api.codec.cni import encode_result
from danm_api.errors import DanmError, DelegateError, LinkSetupError, SeveralErrors
from danm_api.model.cni import CniIp, CniResult, CniRoute, CniVersion
from danm_cni.cni_errors import CniCode, CniRequestError, code_of
from danm_cni.interface_setup import InterfaceSetup, PolicyRule
from danm_cni.plan import PlannedRoute
from danm_cni.request import Verb
from danm_cni.testing.demo import EXTERNAL, INTERNAL, MANAGEMENT
from danm_cni.testing.node import FakeNode, netns_of
from danm_cni.verification import as_told

MACVLAN = {"network": "mac", "ip": "dynamic"}
DEVICE = {"network": "device", "ip": "dynamic"}


async def test_check_compares_with_the_record(node: FakeNode) -> None:
    """CHECK passes on a whole sandbox and names what is missing from a damaged one."""
    node.add_pod(interfaces=[INTERNAL, EXTERNAL])
    # SPEC C6
    with pytest.raises(CniRequestError, match="not added"):
        await node.check()
    await node.add()
    await node.check()
    del node.interfaces()["ext"]
    with pytest.raises(LinkSetupError, match="interface ext is missing"):
        await node.check()


async def test_delegates_are_asked_with_their_own_configuration_and_result(node: FakeNode) -> None:
    """Each plugin that knows CHECK gets the bytes of its ADD, its chain's result and its name."""
    node.write_cni_config(
        "flannel.conflist",
        {
            "cniVersion": "1.0.0",
            "name": "mgmt",
            "plugins": [{"type": "bridge", "odd": 1.50}, {"type": "portmap"}],
        },
    )
    node.add_pod(interfaces=[MANAGEMENT, DEVICE])
    await node.add()
    await node.check()
    assert {(verb, call.type) for verb, call, _ in node.plugins.asked} == {
        (Verb.CHECK, "bridge"),
        (Verb.CHECK, "portmap"),
        (Verb.CHECK, "sriov"),
    }
    (bridge, environment), *_ = (
        (call, environment) for _, call, environment in node.plugins.asked if call.type == "bridge"
    )
    added = node.plugins.alive["bridge", "c1", "eth0"]
    (record,) = node.daemon.journal.records()
    output = next(each.output for each in record.interfaces if each.interface == "eth0")
    assert b'"ips"' in output
    # CNI 1.1.0, section 4: the final result, in place of what an ADD of a chain has there.
    assert bridge.config == added[:-1] + b',"prevResult":' + output + b"}"
    assert (environment["CNI_CONTAINERID"], environment["CNI_IFNAME"]) == ("c1", "eth0")
    assert environment["CNI_NETNS"] == netns_of("c1")
    portmap = next(call for _, call, _ in node.plugins.asked if call.type == "portmap")
    assert msgspec.json.decode(portmap.config)["prevResult"] == msgspec.json.decode(output)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"cniVersion": "0.3.1"}, id="older than CHECK"),
        pytest.param({"disableCheck": True}, id="its list forbids it"),
        pytest.param({"disableCheck": "true"}, id="its list forbids it as a text"),
    ],
)
async def test_plugins_that_must_not_be_asked_are_not(
    node: FakeNode, change: dict[str, object]
) -> None:
    """CHECK is not for configurations before 0.4.0, nor for lists with disableCheck."""
    keys = {"cniVersion": "1.0.0", "name": "mgmt", "plugins": [{"type": "bridge"}]}
    node.write_cni_config("flannel.conflist", keys | change)
    node.add_pod(interfaces=[MANAGEMENT])
    await node.add()
    await node.check()
    assert [] == node.plugins.asked


async def test_a_delegates_complaint_has_its_own_code(node: FakeNode) -> None:
    """What one delegate says passes through; with more faults all are told."""
    node.add_pod(interfaces=[{"network": "internal", "ip": "dynamic"}, DEVICE])
    await node.add()
    node.plugins.failures.fail("sriov-check", DelegateError("address is gone", code=120), times=2)
    with pytest.raises(DelegateError, match="address is gone") as caught:
        await node.check()
    assert code_of(caught.value) == 120
    del node.interfaces()["eth0"]
    with pytest.raises(SeveralErrors, match="eth0 is missing.*address is gone"):
        await node.check()


async def test_a_delegate_hears_what_plugins_after_danm_have_changed(node: FakeNode) -> None:
    """CHECK bears with a MAC that tuning has set: the delegate gets the one that the list made."""
    # CNI 1.1.0, section 2
    node.add_pod(interfaces=[{"network": "internal", "ip": "dynamic"}, DEVICE])
    result = encode_result(await node.add(), CniVersion.V1_1_0)
    final = msgspec.json.decode(result)
    for each in final["interfaces"]:
        each["mac"] = "02:00:00:00:05:07"
    request = node.request("CHECK", "c1", prevResult=final)
    await node.daemon.sandboxes.check(request, deadline_s=time.monotonic() + 5)
    ((_, call, _),) = node.plugins.asked
    (told,) = msgspec.json.decode(call.config)["prevResult"]["interfaces"]
    assert told["mac"] == "02:00:00:00:05:07"


async def test_a_delegate_that_hangs_is_given_up(node: FakeNode) -> None:
    """CHECK answers within the runtime's patience, and names the plugin that said nothing."""
    node.add_pod(interfaces=[{"network": "internal", "ip": "dynamic"}, DEVICE])
    await node.add()
    node.plugins.failures.hang("sriov-check")
    async with asyncio.timeout(5):
        with pytest.raises(DanmError, match="CHECK of plugin sriov did not end") as caught:
            await node.check(timeout_s=0.5)
    assert code_of(caught.value) == CniCode.TRY_AGAIN


async def test_the_fallbacks_plugins_are_asked_too(node: FakeNode) -> None:
    """A Pod that asks for nothing is checked by the plugin that made its interface."""
    node.write_cni_config("10-old.conf", {"cniVersion": "1.1.0", "name": "old", "type": "ptp"})
    node.add_pod()
    await node.add()
    await node.check()
    assert [(Verb.CHECK, "ptp")] == [(verb, call.type) for verb, call, _ in node.plugins.asked]


@pytest.mark.parametrize(
    ("told", "content"),
    [
        pytest.param(None, False, id="nobody said so"),
        pytest.param("02:00:00:00:05:07", True, id="a plugin behind danm"),
        pytest.param("02:00:00:00:05:08", False, id="and another one since"),
    ],
)
async def test_a_macvlan_interface_keeps_the_mac_that_it_was_told(
    node: FakeNode, told: str | None, *, content: bool
) -> None:
    """CHECK finds another MAC than the address's own, unless a plugin behind danm has set it."""
    # SPEC C6, G6
    node.add_pod(interfaces=[{"network": "internal", "ip": "dynamic"}, MACVLAN])
    final = msgspec.json.decode(encode_result(await node.add(), CniVersion.V1_1_0))
    assert final["interfaces"][1]["mac"] == "fa:16:3e:12:00:0b"
    await node.check()
    node.kernel.namespaces[netns_of("c1")].macs["mac0"] = "02:00:00:00:05:07"
    if told is not None:
        final["interfaces"][1]["mac"] = told.upper()
    request = node.request("CHECK", "c1", prevResult=final)
    outcome = nullcontext() if content else pytest.raises(LinkSetupError, match="mac0 has another")
    with outcome:
        await node.daemon.sandboxes.check(request, deadline_s=time.monotonic() + 5)


def test_what_the_final_result_does_not_list_may_be_missing() -> None:
    """A plugin behind danm may take an address or a route away; policy routes are in no result."""
    # CNI 1.1.0, section 2: "The plugin must allow for a later chained plugin"
    address, other = IPv4Interface("198.18.0.7/24"), IPv6Interface("2001:db8::7/64")
    kept = PlannedRoute(destination=ip_network("0.0.0.0/0"), gateway=ip_address("198.18.0.1"))
    moved = replace(kept, destination=ip_network("192.0.2.0/24"))
    policy = replace(moved, table=7)
    setup = InterfaceSetup(
        name="ext",
        addresses=(address, other),
        routes=(kept, moved, policy),
        rules=(PolicyRule(source=address.ip, table=7),),
    )
    assert as_told(setup, None, "/x") == setup
    final = CniResult(
        ips=(CniIp(address=address),),
        routes=(CniRoute(destination=kept.destination, gateway=kept.gateway),),
    )
    expected = replace(setup, addresses=(address,), routes=(kept, policy))
    assert as_told(setup, final, "/x") == expected
