"""The rules between DanmNets."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from danm_api.model.danmnet import DanmNet, NetworkSpec
from danm_api.testing.builders import a_danmnet, accepted
from danm_api.validation.wire import claims, conflicts, same_wire, shares_wire, wire_text

_VLAN: dict[str, Any] = {"host_device": "ens4", "vlan": 300}


def _pool(first: int, last: int) -> dict[str, Any]:
    return {
        "cidr": "10.100.20.0/24",
        "allocation_pool": {"start": f"10.100.20.{first}", "end": f"10.100.20.{last}"},
    }


EXTERNAL = accepted(a_danmnet("external", namespace="vnf", **_VLAN, **_pool(10, 30)))


def _rules(net: DanmNet, others: Sequence[DanmNet]) -> list[str]:
    return [violation.rule for violation in conflicts(net, others)]


def _spec(net: DanmNet) -> NetworkSpec:
    assert isinstance(net.spec, NetworkSpec)
    return net.spec


def test_two_namespaces_may_share_one_link() -> None:
    """As the seed's demo does: same name, parent and VID, other pools."""  # SPEC N3
    client = a_danmnet("external", namespace="client", **_VLAN, **_pool(50, 60))
    assert conflicts(client, [EXTERNAL, client]) == ()


@pytest.mark.parametrize(
    ("name", "options", "rule", "message"),
    [
        pytest.param(
            "external",
            {"host_device": "ens5", "vlan": 300},
            "N3",
            "has it with VLAN 300 on ens4",
            id="one name, other parents",
        ),
        pytest.param("other", _VLAN, "N1", 'is the link "external.300"', id="one VID, other names"),
        pytest.param(
            "external",
            {**_VLAN, **_pool(30, 40)},
            "N1",
            "10.100.20.30-10.100.20.40 overlaps 10.100.20.10-10.100.20.30",
            id="pools that meet in one address",
        ),
        pytest.param(
            "external",
            {**_VLAN, "cidr": "10.100.20.0/24"},
            "N1",
            "10.100.20.1-10.100.20.254 overlaps",
            id="default pool",
        ),
    ],
)
def test_contradictions_are_named_with_the_other(
    name: str, options: dict[str, Any], rule: str, message: str
) -> None:
    """The other DanmNet, and the way out."""  # SPEC N1, N3
    net = a_danmnet(name, namespace="client", **options)
    (found,) = conflicts(net, [EXTERNAL])
    assert found.rule == rule
    assert "DanmNet vnf/external" in found.message
    assert message in found.message


@pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param("other", {"host_device": "ens4", "vlan": 301}, id="another VID"),
        pytest.param("other", {"host_device": "ens5", "vlan": 300}, id="another parent"),
        pytest.param("other", {"host_device": "ens4", **_pool(10, 30)}, id="untagged beside"),
        pytest.param("external", {"host_device": "ens4", "vlan": 30}, id="another link"),
        pytest.param("external", {**_VLAN}, id="L2 on the same wire"),
    ],
)
def test_what_does_not_meet_is_no_contradiction(name: str, options: dict[str, Any]) -> None:
    """No rule is stricter than it says."""  # SPEC N1
    assert conflicts(a_danmnet(name, namespace="client", **options), [EXTERNAL]) == ()


def test_a_vni_is_taken_on_every_parent() -> None:
    """The kernel has one table of VNIs for all devices."""  # SPEC N1
    first = accepted(a_danmnet("internal", host_device="ens3", vxlan=600))
    second = a_danmnet("other", host_device="ens4", vxlan=600)
    assert _rules(second, [first]) == ["N1"]


def test_one_vxlan_link_has_one_vni() -> None:
    """Its name does not tell the number."""  # SPEC N3
    first = accepted(a_danmnet("internal", namespace="a", host_device="ens3", vxlan=600))
    second = a_danmnet("internal", namespace="b", host_device="ens3", vxlan=601)
    assert _rules(second, [first]) == ["N3"]


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        pytest.param("ipvlan", "macvlan", ["N1"], id="ipvlan, macvlan"),
        pytest.param("macvlan", "ipvlan", ["N1"], id="macvlan, ipvlan"),
        pytest.param("macvlan", "macvlan", [], id="the same"),
        pytest.param("sriov", "ipvlan", [], id="sriov"),
        pytest.param("flannel", "macvlan", [], id="static"),
    ],
)
def test_one_parent_has_one_kind(one: str, other: str, found: list[str]) -> None:
    """The kernel allows ipvlan or macvlan."""  # SPEC N1
    first = accepted(a_danmnet("a", network_type=one, host_device="ens4"))
    second = a_danmnet("b", network_type=other, host_device="ens4")
    assert _rules(second, [first]) == found


@pytest.mark.parametrize(
    ("name", "namespace", "options"),
    [
        pytest.param("other", "vnf", {}, id="one VLAN under two names"),
        pytest.param("sr", "client", {"host_device": "ens5"}, id="one name on two devices"),
        pytest.param("sr", "client", {"vlan": 301}, id="one name with two VLANs"),
    ],
)
def test_sriov_networks_have_no_link_to_quarrel_about(
    name: str, namespace: str, options: dict[str, Any]
) -> None:
    """Their VLAN is a property of each virtual function; the nodes have no link for it."""
    # SPEC E1, N1
    first = accepted(a_danmnet("sr", namespace="vnf", network_type="sriov", **_VLAN))
    net = a_danmnet(name, namespace=namespace, network_type="sriov", **{**_VLAN, **options})
    assert conflicts(net, [first]) == ()


def test_sriov_networks_share_the_wire_of_their_vlan_alone() -> None:
    """Their Pods hear those on the nodes' VLAN link, and none on the device itself."""
    # DESIGN, P1
    sriov = _spec(a_danmnet("sr", network_type="sriov", **_VLAN))
    assert same_wire(sriov, _spec(EXTERNAL))
    assert same_wire(sriov, _spec(a_danmnet("other", network_type="sriov", **_VLAN)))
    assert not same_wire(sriov, _spec(a_danmnet("other", host_device="ens4")))
    plain = _spec(a_danmnet("sr", network_type="sriov", host_device="ens4"))
    assert same_wire(plain, _spec(a_danmnet("other", host_device="ens4")))
    assert not same_wire(plain, sriov)


_DEVICES: dict[str, Any] = {"network_type": "sriov", "device_pool": "example.com/a", "vlan": 300}


@pytest.mark.parametrize(
    ("options", "shared"),
    [
        pytest.param({}, True, id="the same devices and VLAN"),
        pytest.param({"host_device": "ens4"}, True, id="one of them says where the devices are"),
        pytest.param({"vlan": 301}, False, id="another VLAN"),
        pytest.param({"vlan": None}, False, id="no VLAN"),
        pytest.param({"device_pool": "example.com/b"}, False, id="other devices"),
        pytest.param(
            {"device_pool": None, "host_device": "ens4"}, False, id="a device that may be theirs"
        ),
    ],
)
def test_sriov_networks_share_the_wire_of_their_devices(
    options: dict[str, Any], *, shared: bool
) -> None:
    """A Pod of either gets any device of the pool, so that all of them hear each other."""
    # SPEC E1, N1; DESIGN P1
    first = accepted(a_danmnet("a", namespace="vnf", **_DEVICES, **_pool(10, 30)))
    other = a_danmnet("a", namespace="client", **{**_DEVICES, **options}, **_pool(30, 40))
    assert same_wire(_spec(first), _spec(other)) is shared
    assert same_wire(_spec(other), _spec(first)) is shared
    found = [violation.message for violation in conflicts(other, [first])]
    assert len(found) == shared
    assert all("on the same wire (example.com/a, VLAN 300)" in message for message in found)


def test_pools_of_ipv6_may_not_overlap_either() -> None:
    """Two networks that derive addresses from MACs could derive the same."""  # SPEC N1, G5
    options: dict[str, Any] = {"host_device": "ens4", "net6": "2001:db8::/64"}
    first = accepted(a_danmnet("a", **options))
    assert _rules(a_danmnet("b", **options), [first]) == ["N1"]
    pool6 = {"start": "2001:db8::1", "end": "2001:db8::ff"}
    assert _rules(a_danmnet("b", **options, allocation_pool6=pool6), [first]) == []


def test_who_was_not_accepted_claims_nothing() -> None:
    """So two that contradict each other never refuse one another."""  # DESIGN, "Controllers"
    waiting = a_danmnet("external", namespace="vnf", **_VLAN, **_pool(10, 30))
    late = a_danmnet("external", namespace="client", **_VLAN, **_pool(10, 30))
    assert (claims(waiting), _rules(late, [waiting])) == ((), [])


def test_an_edit_that_was_not_judged_claims_nothing_yet() -> None:
    """But what is in force goes on claiming."""  # SPEC N5
    edited = replace(
        EXTERNAL,
        generation=2,
        spec=_spec(a_danmnet("external", namespace="vnf", **_VLAN, **_pool(40, 60))),
    )
    assert claims(edited) == (_spec(EXTERNAL),)


def test_who_is_about_to_be_accepted_claims_already() -> None:
    """While the validator makes sure, others must give nothing of the pool any more."""
    net = EXTERNAL
    verdict = net.status.condition("Valid")
    assert verdict is not None
    checking = replace(verdict, status=None)
    status = replace(net.status, applied=None, conditions=(checking,))
    assert claims(replace(net, status=status)) == (net.spec,)


def test_an_accepted_edit_that_waits_claims_both() -> None:
    """Nobody may come between a network and what it was promised."""  # SPEC N5
    wider = accepted(a_danmnet("external", namespace="vnf", generation=2, **_VLAN, **_pool(10, 60)))
    waiting = replace(wider, status=replace(wider.status, applied=_spec(EXTERNAL)))
    late = a_danmnet("external", namespace="client", **_VLAN, **_pool(50, 60))
    assert len(claims(waiting)) == 2
    assert _rules(late, [waiting]) == ["N1"]


def test_a_network_does_not_contradict_itself() -> None:
    """Its own claims do not count when it is edited."""  # SPEC N5
    edited = a_danmnet("external", namespace="vnf", host_device="ens5", vlan=300)
    assert conflicts(edited, [EXTERNAL, edited]) == ()


def test_an_unreadable_network_contradicts_nobody() -> None:
    """It is refused by itself."""
    assert conflicts(a_danmnet("external", cidr="x"), [EXTERNAL]) == ()


def test_the_same_wire_is_parent_and_segment() -> None:
    """And a device may be named by its link."""  # DESIGN, P1
    external = _spec(EXTERNAL)
    assert same_wire(external, _spec(a_danmnet("external", **_VLAN)))
    assert same_wire(external, _spec(a_danmnet("other", host_device="external.300")))
    assert not same_wire(external, _spec(a_danmnet("other", host_device="ens4")))
    assert not same_wire(_spec(a_danmnet("a")), _spec(a_danmnet("b")))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        pytest.param({"host_device": "ens4"}, "ens4", id="untagged"),
        pytest.param({"host_device": "ens4", "vlan": 300}, "ens4/vlan/300", id="VLAN"),
        pytest.param({"host_device": "ens4", "vxlan": 7}, "ens4/vxlan/7", id="VXLAN"),
        pytest.param({"device_pool": "a.com/b", "vlan": 3}, "a.com/b/vlan/3", id="pool"),
        pytest.param({}, "", id="on no link"),
    ],
)
def test_a_wire_is_told_alike_by_all_releases(options: dict[str, Any], text: str) -> None:
    """A danmd compares what an ipam-svc of another release has written."""
    assert text == wire_text(_spec(a_danmnet("any", **options)))


def test_whoever_shares_a_wire_knows() -> None:
    """Static addresses must lie in the own pool there."""  # SPEC G3
    client = accepted(a_danmnet("external", namespace="client", **_VLAN, **_pool(50, 60)))
    assert shares_wire(client, _spec(client), [client, EXTERNAL])
    assert not shares_wire(client, _spec(client), [client])
