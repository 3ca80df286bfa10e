"""From DanmNets to links."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danm_api.model.danmnet import (
    BuiltInType,
    DanmNet,
    NetworkSpec,
    NetworkStatus,
    StaticDelegate,
    Vlan,
    Vxlan,
)
from danm_api.names import InterfaceName
from netwatcher.links import (
    HostLink,
    ObservedAddress,
    PlainLink,
    WantedLink,
    alias_for,
    demand,
    group_for,
    link_of,
    name_in_alias,
    network_of_link,
    source_of,
)
from netwatcher.testing.networks import a_net


def a_host_link(name: str, segment: Vlan | Vxlan, parent: str = "ens4") -> HostLink:
    """Build what a_net asks for."""
    return HostLink(name=InterfaceName(name), parent=InterfaceName(parent), segment=segment)


@pytest.mark.parametrize(
    ("net", "link"),
    [
        pytest.param(
            a_net("internal", segment=Vxlan(vni=600)),
            a_host_link("vx_internal", Vxlan(vni=600)),
            id="vxlan",
        ),
        pytest.param(
            a_net(segment=Vlan(vid=300)), a_host_link("external.300", Vlan(vid=300)), id="vlan"
        ),
        pytest.param(a_net(), PlainLink(name=InterfaceName("ens4")), id="untagged"),
        pytest.param(
            a_net(segment=Vlan(vid=300), kind=BuiltInType.SRIOV),
            PlainLink(name=InterfaceName("ens4")),
            id="the VLAN of SR-IOV belongs to the virtual function",
        ),
        pytest.param(
            a_net(device=None, kind=StaticDelegate(name="flannel")), None, id="no host_device"
        ),
    ],
)
def test_a_network_asks_for_its_link(net: DanmNet, link: WantedLink | None) -> None:
    """Names and parents are those that the nodes have always had."""  # SPEC N2, D1
    assert link_of(net) == link


def test_the_spec_in_force_decides() -> None:
    """An edit that waits, or that was refused, does not move the link."""  # SPEC N5
    net = a_net(segment=Vlan(vid=300))
    assert isinstance(net.spec, NetworkSpec)
    edited = replace(net, spec=replace(net.spec, segment=Vlan(vid=301)))
    assert link_of(edited) == a_host_link("external.300", Vlan(vid=300))
    assert link_of(replace(net, status=NetworkStatus())) is None


def test_networks_of_two_namespaces_share_a_link() -> None:
    """The seed's demo has one VLAN link for two DanmNets."""  # SPEC N3
    nets = [a_net(namespace=n, segment=Vlan(vid=300)) for n in ("a", "b")]
    asked = demand(InterfaceName("external.300"), nets)
    assert asked.link == a_host_link("external.300", Vlan(vid=300))
    assert asked.outvoted == ()


def test_the_oldest_decides_a_disagreement() -> None:
    """A younger DanmNet cannot take a link away from Pods that use it."""  # SPEC N3
    old = a_net(namespace="b", segment=Vlan(vid=300), age_s=10)
    young = a_net(namespace="a", segment=Vlan(vid=300), device="ens3")
    asked = demand(InterfaceName("external.300"), [young, old])
    assert asked.link == a_host_link("external.300", Vlan(vid=300))
    assert asked.outvoted == (young,)


def test_a_link_that_is_made_goes_before_a_host_device_of_its_name() -> None:
    """Networks can be stacked on a link that netwatcher makes, and keep it alive."""
    made, on_top = a_net(segment=Vlan(vid=300)), a_net("top", device="external.300")
    asked = demand(InterfaceName("external.300"), [on_top, made])
    assert isinstance(asked.link, HostLink)
    assert asked.plain == (on_top,)


@pytest.mark.parametrize(
    ("vni", "source", "group"),
    [
        pytest.param(600, "198.18.0.1", "239.0.2.88", id="the demo's"),
        pytest.param(1, "198.18.0.1", "239.0.0.1", id="first"),
        pytest.param(16777214, "198.18.0.1", "239.255.255.254", id="last"),
        pytest.param(600, "2001:db8::1", "ff05::258", id="IPv6"),
    ],
)
def test_the_vni_picks_the_group(vni: int, source: str, group: str) -> None:
    """All nodes meet in one multicast group."""  # SPEC N2
    assert group_for(vni, ip_address(source)) == ip_address(group)


def an_address(text: str, *, is_global: bool = True, is_stable: bool = True) -> ObservedAddress:
    """Build an address of a parent."""
    return ObservedAddress(address=ip_address(text), is_global=is_global, is_stable=is_stable)


@pytest.mark.parametrize(
    ("addresses", "source"),
    [
        pytest.param([], None, id="none"),
        pytest.param(
            [an_address("2001:db8::1"), an_address("198.18.0.2"), an_address("198.18.0.1")],
            IPv4Address("198.18.0.2"),
            id="first IPv4",
        ),
        pytest.param(
            [an_address("fe80::1", is_global=False), an_address("2001:db8::1")],
            IPv6Address("2001:db8::1"),
            id="else IPv6",
        ),
        pytest.param([an_address("2001:db8::1", is_stable=False)], None, id="still tentative"),
        pytest.param([an_address("198.51.100.1", is_global=False)], None, id="host scope"),
    ],
)
def test_the_tunnel_starts_at_the_first_global_address(
    addresses: list[ObservedAddress], source: IPv4Address | IPv6Address | None
) -> None:
    """IPv4 goes before IPv6."""  # SPEC N2
    assert source_of(addresses) == source


@given(st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,8}[a-z0-9])?", fullmatch=True), st.integers(1, 4094))
def test_a_links_name_tells_its_network(network: str, vid: int) -> None:
    """The NetworkID is found again, dots in it or not."""
    assert network_of_link(InterfaceName(f"vx_{network}")) == network
    assert network_of_link(InterfaceName(f"{network}.{vid}")) == network


def test_only_our_alias_is_ours() -> None:
    """A foreign alias is never taken for a mark."""  # SPEC N4
    name = InterfaceName("vx_internal")
    assert name_in_alias(alias_for(name)) == name
    assert name_in_alias("uplink") is None
    assert name_in_alias("") is None
