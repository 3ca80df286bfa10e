"""What anybody may write into an object, or say in an answer: none of it gets past a codec."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv6Interface, ip_address
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from danm_api.codec.attachment import decode_annotation
from danm_api.codec.authority import decode_authorities, encode_authorities
from danm_api.codec.cni import decode_error, decode_result, stated_version
from danm_api.codec.danm_node import decode_danm_node, encode_danm_node
from danm_api.codec.danmep import decode_danmep, decode_endpoint_identity, encode_danmep
from danm_api.codec.danmnet import decode_danmnet, encode_status
from danm_api.codec.ip_block import decode_ip_block, encode_ip_block
from danm_api.codec.ipam_report import decode_report
from danm_api.codec.lease import LeaseRecord, decode_lease, encode_lease_spec
from danm_api.codec.meta import RawObject
from danm_api.codec.observed_event import decode_event
from danm_api.errors import DanmError
from danm_api.model.authority import Authorities, Authority
from danm_api.model.danm_node import DanmNode, NodeNetwork
from danm_api.model.danmnet import NodeSum, Usage
from danm_api.model.ip_block import Cooling, ExternalOwner
from danm_api.names import Namespace, NetworkName, NodeName
from danm_api.testing.builders import (
    a_block,
    a_danmep,
    a_danmnet,
    a_held_entry,
    a_raw_danmnet,
    accepted,
)

_NOW: Final = datetime(2026, 1, 31, 12, 0, 1, tzinfo=UTC)
_ROUTES: Final = {"10.1.0.0/16": "10.0.0.1"}
_ROUTES6: Final = {"2001:db8:1::/48": "2001:db8::1"}

# Each is another kind of value than what is meant somewhere, or one that Python cannot hold there.
_ODD_VALUES: Final[tuple[Any, ...]] = (
    None,
    True,
    -1,
    2**63,
    -(2**70),
    10**40,
    0.5,
    1e308,
    "",
    "\0",
    "\u0660",
    "x" * 300,
    "9" * 5000,
    "[" * 3000,
    "{}",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "0001-01-01T00:00:00",
    "2026-01-31T12:00:00",
    "0000-01-01T00:00:00Z",
    "::ffff:10.0.0.7/96",
    "fe80::1%eth0/64",
    "10.0.0.7/99",
    [],
    [None],
    ["x", 1],
    {},
    {"": None},
    {"x": {"y": [1]}},
)

_OBJECTS: Final[dict[str, tuple[Callable[[RawObject], object], RawObject]]] = {
    "DanmNet": (
        decode_danmnet,
        {
            **a_raw_danmnet(
                "external",
                network_type="macvlan",
                host_device="ens4",
                cidr="10.0.0.0/24",
                allocation_pool={"start": "10.0.0.1", "end": "10.0.0.9"},
                net6="2001:db8::/64",
                allocation_pool6={"start": "2001:db8::1", "end": "2001:db8::9"},
                exclude=["10.0.0.7"],
                container_prefix="net1",
                rt_tables=7,
                routes=_ROUTES,
                routes6=_ROUTES6,
                vlan=7,
                mtu=1500,
                cooldown=7,
                dpdk=False,
                device_pool="example.com/sriov_a",
                fakeipam=True,
            ),
            "status": encode_status(
                replace(
                    accepted(a_danmnet(cidr="10.0.0.0/24", vxlan=7, routes=_ROUTES)).status,
                    ipv4=Usage(total=1, used=1, free=0, ranges="10.0.0.1"),
                    ipv6=Usage(total=2**80, used=1, free=0, ranges="2001:db8::1"),
                    nodes=NodeSum(ready=1, total=2, why="down"),
                )
            ),
        },
    ),
    "DanmEp": (
        decode_danmep,
        encode_danmep(
            replace(
                a_danmep(app="x"),
                expires=_NOW,
                interface=replace(
                    a_danmep().interface,
                    address_ipv6=IPv6Interface("2001:db8::7/64"),
                    mac_address="fa:16:3e:00:00:07",
                ),
            )
        ),
    ),
    "DanmIPBlock": (
        decode_ip_block,
        encode_ip_block(
            a_block(
                "10.240.1.100",
                replace(a_held_entry(), born=1),
                a_held_entry(
                    "10.240.1.101",
                    owner=ExternalOwner(
                        namespace=Namespace("a"), name="router", reason="why", expires=_NOW
                    ),
                ),
                Cooling(address=ip_address("10.240.1.102"), free_at=_NOW),
            )
        ),
    ),
    "DanmNode": (
        decode_danm_node,
        encode_danm_node(
            DanmNode(
                name=NodeName("n"),
                networks=(
                    NodeNetwork(
                        namespace=Namespace("a"),
                        network=NetworkName("external"),
                        link="ens4",
                        up=False,
                        reason="down",
                    ),
                ),
                updated=_NOW,
            )
        ),
    ),
    "Lease": (
        decode_lease,
        {
            "metadata": {"name": "leader"},
            "spec": encode_lease_spec(
                LeaseRecord(holder="a", duration_s=15, acquired=_NOW, renewed=_NOW, transitions=1)
            ),
        },
    ),
    "Event": (
        decode_event,
        {
            "metadata": {"name": "e", "namespace": "a"},
            "type": "Warning",
            "regarding": {"kind": "Pod", "name": "p", "namespace": "a", "uid": "1"},
            "eventTime": "2026-01-31T12:00:00.000000Z",
            "series": {"count": 2, "lastObservedTime": "2026-01-31T12:00:00.000000Z"},
            "deprecatedLastTimestamp": "2026-01-31T12:00:00Z",
            "deprecatedCount": 2,
        },
    ),
    "Secret": (
        decode_authorities,
        encode_authorities(
            Authorities(current=Authority(certificate="c", key="k"), next=None, previous="p"),
            namespace="danm",
        ),
    ),
}
_OBJECTS["DanmEp, whose it is"] = (decode_endpoint_identity, _OBJECTS["DanmEp"][1])
_ENTRY: Final = {
    "network": "external",
    "ip": "10.0.0.7/24",
    "ip6": "2001:db8::7/64",
    "proutes": _ROUTES,
    "proutes6": _ROUTES6,
}
_RESULT: Final = {
    "cniVersion": "1.1.0",
    "interfaces": [{"name": "eth0", "mac": "fa:16:3e:00:00:07", "sandbox": "/run/x", "mtu": 1500}],
    "ips": [{"address": "10.0.0.7/24", "gateway": "10.0.0.1", "interface": 0}],
    "routes": [{"dst": "10.1.0.0/16", "gw": "10.0.0.1", "mtu": 1500, "table": 7, "scope": 0}],
    "dns": {"nameservers": ["10.0.0.1"], "domain": "x", "search": ["x"], "options": ["y"]},
    "ip4": {"ip": "10.0.0.7/24", "gateway": "10.0.0.1", "routes": [{"dst": "10.1.0.0/16"}]},
    "code": 7,
    "msg": "no",
    "details": "why",
}


def _spoilt(value: Any, odd: object) -> Iterator[Any]:  # noqa: ANN401
    """Yield JSON with each of its values, one at a time, replaced; also within JSON in texts."""
    yield odd
    if isinstance(value, dict):
        for key, each in value.items():
            for other in _spoilt(each, odd):
                yield {**value, key: other}
        yield {**value, str(odd): odd}
    elif isinstance(value, list):
        for index, each in enumerate(value):
            for other in _spoilt(each, odd):
                yield [*value[:index], other, *value[index + 1 :]]
    elif isinstance(value, str) and value.startswith("{"):
        for other in _spoilt(msgspec.json.decode(value), odd):
            yield msgspec.json.encode(other).decode()


def _is_read_or_refused(decode: Callable[[Any], object], value: object) -> bool:
    """Decode; say whether that was refused as it should be, if it was refused."""
    try:
        decode(value)
    except DanmError as error:
        return bool(error.reason)
    return True


@pytest.mark.parametrize("kind", _OBJECTS)
def test_an_object_is_read_or_refused_as_an_object(kind: str) -> None:
    """Whoever reads many leaves one such out, and tells of it; another error would end all."""
    # DESIGN P7, SPEC S4
    decode, whole = _OBJECTS[kind]
    assert _is_read_or_refused(decode, whole)
    for odd in _ODD_VALUES:
        for raw in _spoilt(whole, odd):
            if isinstance(raw, dict):
                assert _is_read_or_refused(decode, raw)


@pytest.mark.parametrize("decode", [decode_result, decode_error, stated_version, decode_report])
def test_what_a_program_prints_is_read_or_refused(decode: Callable[[bytes], object]) -> None:
    """A plugin may print anything."""  # SPEC C2, E2
    for odd in _ODD_VALUES:
        for raw in _spoilt(_RESULT, odd):
            assert _is_read_or_refused(decode, msgspec.json.encode(raw))


@pytest.mark.parametrize("decode", [decode_result, decode_error, stated_version, decode_report])
@given(text=st.binary(max_size=20) | st.text(max_size=20).map(str.encode))
def test_bytes_are_read_or_refused(decode: Callable[[bytes], object], text: bytes) -> None:
    """Whether or not they are JSON."""  # SPEC C2, E2
    assert _is_read_or_refused(decode, text)


def _decode_annotation(text: str) -> object:
    return decode_annotation(text, pod="a/b")


def test_an_annotation_is_read_or_refused() -> None:
    """A tenant may ask for anything."""  # SPEC B3
    for odd in _ODD_VALUES:
        for entries in _spoilt([_ENTRY], odd):
            assert _is_read_or_refused(_decode_annotation, msgspec.json.encode(entries).decode())


@given(st.text(max_size=20))
def test_any_annotation_is_read_or_refused(text: str) -> None:
    """Whether or not it is JSON."""  # SPEC B3
    assert _is_read_or_refused(_decode_annotation, text)
