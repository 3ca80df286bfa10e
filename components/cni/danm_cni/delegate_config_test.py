"""Configurations of delegates."""

from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_network
from typing import Any, Final

import msgspec
import pytest

from danm_api.codec.cni import decode_result
from danm_api.errors import InvalidNetworkError
from danm_api.model.addresses import Route
from danm_api.model.cni import CniVersion
from danm_api.model.danmnet import NetworkSpec
from danm_api.names import InterfaceName
from danm_api.testing.builders import a_danmnet, accepted
from danm_cni.delegate_config import (
    DpdkSettings,
    DynamicAddresses,
    SriovRequest,
    is_plain_name,
    knows,
    plugin_routes,
    render,
    require_plain_name,
    result_for,
    sriov_chain,
    with_later_changes,
    with_previous,
    with_valid_attachments,
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


_IP: Final = IPv4Interface("10.0.0.7/24")
_IP6: Final = IPv6Interface("2001:db8::7/64")


@pytest.mark.parametrize(
    ("addresses", "delegated", "both"),
    [
        pytest.param(DynamicAddresses(), None, (), id="none"),
        pytest.param(DynamicAddresses(ip=_IP), _IP, (_IP,), id="IPv4"),
        pytest.param(DynamicAddresses(ip6=_IP6), _IP6, (_IP6,), id="IPv6"),
        pytest.param(DynamicAddresses(ip6=_IP6, ip=_IP), _IP, (_IP, _IP6), id="both"),
    ],
)
def test_a_delegate_is_given_one_address(
    addresses: DynamicAddresses,
    delegated: IPv4Interface | IPv6Interface | None,
    both: tuple[IPv4Interface | IPv6Interface, ...],
) -> None:
    """IPv4 where there is one; the node adds the other."""
    # SPEC E1
    assert (addresses.delegated, addresses.both) == (delegated, both)


def test_sriov_gets_what_is_of_its_addresss_family() -> None:
    """Routes of the other family are the node's to add; only a default route tells a gateway."""
    # SPEC E1
    options: dict[str, Any] = {
        "host_device": "ens4",
        "vxlan": 7,
        "routes": {"192.0.2.0/24": "10.0.0.2", "0.0.0.0/0": "10.0.0.1"},
        "routes6": {"2001:db8:1::/48": "2001:db8::2"},
    }
    ipv6 = _sriov(DynamicAddresses(ip6=_IP6), **options)
    assert "vlan" not in ipv6
    assert ipv6["ipam"] == {
        "type": "fakeipam",
        "ip": "2001:db8::7",
        "subnet": "2001:db8::/64",
        "routes": [{"dst": "2001:db8:1::/48", "gw": "2001:db8::2"}],
    }
    ipv4 = _sriov(DynamicAddresses(ip=_IP, ip6=_IP6), **options)["ipam"]
    assert (ipv4["ip"], ipv4["gateway"]) == ("10.0.0.7", "10.0.0.1")
    assert {each["dst"] for each in ipv4["routes"]} == {"192.0.2.0/24", "0.0.0.0/0"}


def test_sriov_without_routes_has_no_key_for_them() -> None:
    """And without a MAC none for what a runtime would give."""
    keys = _sriov(DynamicAddresses(ip=_IP), host_device="ens4")
    assert keys["ipam"] == {"type": "fakeipam", "ip": "10.0.0.7", "subnet": "10.0.0.0/24"}
    assert "runtimeConfig" not in keys


def _route(
    to: str, via: str, *, table: int | None = None, metric: int | None = None
) -> PlannedRoute:
    return PlannedRoute(
        destination=ip_network(to), gateway=ip_address(via), table=table, metric=metric
    )


@pytest.mark.parametrize(
    ("route", "address", "is_the_plugins"),
    [
        pytest.param(_route("192.0.2.0/24", "10.0.0.1"), _IP, True, id="plain"),
        pytest.param(_route("::/0", "2001:db8::1"), _IP6, True, id="IPv6"),
        pytest.param(_route("192.0.2.0/24", "10.0.0.1"), _IP6, False, id="another family"),
        pytest.param(_route("192.0.2.0/24", "10.0.0.1"), None, False, id="no address"),
        pytest.param(_route("192.0.2.0/24", "10.0.0.1", table=250), _IP, False, id="table"),
        pytest.param(_route("192.0.2.0/24", "10.0.0.1", metric=100), _IP, False, id="metric"),
    ],
)
def test_a_plugin_adds_the_routes_that_it_has_words_for(
    route: PlannedRoute, address: IPv4Interface | IPv6Interface | None, *, is_the_plugins: bool
) -> None:
    """All others the node adds, so none is added twice and none is forgotten."""
    # SPEC D3, E1
    assert plugin_routes((route,), address) == ((route,) if is_the_plugins else ())


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


@pytest.mark.parametrize("name", ["bridge", "a", "7", "a.b", "my_plugin-2"])
def test_plain_names_are_allowed(name: str) -> None:
    """As plugins and their files are called."""
    # SPEC E2
    require_plain_name(name)
    assert is_plain_name(name)


@pytest.mark.parametrize(
    ("version", "known"),
    [("1.0.0", False), ("1.1.0", True), ("0.4.0", False), ("", False), ("9.0.0", False)],
)
def test_a_plugin_is_asked_only_what_its_version_has(version: str, *, known: bool) -> None:
    """A version that nobody knows has nothing."""
    # CNI 1.1.0, section 3
    config = msgspec.json.encode({"cniVersion": version, "type": "x"})
    assert knows(config, CniVersion.V1_1_0) is known


@pytest.mark.parametrize(
    "config", [b'{"type":"x", "odd": 1.50}', b'{"type":"x","prevResult":{"ips":[7]},"odd":1.50}']
)
def test_a_previous_result_takes_the_place_of_another(config: bytes) -> None:
    """DEL and CHECK get that of the whole chain; nothing else of the bytes changes."""
    # CNI 1.1.0, section 4
    rendered = with_previous(config, b'{ "ips": [] }')
    assert msgspec.json.decode(rendered) == {"type": "x", "odd": 1.5, "prevResult": {"ips": []}}
    assert b"1.50" in rendered
    assert b'{ "ips": [] }' in rendered


def test_gc_gets_its_list_under_both_names() -> None:
    """In order, so that two calls are the same; what the configuration had there is gone."""
    # CNI 1.1.0, section 2
    config = b'{"type":"x","cni.dev/attachments":[1],"odd":1.50}'
    rendered = with_valid_attachments(config, {("c2", "eth0"), ("c1", "net1"), ("c1", "eth0")})
    listed = [
        {"containerID": "c1", "ifname": "eth0"},
        {"containerID": "c1", "ifname": "net1"},
        {"containerID": "c2", "ifname": "eth0"},
    ]
    assert msgspec.json.decode(rendered) == {
        "type": "x",
        "odd": 1.5,
        "cni.dev/attachments": listed,
        "cni.dev/valid-attachments": listed,
    }
    assert b"1.50" in rendered


@pytest.mark.parametrize(
    "declared",
    [
        pytest.param({}, id="none"),
        pytest.param({"mac": False}, id="not this one"),
        pytest.param({"mac": "true"}, id="a text"),
        pytest.param({"ips": True}, id="another one"),
        pytest.param(["mac"], id="a list"),
        pytest.param(None, id="null"),
    ],
)
def test_only_declared_capabilities_are_given(declared: object) -> None:
    """A plugin may refuse what it does not know."""
    # SPEC B2
    data = msgspec.json.encode({"type": "x", "capabilities": declared})
    chain = file_chain(data, source="x.conf")
    rendered = render(chain.plugins[0], previous=None, runtime_config={"mac": "m"})
    assert msgspec.json.decode(rendered) == {"type": "x"}


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


def test_a_result_without_a_version_gets_the_oldest_one_too() -> None:
    """A configuration without a version is of the first, and its plugin is told so."""
    told = result_for(b'{"type":"portmap"}', b'{"ip4":{"ip":"192.0.2.7/24"}}')
    assert msgspec.json.decode(told) == {"cniVersion": "0.1.0", "ip4": {"ip": "192.0.2.7/24"}}


def test_a_reader_of_an_unknown_version_gets_what_there_is() -> None:
    """Nothing can be made of it; the plugin says itself what it does not take."""
    output = b'{ "cniVersion":"1.1.0","ips":[] }'
    assert result_for(b'{"cniVersion":"9.9.9","type":"portmap"}', output) == output


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
