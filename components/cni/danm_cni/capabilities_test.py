"""What a runtime asks for by capabilities."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from danm_api.codec.attachment import decode_annotation
from danm_api.codec.cni import decode_result
from danm_api.errors import SeveralErrors
from danm_api.model.cni import CniResult
from danm_api.names import InterfaceName, Namespace, PodName
from danm_api.testing.builders import a_danmnet, accepted
from danm_cni.capabilities import for_interface, unserved, unserved_message, with_identity
from danm_cni.cni_errors import CniCode, code_of
from danm_cni.interface_setup import LinkFacts
from danm_cni.plan import PlannedAttachment, plan_attachments
from danm_cni.request import PodIdentity
from danm_cni.testing.demo import EXTERNAL, INTERNAL, MANAGEMENT
from danm_cni.testing.node import FakeNode

POD = PodIdentity(namespace=Namespace("example-vnf"), name=PodName("vnf"), uid=None)
MAC = "02:00:00:00:00:09"
PARENT_MAC = "02:00:00:00:00:01"
NETWORKS = {
    name: accepted(
        a_danmnet(name, network_type=name, host_device="ens3", cidr="10.9.0.0/24", net6="fd00::/64")
    )
    for name in ("ipvlan", "macvlan", "sriov", "flannel")
}
PORT = {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}


def _planned(
    runtime_config: Mapping[str, Any], *, networks: Sequence[str], ip: str = "dynamic"
) -> tuple[PlannedAttachment, ...]:
    entries = ",".join(f'{{"network":"{name}","ip":"{ip}"}}' for name in networks)
    attachments = decode_annotation(f"[{entries}]", pod=str(POD))
    planned = plan_attachments(POD, attachments, NETWORKS.get)
    return with_identity(
        POD,
        planned,
        runtime_config,
        asked=InterfaceName("eth0"),
        parents={"ens3": LinkFacts(mac=PARENT_MAC, mtu=1500)},
    )


@pytest.mark.parametrize("network_type", ["macvlan", "sriov"])
def test_a_mac_is_of_the_interface_that_was_asked_for(network_type: str) -> None:
    """CNI_IFNAME gets it where its type has MACs of its own; other interfaces do not."""
    # SPEC C7
    planned = _planned({"mac": MAC.upper()}, networks=[network_type, "macvlan"])
    assert [each.mac for each in planned] == [MAC, None]


def test_an_ipvlan_interface_has_its_parents_mac() -> None:
    """Asking for what it has anyway is no error, and nothing else is possible."""
    planned = _planned({"mac": PARENT_MAC}, networks=["ipvlan", "macvlan"])
    assert [each.mac for each in planned] == [None, None]


@pytest.mark.parametrize("ips", [["10.9.0.7"], ["10.9.0.7/24"]])
def test_addresses_that_the_annotation_asks_for_are_no_news(ips: Sequence[str]) -> None:
    """A meta-plugin may tell danm what the Pod's owner has told it too."""
    assert _planned({"ips": ips}, networks=["ipvlan"], ip="10.9.0.7/24")


@pytest.mark.parametrize(
    ("network_type", "asked", "told"),
    [
        pytest.param("ipvlan", {"mac": MAC}, "the MAC of their link ens3", id="ipvlan's MAC"),
        pytest.param("macvlan", {"mac": "fa:16:3e:00:00:01"}, "given by DANM", id="DANM's MAC"),
        pytest.param("macvlan", {"mac": "01:00:5e:00:00:01"}, "not the MAC", id="a group's MAC"),
        pytest.param("macvlan", {"mac": "00:00:00:00:00:00"}, "not the MAC", id="no MAC"),
        pytest.param("macvlan", {"mac": "02:00:00:00:00"}, "not the MAC", id="short MAC"),
        pytest.param("macvlan", {"mac": 7}, "not the MAC", id="no text"),
        pytest.param("macvlan", {"ips": ["10.9.0.8"]}, "annotation", id="another address"),
        pytest.param("macvlan", {"ips": ["10.9.0.7/16"]}, "annotation", id="another prefix"),
        pytest.param("macvlan", {"ips": ["10.9.0.7", "fd00::1"]}, "annotation", id="one more"),
        pytest.param("macvlan", {"ips": ["x"]}, "no list of addresses", id="no address"),
        pytest.param("macvlan", {"ips": "10.9.0.7"}, "annotation", id="no list"),
        pytest.param("sriov", {"deviceID": "0000:04:00.5"}, "no such thing", id="device"),
        pytest.param("sriov", {"infinibandGUID": "c2:11"}, "no such thing", id="GUID"),
        pytest.param("ipvlan", {"ipRanges": [[{}]]}, "no such thing", id="ranges"),
    ],
)
def test_an_identity_that_cannot_be_given_is_refused(
    network_type: str, asked: Mapping[str, Any], told: str
) -> None:
    """Error 2 with key and value, before anything is touched: a Pod never has another one."""
    # CNI specification, "Error"; SPEC C7
    with pytest.raises(SeveralErrors, match=told) as caught:
        _planned(asked, networks=[network_type], ip="10.9.0.7/24")
    assert code_of(caught.value) == CniCode.UNSUPPORTED_FIELD
    (key,) = asked
    assert f"asks for {key} " in caught.value.reason


def test_a_static_types_plugins_are_left_to_themselves() -> None:
    """What they can do they declare in their own configuration."""
    asked = {"mac": MAC, "ips": ["192.0.2.1"], "deviceID": "x"}
    assert [None] == [each.mac for each in _planned(asked, networks=["flannel"])]


@pytest.mark.parametrize("key", ["mac", "ips", "deviceID"])
def test_what_is_empty_is_not_asked_for(key: str) -> None:
    """Go programs write empty values for none."""
    empties: tuple[object, ...] = (None, "", [])
    for empty in empties:
        assert _planned({key: empty}, networks=["ipvlan"])


def test_an_identity_is_given_to_one_interface() -> None:
    """Two interfaces never get one MAC, address or device; host ports are of the whole Pod."""
    given = {"mac": MAC, "ips": ["192.0.2.1"], "deviceID": "x", "portMappings": [PORT]}
    assert for_interface(given, is_asked=True) == given
    assert for_interface(given, is_asked=False) == {"portMappings": [PORT]}


@pytest.mark.parametrize(
    ("asked", "given", "given_asked", "is_own", "expected"),
    [
        pytest.param({"portMappings": [PORT]}, [], [], True, ["portMappings"], id="nobody"),
        pytest.param(
            {"bandwidth": {"ingressRate": 1}}, ["portMappings"], [], True, ["bandwidth"], id="other"
        ),
        pytest.param({"portMappings": [PORT]}, ["portMappings"], [], True, [], id="another's"),
        pytest.param({"mac": MAC}, [], [], True, [], id="judged"),
        pytest.param({"mac": MAC}, ["mac"], [], False, ["mac"], id="another interface's MAC"),
        pytest.param({"mac": MAC}, ["mac"], ["mac"], False, [], id="its plugins' MAC"),
        pytest.param({"aliases": ["a"], "new": 1}, [], [], True, ["aliases", "new"], id="unknown"),
        pytest.param(
            {"dns": {"servers": ["192.0.2.1"]}, "cgroupPath": "/x", "io.x.annotations": {"a": "b"}},
            [],
            [],
            True,
            [],
            id="of every Pod",
        ),
        pytest.param({"portMappings": [{**PORT, "hostPort": 0}]}, [], [], True, [], id="no host's"),
        pytest.param({"portMappings": [], "bandwidth": None}, [], [], True, [], id="empty"),
    ],
)
def test_what_nobody_has_done(
    asked: Mapping[str, Any],
    given: Sequence[str],
    given_asked: Sequence[str],
    is_own: bool,
    expected: Sequence[str],
) -> None:
    """A wish counts as done when a plugin was called with it; what nobody wished for is no loss."""
    # DESIGN, P7
    missing = unserved(asked, given=given, given_asked=given_asked, is_own=is_own)
    assert expected == list(missing)


def test_the_owner_is_told_what_is_missing_and_what_to_do() -> None:
    """The sentence has the wish, the networks and the way out, and never grows with the wish."""
    message = unserved_message(POD, {"portMappings": [PORT] * 1000}, ["internal"])
    assert 'example-vnf/vnf runs without portMappings [{"hostPort":8080' in message
    assert "(internal)" in message
    assert "static NetworkType" in message
    assert len(message) < 1024


async def _add(node: FakeNode, **runtime_config: Any) -> CniResult:  # noqa: ANN401
    request = node.request("ADD", "c1", runtimeConfig=runtime_config)
    answer = await node.daemon.sandboxes.add(request, deadline_s=time.monotonic() + 5)
    return decode_result(answer)


async def _told(node: FakeNode) -> str:
    """Return the one Event about wishes that nobody did; it is written in the background."""
    await node.until(lambda: bool(node.events("UnservedCapability")))
    (message,) = node.events("UnservedCapability").values()
    return message


@pytest.mark.parametrize("network", ["mac", "device"])
async def test_an_interface_has_the_mac_that_the_runtime_asks_for(
    node: FakeNode, network: str
) -> None:
    """It is made with it, and result, DanmEp, journal and CHECK all say so."""
    # SPEC C7
    prefixed = {"mac": "mac0", "device": "dev0"}[network]
    node.add_pod(interfaces=[INTERNAL, {"network": network, "ip": "dynamic"}])
    request = node.request("ADD", "c1", runtimeConfig={"mac": MAC})
    request = replace(request, interface=InterfaceName(prefixed))
    await node.daemon.sandboxes.add(request, deadline_s=time.monotonic() + 5)
    (record,) = node.daemon.journal.records()
    assert [PARENT_MAC, MAC] == [each.mac for each in record.interfaces]
    assert {PARENT_MAC, MAC} == {
        each["spec"]["Interface"]["MacAddress"] for each in node.endpoints()
    }
    if network == "mac":
        assert node.kernel.namespaces[record.netns].macs["mac0"] == MAC
        await node.check()
    else:
        config = msgspec.json.decode(node.plugins.alive["sriov", "c1", "dev0"])
        assert {"mac": MAC} == config["runtimeConfig"]


async def test_a_mac_that_cannot_be_given_leaves_nothing(node: FakeNode) -> None:
    """Refused before anything is reserved."""
    node.add_pod(interfaces=[INTERNAL])
    with pytest.raises(SeveralErrors, match="the MAC of their link vx_internal"):
        await _add(node, mac=MAC)
    assert {} == node.leftovers()


async def test_host_ports_that_nobody_maps_are_told(node: FakeNode) -> None:
    """The Pod runs, as it always did, and its owner learns what it lacks."""
    # DESIGN, P7
    node.add_pod(interfaces=[INTERNAL, EXTERNAL])
    await _add(node, portMappings=[PORT], dns={"servers": ["192.0.2.1"]})
    message = await _told(node)
    assert 'portMappings [{"hostPort":8080' in message
    assert "(external, internal)" in message
    assert "dns" not in message


async def test_host_ports_that_a_plugin_maps_are_no_news(node: FakeNode) -> None:
    """Another interface of the Pod may be the one that has them."""
    plugins = [{"type": "bridge"}, {"type": "portmap", "capabilities": {"portMappings": True}}]
    listed = {"cniVersion": "0.3.1", "name": "m", "plugins": plugins}
    node.write_cni_config("flannel.conflist", listed)
    node.add_pod(interfaces=[INTERNAL, MANAGEMENT])
    await _add(node, portMappings=[PORT], bandwidth={"ingressRate": 1})
    message = await _told(node)
    assert "runs without bandwidth" in message
    assert "hostPort" not in message


async def test_plugins_get_an_identity_for_one_interface(node: FakeNode) -> None:
    """Two networks of a static type would otherwise give one MAC to two interfaces."""
    await node.have_network("other", network_type="flannel", container_prefix="net1")
    declaring = {"type": "bridge", "capabilities": {"mac": True}}
    node.write_cni_config("flannel.conf", {"cniVersion": "0.3.1", "name": "m", **declaring})
    node.add_pod(interfaces=[MANAGEMENT, {"network": "other"}])
    await _add(node, mac=MAC)
    given = {
        name: msgspec.json.decode(config).get("runtimeConfig")
        for (_, _, name), config in node.plugins.alive.items()
    }
    assert {"eth0": {"mac": MAC}, "net1": None} == given


async def test_the_fallback_is_as_without_danm(node: FakeNode) -> None:
    """A runtime says nothing of what no plugin declares."""
    # SPEC B2
    node.write_cni_config("10-old.conf", {"cniVersion": "1.1.0", "name": "old", "type": "ptp"})
    node.add_pod()
    await _add(node, portMappings=[PORT], mac=MAC)
    await node.daemon.sandboxes.background.end()
    assert {} == node.events("UnservedCapability")
