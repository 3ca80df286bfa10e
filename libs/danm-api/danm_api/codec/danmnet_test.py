"""DanmNet on the wire."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from danm_api.codec.danmnet import (
    decode_danmnet,
    decode_network_type,
    encode_marked_valid,
    encode_spec,
    encode_status,
)
from danm_api.errors import InvalidObjectError
from danm_api.model.addresses import IPv4Range
from danm_api.model.danmnet import (
    BuiltInType,
    NetworkSpec,
    NetworkStatus,
    NodeSum,
    StaticDelegate,
    UnreadableSpec,
    Usage,
)
from danm_api.names import NetworkName
from danm_api.testing.builders import a_raw_danmnet, accepted
from danm_api.testing.strategies import network_specs, network_statuses


def _spec(**options: Any) -> NetworkSpec:  # noqa: ANN401  (any option)
    spec = decode_danmnet(a_raw_danmnet(**options)).spec
    assert isinstance(spec, NetworkSpec), spec
    return spec


def _fields_at_fault(raw: dict[str, Any]) -> list[str]:
    spec = decode_danmnet(raw).spec
    assert isinstance(spec, UnreadableSpec)
    return [violation.field for violation in spec.violations]


@given(network_specs)
def test_a_spec_survives_the_round_trip(spec: NetworkSpec) -> None:
    """What the validator writes into status.applied is what everybody reads there."""  # SPEC N5
    raw = {"metadata": {"name": "x"}, "spec": encode_spec(spec)}
    assert decode_danmnet(raw).spec == spec


@given(network_statuses)
def test_a_status_survives_the_round_trip(status: NetworkStatus) -> None:
    """All services read what one of them wrote."""  # SPEC A4
    raw = {"metadata": {"name": "x"}, "status": encode_status(status)}
    assert decode_danmnet(raw).status == status


def test_every_field_of_the_manifest_is_read() -> None:
    """The fields stay exactly as they are."""  # SPEC A1, A7
    options = {
        "host_device": "ens4",
        "cidr": "10.100.20.0/24",
        "allocation_pool": {"start": "10.100.20.10", "end": "10.100.20.30"},
        "net6": "2001:db8:20::/64",
        "allocation_pool6": {"start": "2001:db8:20::10", "end": "2001:db8:20::30"},
        "exclude": ["10.100.20.15", "10.100.20.16/30"],
        "container_prefix": "ext",
        "rt_tables": 250,
        "routes": {"10.1.0.0/16": "10.100.20.1"},
        "routes6": {"2001:db8:1::/48": "2001:db8:20::1"},
        "vlan": 300,
        "mtu": 1400,
        "cooldown": 30,
        "dpdk": True,
        "device_pool": "example.com/sriov_a",
        "fakeipam": True,
    }
    assert encode_spec(_spec(**options))["Options"] == options


def test_options_may_be_missing() -> None:
    """Such a DanmNet is a plain IPVLAN network."""  # SPEC A1
    raw = {"metadata": {"name": "x"}, "spec": {"NetworkID": "x"}}
    assert decode_danmnet(raw).spec == NetworkSpec(network_id=NetworkName("x"))


@pytest.mark.parametrize("options", [None, {}])
def test_empty_options_are_missing_options(options: object) -> None:
    """A key without a value counts for nothing."""
    raw = {"metadata": {"name": "x"}, "spec": {"NetworkID": "x", "Options": options}}
    assert isinstance(decode_danmnet(raw).spec, NetworkSpec)


def test_exported_manifests_apply() -> None:
    """They hold the old record, empty values and a verdict."""  # SPEC A1, A6
    raw = a_raw_danmnet(
        alloc="gAAAAAAAAAE=", cidr="", net6="", allocation_pool={"start": "", "end": ""}
    )
    raw["spec"]["Validation"] = "True"
    net = decode_danmnet(raw)
    assert isinstance(net.spec, NetworkSpec)
    assert (net.spec.cidr, net.spec.pool, net.marked_valid) == (None, None, True)


def test_half_a_pool_reaches_to_the_end_of_the_subnet() -> None:
    """The old program filled in the missing end."""  # SPEC A1
    spec = _spec(cidr="10.0.0.0/24", allocation_pool={"start": "10.0.0.10"})
    whole = _spec(cidr="10.0.0.0/24", allocation_pool={"start": "10.0.0.10", "end": "10.0.0.254"})
    assert spec == whole
    assert isinstance(spec.pool, IPv4Range)


@pytest.mark.parametrize(
    ("text", "network_type"),
    [
        pytest.param("", BuiltInType.IPVLAN, id="the default"),
        pytest.param("IPVLAN", BuiltInType.IPVLAN, id="upper case"),
        pytest.param("MacVlan", BuiltInType.MACVLAN, id="mixed case"),
        pytest.param("sriov", BuiltInType.SRIOV, id="lower case"),
        pytest.param("flannel", StaticDelegate(name="flannel"), id="static"),
        pytest.param("Flannel", StaticDelegate(name="Flannel"), id="static, as written"),
    ],
)
def test_built_in_types_match_in_any_case(
    text: str, network_type: BuiltInType | StaticDelegate
) -> None:
    """Names of files do not."""  # SPEC A1, E2
    assert decode_network_type(text) == network_type


@pytest.mark.parametrize(
    ("options", "field"),
    [
        pytest.param({"cidr": "10.0.0.0/33"}, "cidr", id="cidr"),
        pytest.param({"cidr": "10.0.0.0"}, "cidr", id="cidr without prefix"),
        pytest.param({"net6": "2001:db8::/200"}, "net6", id="net6"),
        pytest.param({"net6": "10.0.0.0/24"}, "net6", id="net6 of the other family"),
        pytest.param(
            {"allocation_pool": {"start": "10.0.0.300", "end": "10.0.0.9"}},
            "allocation_pool.start",
            id="pool",
        ),
        pytest.param(
            {"allocation_pool": {"start": "10.0.0.3"}}, "allocation_pool", id="half a pool alone"
        ),
        pytest.param({"vlan": 5, "vxlan": 6}, "vlan", id="vlan and vxlan"),
        pytest.param({"vlan": 4095}, "vlan", id="vlan beyond its range"),
        pytest.param({"vxlan": 0}, "vxlan", id="vxlan below its range"),
        pytest.param({"mtu": 20}, "mtu", id="mtu"),
        pytest.param({"cooldown": -1}, "cooldown", id="cooldown"),
        pytest.param({"exclude": ["10.0.0.5", "x"]}, "exclude[1]", id="exclude"),
        pytest.param({"routes": {"x": "10.0.0.1"}}, "routes[x]", id="destination"),
        pytest.param({"routes6": {"::/0": "x"}}, "routes6[::/0]", id="gateway"),
        pytest.param({"vlan": "three"}, "vlan", id="type"),
        pytest.param({"dpdk": "yes"}, "dpdk", id="type of a flag"),
        pytest.param({"routes": ["x"]}, "routes", id="type of a map"),
    ],
)
def test_what_does_not_parse_is_named(options: dict[str, Any], field: str) -> None:
    """It becomes a verdict on the object, never an error of the reader."""  # SPEC N1
    assert _fields_at_fault(a_raw_danmnet(**options)) == [f"spec.Options.{field}"]


def test_everything_that_does_not_parse_is_named_at_once() -> None:
    """A user mends the manifest in one go."""  # SPEC N1
    raw = a_raw_danmnet(cidr="x", net6="y", vlan=1, vxlan=2)
    assert _fields_at_fault(raw) == [
        "spec.Options.cidr",
        "spec.Options.net6",
        "spec.Options.vlan",
    ]


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({}, id="no NetworkID"),
        pytest.param({"NetworkID": 5}, id="type of NetworkID"),
        pytest.param([], id="no object"),
        pytest.param(None, id="null"),
    ],
)
def test_an_unreadable_spec_is_no_error(spec: object) -> None:
    """The informer keeps the object, so that the validator can say what is wrong."""  # SPEC N1
    decoded = decode_danmnet({"metadata": {"name": "x"}, "spec": spec}).spec
    assert isinstance(decoded, UnreadableSpec)
    assert decoded.violations


def test_an_object_without_metadata_is_an_error() -> None:
    """Nobody could say which it is."""
    with pytest.raises(InvalidObjectError):
        decode_danmnet({"spec": {"NetworkID": "x"}})


def test_an_applied_spec_of_a_later_release_is_not_in_force() -> None:
    """Nothing is handed out by a spec that this release cannot read."""  # SPEC N5
    raw = a_raw_danmnet() | {"status": {"applied": {"NetworkID": "x", "Options": {"vlan": "a"}}}}
    assert decode_danmnet(raw).status.applied is None


@pytest.mark.parametrize("key", ["conditions", "ipv4", "ipv6", "nodes", "observedGeneration"])
def test_the_rest_of_a_status_counts_when_a_part_is_of_another_release(key: str) -> None:
    """Above all the spec in force, by which the network binds others."""
    net = decode_danmnet(a_raw_danmnet())
    status = replace(
        accepted(net).status,
        ipv4=Usage(total=3, used=1, free=2, ranges="10.0.0.1"),
        ipv6=Usage(total=3, used=1, free=2, ranges="2001:db8::1"),
        nodes=NodeSum(ready=1, total=2),
    )
    wire = encode_status(status)
    without = {
        "conditions": replace(status, conditions=()),
        "ipv4": replace(status, ipv4=None),
        "ipv6": replace(status, ipv6=None),
        "nodes": replace(status, nodes=None),
        "observedGeneration": replace(status, observed_generation=0),
    }
    read = decode_danmnet({**a_raw_danmnet(), "status": {**wire, key: "of another release"}})
    assert read.status.applied is not None
    assert read.status == without[key]


def test_the_mark_is_text() -> None:
    """As it has been since 2019."""  # SPEC A1
    assert encode_marked_valid(valid=True) == {"spec": {"Validation": "True"}}
    assert encode_marked_valid(valid=False) == {"spec": {"Validation": "False"}}


def test_what_is_not_known_is_left_out_of_the_status() -> None:
    """No nulls, which the API server would refuse."""
    wire = encode_status(replace(accepted(decode_danmnet(a_raw_danmnet())).status, applied=None))
    assert set(wire) == {"observedGeneration", "conditions"}
