"""What attachments may ask."""

from ipaddress import IPv4Interface, IPv6Interface
from typing import Any

import pytest

from danm_api.codec.attachment import decode_annotation, decode_ipv4_request, decode_ipv6_request
from danm_api.errors import Violation
from danm_api.model.attachment import NoAddress, StaticIPv4, StaticIPv6
from danm_api.model.danmnet import NetworkSpec
from danm_api.testing.builders import a_danmnet
from danm_api.validation.request import check_attachment, check_ip_request

_FULL: dict[str, Any] = {
    "cidr": "10.0.0.0/24",
    "allocation_pool": {"start": "10.0.0.10", "end": "10.0.0.30"},
    "net6": "2001:db8::/64",
}


def _spec(network_type: str = "ipvlan", **options: object) -> NetworkSpec:
    net = a_danmnet("external", network_type=network_type, **options)  # type: ignore[arg-type]
    assert isinstance(net.spec, NetworkSpec)
    return net.spec


def _check(
    spec: NetworkSpec, ip: str, ip6: str, *, shares_wire: bool = False
) -> tuple[Violation, ...]:
    return check_ip_request(
        spec,
        decode_ipv4_request(ip, field="ip"),
        decode_ipv6_request(ip6, field="ip6"),
        shares_wire=shares_wire,
    )


@pytest.mark.parametrize(
    ("ip", "ip6"),
    [
        pytest.param("none", "none", id="nothing"),
        pytest.param("dynamic", "dynamic", id="dynamic"),
        pytest.param("10.0.0.10/24", "2001:db8::7/64", id="static"),
        pytest.param("10.0.0.200/24", "2001:db8::7/128", id="static outside the pool"),
    ],
)
def test_these_requests_are_right(ip: str, ip6: str) -> None:
    """A static address may lie outside of the pool."""  # SPEC G3, G5
    assert _check(_spec(**_FULL), ip, ip6) == ()


@pytest.mark.parametrize(
    ("ip", "ip6", "field", "message"),
    [
        pytest.param("10.0.1.7/24", "none", "ip", "outside of cidr", id="outside"),
        pytest.param("10.0.0.7/25", "none", "ip", "another prefix length", id="prefix"),
        pytest.param("10.0.0.0/24", "none", "ip", "network's or broadcast", id="network"),
        pytest.param("10.0.0.255/24", "none", "ip", "network's or broadcast", id="broadcast"),
        pytest.param("none", "2001:db9::7/64", "ip6", "outside of net6", id="outside, 6"),
        pytest.param("none", "2001:db8::7/48", "ip6", "outside of net6", id="prefix, 6"),
        pytest.param("none", "2001:db8::/64", "ip6", "anycast", id="anycast"),
    ],
)
def test_wrong_static_addresses_are_refused(ip: str, ip6: str, field: str, message: str) -> None:
    """With addresses that would be right."""  # SPEC G3, G5
    (found,) = _check(_spec(**_FULL), ip, ip6)
    assert found.field == field
    assert message in found.message
    assert "choose one of" in found.message


@pytest.mark.parametrize(
    ("ip", "ip6", "right"),
    [
        pytest.param("10.0.0.10/24", "none", True, id="in the pool"),
        pytest.param("10.0.0.31/24", "none", False, id="after the pool"),
        pytest.param("none", "2001:db8::f816:3eff:fe00:1/64", True, id="EUI-64"),
        pytest.param("none", "2001:db8::7/64", False, id="not EUI-64"),
    ],
)
def test_on_a_shared_wire_static_addresses_lie_in_the_pool(ip: str, ip6: str, right: bool) -> None:
    """Nobody else hands out those."""  # SPEC G3; DESIGN, P1
    assert (_check(_spec(**_FULL), ip, ip6, shares_wire=True) == ()) is right


@pytest.mark.parametrize(
    ("options", "ip6", "rule"),
    [
        pytest.param({}, "dynamic", "G4", id="L2"),
        pytest.param({"net6": "2001:db8::/48"}, "dynamic", "G5", id="no room for EUI-64"),
    ],
)
def test_dynamic_needs_something_to_choose_from(
    options: dict[str, Any], ip6: str, rule: str
) -> None:
    """The message says what the DanmNet lacks."""  # SPEC G4, G5
    (found,) = _check(_spec(**options), "none", ip6)
    assert found.rule == rule


def test_dynamic_ipv4_needs_a_cidr() -> None:
    """An L2 network has none to give."""  # SPEC G4
    (found,) = _check(_spec(), "dynamic", "none")
    assert (found.field, found.rule) == ("ip", "G4")


def test_an_l2_network_takes_any_static_address() -> None:
    """Untracked."""  # SPEC G3
    assert _check(_spec(), "10.9.9.9/8", "2001:db8::7/64") == ()


@pytest.mark.parametrize(
    ("ip", "ip6", "part"),
    [
        pytest.param("none", "::ffff:10.0.0.7/96", "::ffff:0:0/96 (IPv4 in IPv6)", id="mapped"),
        pytest.param("none", "ff02::7/64", "ff00::/8 (multicast)", id="multicast, 6"),
        pytest.param("none", "::1/128", "::1/128 (loopback)", id="loopback, 6"),
        pytest.param("none", "::/64", "::/128 (no address)", id="unspecified, 6"),
        pytest.param("224.0.0.7/24", "none", "224.0.0.0/4 (multicast)", id="multicast"),
        pytest.param("127.0.0.7/8", "none", "127.0.0.0/8 (loopback)", id="loopback"),
        pytest.param("0.0.0.0/24", "none", "0.0.0.0/8 (this network)", id="unspecified"),
        pytest.param("255.255.255.255/32", "none", "(broadcast)", id="broadcast"),
    ],
)
def test_but_none_that_nobody_can_have(ip: str, ip6: str, part: str) -> None:
    """Neither Linux nor Kubernetes takes it, and one such kept all endpoints of a Service away."""
    # SPEC G3, G5, S2
    (found,) = _check(_spec(), ip, ip6)
    assert (found.field, found.rule) == (("ip", "G3") if ip6 == "none" else ("ip6", "G5"))
    assert part in found.message
    assert "choose another" in found.message


@pytest.mark.parametrize(("ip", "ip6"), [("169.254.0.7/16", "fe80::7/64"), ("10.0.0.0/24", "none")])
def test_odd_ones_that_linux_takes_stay_right(ip: str, ip6: str) -> None:
    """What lies on its own wire is the tenant's business."""  # SPEC G3
    assert _check(_spec(), ip, ip6) == ()


def test_static_delegates_ignore_what_is_asked() -> None:
    """They address Pods themselves."""  # SPEC G
    assert _check(_spec("flannel", **_FULL), "192.0.2.1/24", "dynamic") == ()


def test_point_to_point_links_have_two_hosts() -> None:
    """RFC 3021."""  # SPEC G2
    spec = _spec(cidr="10.0.0.0/31")
    for address in ("10.0.0.0/31", "10.0.0.1/31"):
        request = StaticIPv4(interface=IPv4Interface(address))
        assert check_ip_request(spec, request, NoAddress(), shares_wire=False) == ()


def test_fields_carry_the_entry_s_index() -> None:
    """So that the ADD's error names the entry."""  # SPEC B3
    text = '[{"network": "external"}, {"network": "external", "ip": "10.0.1.7/24"}]'
    attachment = decode_annotation(text, pod="a/b")[1]
    (found,) = check_attachment(_spec(**_FULL), attachment, shares_wire=False)
    assert found.field == "[1].ip"


@pytest.mark.parametrize(
    ("options", "ip", "message"),
    [
        pytest.param({}, "dynamic", "has no rt_tables", id="no table"),
        pytest.param({"rt_tables": 250}, "none", "without an address", id="no address"),
    ],
)
def test_policy_routes_need_a_table_and_an_address(
    options: dict[str, Any], ip: str, message: str
) -> None:
    """Without them there is no rule to make."""  # SPEC D3
    text = f'[{{"network": "x", "ip": "{ip}", "proutes": {{"10.1.0.0/16": "10.0.0.1"}}}}]'
    (attachment,) = decode_annotation(text, pod="a/b")
    (found,) = check_attachment(_spec(**_FULL, **options), attachment, shares_wire=False)
    assert (found.field, found.rule) == ("[0].proutes", "D3")
    assert message in found.message


def test_gateways_of_policy_routes_lie_on_the_network() -> None:
    """The kernel reaches no other; a static delegate's network is not known here."""
    text = '[{"network": "x", "ip": "dynamic", "proutes": {"10.1.0.0/16": "10.9.0.1"}}]'
    (attachment,) = decode_annotation(text, pod="a/b")  # SPEC D3
    spec = _spec(**_FULL, rt_tables=250)
    (found,) = check_attachment(spec, attachment, shares_wire=False)
    assert found.field == "[0].proutes[10.1.0.0/16]"
    assert "10.9.0.1 lies outside of 10.0.0.0/24" in found.message
    static = _spec("flannel", **_FULL, rt_tables=250)
    assert check_attachment(static, attachment, shares_wire=False) == ()


def _policy_route_faults(spec: NetworkSpec, entry: str) -> tuple[str, ...]:
    (attachment,) = decode_annotation(f'[{{"network": "x", {entry}}}]', pod="a/b")
    return tuple(each.message for each in check_attachment(spec, attachment, shares_wire=False))


@pytest.mark.parametrize(
    ("options", "entry", "fault"),
    [
        pytest.param(
            {"cidr": "10.0.0.0/24"},
            '"ip": "dynamic", "proutes": {"10.1.0.0/16": "10.0.0.255"}',
            "10.0.0.255 is the network's or broadcast address of 10.0.0.0/24 of external",
            id="broadcast",
        ),
        pytest.param(
            {"cidr": "10.0.0.0/24"},
            '"ip": "dynamic", "proutes": {"10.1.0.0/16": "10.0.0.0"}',
            "network's or broadcast address",
            id="network",
        ),
        pytest.param(
            {},
            '"ip": "10.0.0.7/24", "proutes": {"10.1.0.0/16": "10.0.0.255"}',
            "network's or broadcast address",
            id="broadcast, L2",
        ),
        pytest.param(
            {},
            '"ip": "10.0.0.7/24", "proutes": {"10.1.0.0/16": "10.0.1.1"}',
            "10.0.1.1 lies outside of 10.0.0.0/24",
            id="outside, L2",
        ),
        pytest.param(
            {},
            '"ip6": "2001:db8::7/64", "proutes6": {"2001:db8:1::/64": "ff02::1"}',
            "ff02::1 is of ff00::/8 (multicast)",
            id="multicast, L2",
        ),
    ],
)
def test_gateways_that_linux_refuses_are_refused(
    options: dict[str, Any], entry: str, fault: str
) -> None:
    """With the reason, where the kernel would only say that it is invalid."""  # SPEC D3
    (message,) = _policy_route_faults(_spec(**options, rt_tables=250), entry)
    assert fault in message
    assert "choose" in message


@pytest.mark.parametrize(
    ("options", "entry"),
    [
        ({"cidr": "10.0.0.0/31"}, '"ip": "10.0.0.1/31", "proutes": {"0.0.0.0/0": "10.0.0.0"}'),
        ({"net6": "2001:db8::/64"}, '"ip6": "dynamic", "proutes6": {"::/0": "2001:db8::"}'),
        ({}, '"ip": "10.0.0.7/24", "proutes": {"0.0.0.0/0": "10.0.0.1"}'),
        ({}, '"ip6": "2001:db8::7/64", "proutes6": {"::/0": "fe80::1"}'),
    ],
)
def test_gateways_that_linux_takes_are_right(options: dict[str, Any], entry: str) -> None:
    """A point-to-point link has no broadcast address, and the routers' anycast address is one."""
    # SPEC D3, G2
    assert _policy_route_faults(_spec(**options, rt_tables=250), entry) == ()


def test_static_ipv6_on_a_shared_wire_without_pool_is_refused() -> None:
    """Nothing says whose address it is."""  # SPEC G3; DESIGN, P1
    spec = _spec(net6="2001:db8::/48")
    request = StaticIPv6(interface=IPv6Interface("2001:db8::7/48"))
    assert len(check_ip_request(spec, NoAddress(), request, shares_wire=True)) == 1
