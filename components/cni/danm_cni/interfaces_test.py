"""What danmd does for interfaces that other plugins make."""

import time
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from danm_api.errors import LinkSetupError
from danm_cni.network_status import network_status
from danm_cni.request import Verb
from danm_cni.testing.demo import INTERNAL, MANAGEMENT
from danm_cni.testing.node import FakeNode, netns_of

DEVICE = {"network": "fast", "ip": "dynamic", "ip6": "dynamic"}


async def _has_device(node: FakeNode, **options: Any) -> None:  # noqa: ANN401
    addresses = {"cidr": "10.8.1.0/24", "net6": "2001:db8::/64"}
    keys = {"network_type": "sriov", "host_device": "ens3", "container_prefix": "fast0"}
    await node.have_network("fast", **keys, **addresses, **options)
    node.add_pod(interfaces=[INTERNAL, DEVICE])


async def test_the_neighbours_of_a_device_are_told_of_all_addresses(node: FakeNode) -> None:
    """Of the one that the plugin has given it, too: somebody else had it before."""
    # SPEC D2, E4
    await _has_device(node)
    await node.add()
    told = node.kernel.namespaces[netns_of("c1")].announced
    assert {("fast0", "198.18.0.11/24"), ("fast0", "2001:db8::b/64")} <= told


async def test_the_neighbours_of_a_static_type_are_told(node: FakeNode) -> None:
    """The addresses that its plugin reports for the Pod's interface, and no others."""
    # SPEC D2, E4
    node.plugins.have_report("bridge", "203.0.113.5/24", "2001:db8:1::5/64", netns=netns_of("c1"))
    node.add_pod(interfaces=[{"network": "management"}])
    await node.add()
    space = node.kernel.namespaces[netns_of("c1")]
    assert {("eth0", "203.0.113.5/24"), ("eth0", "2001:db8:1::5/64")} == space.announced
    (endpoint,) = node.endpoints()
    interface = endpoint["spec"]["Interface"]
    # SPEC E3: the host's interface of that name has others.
    assert (interface["Address"], interface["MacAddress"]) == (
        "203.0.113.5/24",
        "02:00:00:00:00:02",
    )
    assert {"eth0": []} == space.interfaces
    (record,) = node.daemon.journal.records()
    (told,) = msgspec.json.decode(network_status(record))
    assert told["ips"] == ["203.0.113.5", "2001:db8:1::5"]


async def test_a_device_has_the_mtu_of_its_network(node: FakeNode) -> None:
    """Its plugin knows no MTU, so danmd sets it; the result says it."""
    # SPEC A7, D1
    await _has_device(node, mtu=9000)
    result = await node.add()
    assert {"eth0": 1500, "fast0": 9000} == node.kernel.namespaces[netns_of("c1")].mtus
    assert [1500, 9000] == [each.mtu for each in result.interfaces]


async def test_an_interface_of_a_static_type_has_the_mtu_of_its_network(node: FakeNode) -> None:
    """An MTU of the DanmNet overrides that of the plugin's file, and failing to is an error."""
    # SPEC A7, E4
    await node.have_network("small", network_type="flannel", mtu=1400)
    node.plugins.have_report("bridge", "203.0.113.5/24", netns=netns_of("c1"))
    node.add_pod(interfaces=[{"network": "small"}])
    node.kernel.failures.fail("set_up", LinkSetupError("the kernel says no"))
    with pytest.raises(LinkSetupError, match="the kernel says no"):
        await node.add()
    assert {} == node.leftovers()
    result = await node.add()
    assert {"eth0": 1400} == node.kernel.namespaces[netns_of("c1")].mtus
    assert [None, 1400] == [each.mtu for each in result.interfaces]


async def test_what_a_devices_plugin_tells_beside_its_interface_is_told_on(node: FakeNode) -> None:
    """Its interfaces of the host and its DNS settings are in the result; the rest danmd knows."""
    # SPEC C3
    await _has_device(node)
    result = {
        "cniVersion": "0.4.0",
        "interfaces": [
            {"name": "enp1s0v3", "mac": "02:00:00:00:00:09"},
            {"name": "fast0", "mac": "02:00:00:00:00:02", "sandbox": netns_of("c1")},
        ],
        "ips": [{"version": "4", "address": "198.18.0.11/24", "interface": 1}],
        "dns": {"nameservers": ["192.0.2.53"]},
    }
    node.plugins.results["sriov"] = msgspec.json.encode(result)
    told = await node.add()
    assert ["eth0", "fast0", "enp1s0v3"] == [each.name for each in told.interfaces]
    assert told.dns.nameservers == ("192.0.2.53",)
    of_device = [str(ip.address) for ip in told.ips if ip.interface == 1]
    assert of_device == ["198.18.0.11/24", "2001:db8::b/64"]


async def test_a_device_of_a_user_space_driver_is_not_set_up(node: FakeNode) -> None:
    """The kernel has no interface of it: what its plugin tells is all there is."""
    # SPEC E1, E6
    await _has_device(node, dpdk=True)
    await node.add()
    space = node.kernel.namespaces[netns_of("c1")]
    assert "fast0" not in space.routes
    assert {"eth0"} == {name for name, _ in space.announced}


async def test_own_interfaces_have_mtu_and_gateways_of_their_network(node: FakeNode) -> None:
    """The result names the gateway of each family, which is the default route's."""
    # SPEC D1, A7, C3
    await node.have_network(
        "dual",
        host_device="ens3",
        mtu=1300,
        cidr="10.5.0.0/24",
        net6="2001:db8::/64",
        routes={"192.0.2.0/24": "10.5.0.9", "0.0.0.0/0": "10.5.0.1"},
        routes6={"::/0": "2001:db8::1"},
    )
    node.add_pod(interfaces=[{"network": "dual", "ip": "dynamic", "ip6": "dynamic"}])
    result = await node.add()
    assert ["10.5.0.1", "2001:db8::1"] == [str(ip.gateway) for ip in result.ips]
    assert [1300] == [each.mtu for each in result.interfaces]


async def test_a_route_that_another_interface_has_keeps_its_metric(node: FakeNode) -> None:
    """A device's plugin knows no metrics: danmd adds what must not take precedence."""
    await node.have_network(
        "routed", host_device="ens3", cidr="10.5.0.0/24", routes={"0.0.0.0/0": "10.5.0.1"}
    )
    routes = {"0.0.0.0/0": "10.8.1.1", "192.0.2.0/24": "10.8.1.2"}
    await node.have_network(
        "fast",
        network_type="sriov",
        host_device="ens3",
        container_prefix="fast0",
        cidr="10.8.1.0/24",
        routes=routes,
    )
    node.add_pod(
        interfaces=[INTERNAL | {"network": "routed"}, {"network": "fast", "ip": "dynamic"}]
    )
    result = await node.add()
    config = msgspec.json.decode(node.plugins.alive["sriov", "c1", "fast0"])
    # SPEC E1
    assert config["ipam"]["routes"] == [{"dst": "192.0.2.0/24", "gw": "10.8.1.2"}]
    assert config["ipam"]["gateway"] == "10.8.1.1"
    (added,) = node.kernel.namespaces[netns_of("c1")].routes["fast0"]
    assert (str(added.destination), added.metric) == ("0.0.0.0/0", 100)
    told = {(str(each.destination), each.priority) for each in result.routes}
    assert told == {("0.0.0.0/0", None), ("0.0.0.0/0", 100), ("192.0.2.0/24", None)}


@pytest.mark.parametrize("static", [True, False], ids=["static type", "fallback"])
async def test_a_delegate_gets_the_runtimes_environment(node: FakeNode, static: bool) -> None:
    """All of it, at its DEL too, whoever asks for that and whenever: after a restart, unasked."""
    # SPEC E3; CNI 1.1.0, section 4
    node.write_cni_config("10-old.conf", {"cniVersion": "1.1.0", "name": "old", "type": "bridge"})
    node.add_pod(interfaces=[MANAGEMENT] if static else None)
    request = node.request("ADD", "c1")
    runtimes = {"HTTPS_PROXY": "http://192.0.2.1", "PATH": "/bin"}
    request = replace(request, environment={**request.environment, **runtimes})
    await node.daemon.sandboxes.add(request, deadline_s=time.monotonic() + 5)
    attachment = {"CNI_ARGS", "CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS", "CNI_PATH"}
    expected = {key: request.environment[key] for key in attachment} | runtimes
    assert expected.items() <= node.plugins.environments["bridge", Verb.ADD].items()
    await node.end_pod()
    await node.restart()
    node.kernel.gone.add(netns_of("c1"))
    del node.kernel.namespaces[netns_of("c1")]
    await node.daemon.upkeep.compare()
    assert {} == node.leftovers()
    expected["CNI_NETNS"] = ""
    assert expected.items() <= node.plugins.environments["bridge", Verb.DEL].items()
