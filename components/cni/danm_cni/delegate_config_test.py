"""Configurations of delegates."""

from ipaddress import IPv4Interface, IPv6Interface
from typing import Any

import msgspec
import pytest

from danm_api.codec.cni import decode_result
from danm_api.errors import InvalidNetworkError
from danm_api.model.addresses import Route
from danm_api.model.danmnet import NetworkSpec
from danm_api.names import InterfaceName
from danm_api.testing.builders import a_danmnet, accepted
from danm_cni.delegate_config import (
    DpdkSettings,
    DynamicAddresses,
    SriovRequest,
    render,
    require_plain_name,
    result_for,
    sriov_chain,
    with_later_changes,
)
from danm_cni.plan import PlannedRoute
from danm_cni.plugin_files import declared_capabilities, file_chain


def _sriov(addresses: DynamicAddresses, **options: Any) -> dict[str, Any]:  # noqa: ANN401
    spec = a_danmnet("net", network_type="sriov", **options).spec
    assert isinstance(spec, NetworkSpec)
    of_network: list[Route] = [*spec.routes, *spec.routes6]
    request = SriovRequest(
        spec=spec,
        interface=InterfaceName("net1"),
        addresses=addresses,
        routes=tuple(
            PlannedRoute(destination=each.destination, gateway=each.gateway) for each in of_network
        ),
        dpdk=DpdkSettings(kernel_driver="k", dpdk_driver="d", dpdk_tool="t"),
    )
    chain = sriov_chain(request)
    data = render(chain.plugins[0], previous=None, runtime_config={})
    return msgspec.json.decode(data, type=dict[str, Any])


def test_sriov() -> None:
    """Its delegate gets device, name and VLAN, and l2enable only without address."""
    addresses = DynamicAddresses(ip6=IPv6Interface("2001:db8::7/64"))
    keys = _sriov(addresses, host_device="ens4", vlan=300)
    # SPEC E1
    assert (
        keys["if0"],
        keys["if0name"],
        keys["l2enable"],
        keys["vlan"],
    ) == ("ens4", "net1", False, 300)
    assert keys["ipam"]["ip"] == "2001:db8::7"
    assert "dpdk" not in keys


def test_sriov_with_an_address() -> None:
    """Its delegate gets the address by fakeipam, with routes and gateway, and the MAC."""
    addresses = DynamicAddresses(ip=IPv4Interface("10.0.0.7/24"), mac="fa:16:3e:00:00:07")
    # SPEC E1, G6
    assert {
        "cniVersion": "0.4.0",
        "name": "net",
        "type": "sriov",
        "if0": "ens4",
        "if0name": "net1",
        "l2enable": False,
        "ipam": {
            "type": "fakeipam",
            "ip": "10.0.0.7",
            "subnet": "10.0.0.0/24",
            "routes": [{"dst": "0.0.0.0/0", "gw": "10.0.0.1"}],
            "gateway": "10.0.0.1",
        },
        "runtimeConfig": {"mac": "fa:16:3e:00:00:07"},
    } == _sriov(addresses, host_device="ens4", routes={"0.0.0.0/0": "10.0.0.1"})


def test_sriov_with_a_device_of_a_pool() -> None:
    """The kubelet's device goes in place of a parent, as today's SR-IOV plugin wants it."""
    spec = accepted(
        a_danmnet(
            "net", network_type="sriov", device_pool="example.com/a", vlan=300, host_device="p"
        )
    ).spec_in_force()
    request = SriovRequest(
        spec=spec,
        interface=InterfaceName("net1"),
        addresses=DynamicAddresses(),
        device="0000:18:02.5",
    )
    keys = msgspec.json.decode(sriov_chain(request).plugins[0].exact or b"")
    # SPEC E1
    assert (keys["deviceID"], keys["vlan"]) == ("0000:18:02.5", 300)
    assert "if0" not in keys


def test_sriov_with_a_user_space_driver() -> None:
    """DPDK settings come from danmd's environment; an attachment may have no address at all."""
    keys = _sriov(DynamicAddresses(), host_device="ens4", dpdk=True)
    # SPEC E1, E6
    assert {"kernel_driver": "k", "dpdk_driver": "d", "dpdk_tool": "t"} == keys["dpdk"]
    assert (True, {}) == (keys["l2enable"], keys["ipam"])


def test_a_conf_goes_out_byte_for_byte() -> None:
    """A single plugin's file is sent as it is, white space included."""
    data = b'{ "cniVersion": "0.3.1",\n "name": "x", "type": "bridge" }\n'
    chain = file_chain(data, source="x.conf")
    assert data == render(chain.plugins[0], previous=None, runtime_config={"mac": "ignored"})


def test_a_list_chains_results_and_capabilities() -> None:
    """Each plugin of a list has the list's name, the result before it, and its capabilities."""
    data = msgspec.json.encode(
        {
            "cniVersion": "1.0.0",
            "name": "list",
            "plugins": [
                {"type": "bridge"},
                {"type": "portmap", "capabilities": {"portMappings": True, "bandwidth": False}},
            ],
        }
    )
    chain = file_chain(data, source="x.conflist")
    runtime_config = {"portMappings": [{"hostPort": 80}], "bandwidth": {}}
    first = render(chain.plugins[0], previous=None, runtime_config=runtime_config)
    assert {"cniVersion": "1.0.0", "name": "list", "type": "bridge"} == msgspec.json.decode(first)
    second = render(chain.plugins[1], previous=b'{"ips":[]}', runtime_config=runtime_config)
    assert {
        "cniVersion": "1.0.0",
        "name": "list",
        "type": "portmap",
        "runtimeConfig": {"portMappings": [{"hostPort": 80}]},
        "prevResult": {"ips": []},
    } == msgspec.json.decode(second)
    # SPEC B2
    assert {"portMappings": True} == declared_capabilities(chain)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "a..b", "/etc/passwd", "a\n", "-x"])
def test_names_that_reach_elsewhere_are_refused(name: str) -> None:
    """A DanmNet's author cannot make danmd read or run another directory's files."""
    # SPEC E2
    with pytest.raises(InvalidNetworkError):
        require_plain_name(name)


@pytest.mark.parametrize(
    ("output", "told"),
    [
        pytest.param(
            b'{"ips":[],"own":1}', {"cniVersion": "0.4.0", "ips": [], "own": 1}, id="none"
        ),
        pytest.param(
            b'{"cniVersion":"1.1.0","ips":[{"address":"192.0.2.7/24"}],"routes":[]}',
            {
                "cniVersion": "0.4.0",
                "ips": [{"address": "192.0.2.7/24", "version": "4"}],
                "routes": [],
                "dns": {},
            },
            id="another one",
        ),
    ],
)
def test_a_result_goes_on_in_the_version_of_its_reader(output: bytes, told: object) -> None:
    """A plugin refuses a previous result of a version that it does not speak, or of none."""
    config = b'{"cniVersion":"0.4.0","type":"portmap"}'
    # CNI 1.1.0, section 3; libcni does the same
    assert msgspec.json.decode(result_for(config, output)) == told


@pytest.mark.parametrize(
    "output", [b'{ "cniVersion":"0.4.0", "odd": 1 }', b"[]", b'{"cniVersion":"1.1.0","ips":7}']
)
def test_a_result_that_needs_nothing_goes_on_as_it_is(output: bytes) -> None:
    """What has the version already, or is no result, is not touched."""
    assert result_for(b'{"cniVersion":"0.4.0"}', output) == output


def test_a_plugin_never_sees_the_capabilities_of_its_file() -> None:
    """They are for whoever calls it; a file that declares none goes as it is, byte for byte."""
    # CNI 1.1.0, section 3
    declaring = b'{ "type": "x", "capabilities": {"mac": true} }'
    chain = file_chain(declaring, source="x.conf")
    rendered = render(chain.plugins[0], previous=None, runtime_config={})
    assert msgspec.json.decode(rendered) == {"type": "x"}
    plain = b'{ "type": "x" }'
    chain = file_chain(plain, source="x.conf")
    assert render(chain.plugins[0], previous=None, runtime_config={}) == plain


def test_only_what_changed_of_the_same_interface_is_taken_over() -> None:
    """A delegate gets the MAC and MTU that plugins after danm set, where it told of them."""
    output: dict[str, Any] = {
        "cniVersion": "1.1.0",
        "interfaces": [
            {"name": "br0", "mac": "02:00:00:00:00:01"},
            {"name": "eth0", "mac": "02:00:00:00:00:02", "mtu": 1500, "sandbox": "/x"},
            {"name": "net1", "sandbox": "/x"},
        ],
        "ips": [{"address": "192.0.2.7/24", "interface": 1}],
        "own": [1],
    }
    changed = {"mac": "02:00:00:00:05:07", "mtu": 1400}
    final = {
        "interfaces": [
            {"name": "eth0", **changed},
            {"name": "eth0", "sandbox": "/x", **changed},
            {"name": "net1", "sandbox": "/x", **changed},
        ]
    }
    told = with_later_changes(
        msgspec.json.encode(output), decode_result(msgspec.json.encode(final))
    )
    bridge, eth0, net1 = output["interfaces"]
    assert msgspec.json.decode(told) == {**output, "interfaces": [bridge, eth0 | changed, net1]}
    flat = b'{"ip4":{"ip":"192.0.2.7/24"} }'
    assert with_later_changes(flat, decode_result(flat)) == flat
