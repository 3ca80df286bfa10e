"""The rules of one DanmNet."""

from typing import Any

import pytest

from danm_api.testing.builders import a_danmnet
from danm_api.validation.network import validate_network

_CIDR: dict[str, Any] = {"cidr": "10.0.0.0/24"}


def _pool(start: str, end: str) -> dict[str, Any]:
    return {"allocation_pool": {"start": start, "end": end}}


def _pool6(start: str, end: str) -> dict[str, Any]:
    return {"allocation_pool6": {"start": start, "end": end}}


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"host_device": "ens4"}, id="L2"),
        pytest.param({**_CIDR, **_pool("10.0.0.10", "10.0.0.30")}, id="pool"),
        pytest.param({**_CIDR, **_pool("10.0.0.10", "10.0.0.10")}, id="pool of one address"),
        pytest.param({"net6": "2001:db8::/64"}, id="net6"),
        pytest.param({"net6": "2001:db8::/56"}, id="net6 for static addresses"),
        pytest.param({"net6": "2001:db8::/56", **_pool6("2001:db8::1", "2001:db8::9")}, id="pool6"),
        pytest.param({"host_device": "ens4", "vlan": 4094}, id="VLAN"),
        pytest.param({"host_device": "ens4", "vxlan": 16_777_214}, id="VXLAN"),
        pytest.param({"rt_tables": 1}, id="lowest table"),
        pytest.param({"rt_tables": 252}, id="table before the reserved ones"),
        pytest.param({"rt_tables": 2**32 - 1}, id="highest table"),
        pytest.param({**_CIDR, "routes": {"0.0.0.0/0": "10.0.0.1"}}, id="default route"),
        pytest.param({"container_prefix": "x" * 15}, id="longest interface name"),
    ],
)
def test_valid_networks_are_valid(options: dict[str, Any]) -> None:
    """No rule is stricter than it says."""  # SPEC N1
    assert validate_network(a_danmnet("external", **options)) == ()


@pytest.mark.parametrize(
    ("options", "field", "message"),
    [
        pytest.param(
            _pool("10.0.0.1", "10.0.0.2"), "allocation_pool", "stands without cidr", id="no cidr"
        ),
        pytest.param(
            {**_CIDR, **_pool("10.0.0.9", "10.0.0.8")},
            "allocation_pool",
            "start 10.0.0.9 lies after end 10.0.0.8",
            id="start after end",
        ),
        pytest.param(
            {**_CIDR, **_pool("10.0.0.9", "10.0.1.8")},
            "allocation_pool",
            "10.0.1.8 outside of cidr 10.0.0.0/24",
            id="pool outside cidr",
        ),
        pytest.param(
            {**_CIDR, **_pool("10.0.0.255", "10.0.0.255")},
            "allocation_pool",
            "choose host addresses",
            id="pool without hosts",
        ),
        pytest.param(
            _pool6("2001:db8::1", "2001:db8::2"), "allocation_pool6", "without net6", id="no net6"
        ),
        pytest.param(
            {"net6": "2001:db8::/64", **_pool6("2001:db8::9", "2001:db8::8")},
            "allocation_pool6",
            "lies after end",
            id="start after end, 6",
        ),
        pytest.param(
            {"net6": "2001:db8::/64", **_pool6("2001:db8::1", "2001:db9::1")},
            "allocation_pool6",
            "outside of net6",
            id="pool outside net6",
        ),
        pytest.param(
            {"net6": "2001:db8::/64", **_pool6("2001:db8::", "2001:db8::")},
            "allocation_pool6",
            "choose host addresses",
            id="pool6 without hosts",
        ),
        pytest.param({"cidr": "10.0.0.0/33"}, "cidr", "beyond 32", id="bad cidr"),
        pytest.param({"net6": "10.0.0.0/24"}, "net6", "not an IPv6 address", id="bad net6"),
        pytest.param(
            {**_CIDR, "routes": {"10.1.0.0/16": "10.0.1.1"}},
            "routes[10.1.0.0/16]",
            "gateway 10.0.1.1 lies outside of cidr",
            id="gateway outside cidr",
        ),
        pytest.param(
            {"net6": "2001:db8::/64", "routes6": {"2001:db8:1::/48": "fe80::1"}},
            "routes6[2001:db8:1::/48]",
            "lies outside of net6",
            id="gateway outside net6",
        ),
        pytest.param(
            {"routes": {"10.1.0.0/16": "10.0.0.1"}}, "routes", "stand without cidr", id="L2 routes"
        ),
        pytest.param(
            {**_CIDR, "routes": {"everywhere": "10.0.0.1"}},
            "routes[everywhere]",
            "lacks its prefix length",
            id="bad destination",
        ),
        pytest.param({"vlan": 1, "vxlan": 1}, "vlan", "exclude each other", id="vlan and vxlan"),
        pytest.param({"vlan": 1}, "host_device", "vlan and vxlan need it", id="vlan on nothing"),
        pytest.param({"host_device": "x" * 16}, "host_device", "Linux allows 15", id="device"),
        pytest.param({"container_prefix": "x" * 16}, "container_prefix", "16 bytes", id="prefix"),
        pytest.param({"container_prefix": "lo"}, "container_prefix", "taken", id="loopback"),
        pytest.param({"rt_tables": 0}, "rt_tables", "0 is not free", id="table 0"),
        pytest.param({"rt_tables": 253}, "rt_tables", "253 is not free", id="table 253"),
        pytest.param({"rt_tables": 254}, "rt_tables", "254 is not free", id="table 254"),
        pytest.param({"rt_tables": 255}, "rt_tables", "255 is not free", id="table 255"),
        pytest.param({"rt_tables": 2**32}, "rt_tables", "choose a number", id="table too high"),
        pytest.param({"rt_tables": -1}, "rt_tables", "choose a number", id="negative table"),
        pytest.param(
            {"net6": "2001:db8::/64", "mtu": 1000}, "mtu", "at least 1280", id="mtu for IPv6"
        ),
    ],
)
def test_a_broken_rule_is_named_with_the_way_out(
    options: dict[str, Any], field: str, message: str
) -> None:
    """The field, what is wrong and what to do; and nothing else is found."""  # SPEC N1
    found = validate_network(a_danmnet("external", **options))
    assert [each.field for each in found] == [f"spec.Options.{field}"]
    assert message in found[0].message


def test_all_broken_rules_are_named_at_once() -> None:
    """A user mends the manifest in one go."""  # SPEC N1
    net = a_danmnet(
        "external", rt_tables=254, container_prefix="lo", **_pool("10.0.0.9", "10.0.0.8")
    )
    assert [each.field for each in validate_network(net)] == [
        "spec.Options.allocation_pool",
        "spec.Options.allocation_pool",
        "spec.Options.rt_tables",
        "spec.Options.container_prefix",
    ]


def test_the_id_is_the_name() -> None:
    """Everything refers to networks by one of them."""  # SPEC N1
    (found,) = validate_network(a_danmnet("external", network_id="internal"))
    assert (found.field, found.rule) == ("spec.NetworkID", "N1")
    assert 'set it to "external"' in found.message


@pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param("eleven-char", {"vlan": 1000}, id="VLAN"),
        pytest.param("thirteen-char", {"vxlan": 1}, id="VXLAN"),
    ],
)
def test_the_nodes_link_has_room_for_its_name(name: str, options: dict[str, Any]) -> None:
    """A long NetworkID does not fit into 15 bytes with its VLAN or VXLAN."""  # SPEC N1
    (found,) = validate_network(a_danmnet(name, host_device="ens4", **options))
    assert found.field == "spec.NetworkID"
    assert "choose a name of at most" in found.message
    assert validate_network(a_danmnet(name[:-3], host_device="ens4", **options)) == ()


def test_an_sriov_network_may_have_any_name() -> None:
    """The nodes get no link that would be called after it."""  # SPEC E1
    options = {"network_type": "sriov", "host_device": "ens4", "vlan": 1000}
    assert validate_network(a_danmnet("a-long-network-name", **options)) == ()


@pytest.mark.parametrize("network_type", ["flannel", "Calico", "my_cni-2.0", "10-flannel"])
def test_plain_file_names_are_types(network_type: str) -> None:
    """Whether the node has the file is found out at ADD."""  # SPEC E2
    assert validate_network(a_danmnet(network_type=network_type)) == ()


@pytest.mark.parametrize(
    "network_type",
    ["../flannel", "/etc/passwd", "a/b", "a\\b", "..", ".", ".hidden", "a..b", "a b", "x" * 64],
)
def test_other_file_names_are_refused(network_type: str) -> None:
    """The author of a DanmNet must not choose any file of the nodes."""  # SPEC E2, N1
    (found,) = validate_network(a_danmnet(network_type=network_type))
    assert (found.field, found.rule) == ("spec.NetworkType", "N1")


def test_danm_does_not_delegate_to_itself() -> None:
    """That would never end."""  # SPEC E2
    (found,) = validate_network(a_danmnet(network_type="danm"))
    assert found.rule == "E2"


def test_routes_of_a_static_network_need_no_subnet() -> None:
    """The delegate brings the subnet, which nothing here knows."""  # SPEC E4
    net = a_danmnet(network_type="flannel", routes={"10.1.0.0/16": "10.244.0.1"})
    assert validate_network(net) == ()


@pytest.mark.parametrize("pool", ["example.com/sriov_a", "a/b", "x.example/" + "y" * 63])
def test_an_sriov_network_may_have_devices(pool: str) -> None:
    """The name of a device plugin's resource is taken as the kubelet takes it."""  # SPEC E1
    assert validate_network(a_danmnet(network_type="sriov", device_pool=pool)) == ()


@pytest.mark.parametrize(
    ("network_type", "pool", "message"),
    [
        pytest.param("macvlan", "example.com/sriov_a", "is of sriov networks", id="not sriov"),
        pytest.param("sriov", "sriov_a", "not the name of a device plugin", id="no domain"),
        pytest.param("sriov", "example.com/", "not the name of a device plugin", id="no name"),
        pytest.param("sriov", "a/b/c", "not the name of a device plugin", id="two slashes"),
    ],
)
def test_other_pools_of_devices_are_refused(network_type: str, pool: str, message: str) -> None:
    """A pool that no Pod could get a device of is told with the way out."""  # SPEC E1
    (violation,) = validate_network(a_danmnet(network_type=network_type, device_pool=pool))
    assert violation.field == "spec.Options.device_pool"
    assert message in violation.message
