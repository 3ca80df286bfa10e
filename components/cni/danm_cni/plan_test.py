"""Plans, from annotation and DanmNets."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from danm_api.errors import (
    DanmError,
    InvalidAttachmentError,
    InvalidNetworkError,
    NetworkNotFoundError,
    NetworkNotReadyError,
    SeveralErrors,
)
from danm_api.ipam_api import MAX_ATTACHMENTS
from danm_api.model.attachment import Attachment, Dynamic, NoAddress
from danm_api.model.danmnet import DanmNet
from danm_api.names import Namespace, NetworkName, PodName
from danm_api.testing.builders import a_danmnet, accepted
from danm_cni.plan import (
    PlannedAttachment,
    UseFallback,
    plan_attachments,
    requested_attachments,
)
from danm_cni.request import PodIdentity

POD = PodIdentity(namespace=Namespace("example-vnf"), name=PodName("lb"), uid=None)


def _network(
    name: str,
    *,
    network_type: str | None = None,
    **options: Any,  # noqa: ANN401
) -> DanmNet:
    options = {"host_device": "ens4", "cidr": "10.1.0.0/24"} | options
    return accepted(a_danmnet(name, network_type=network_type, **options))


NETWORKS: Mapping[str, DanmNet] = {
    each.name: each
    for each in (
        _network("plain"),
        _network("vlan", vlan=300, container_prefix="ext", rt_tables=250),
        _network("vxlan", vxlan=600, container_prefix="int"),
        _network("routed", container_prefix="r0", routes={"192.0.2.0/24": "10.1.0.1"}),
        _network("routed2", container_prefix="r1", routes={"192.0.2.0/24": "10.1.0.2"}),
        _network("long", container_prefix="a-name-too-long-"),
        _network("l2", cidr=None),
        _network("static", network_type="flannel", container_prefix="mg", rt_tables=9),
        _network("no-parent", host_device=None),
        _network("sriov-vxlan", network_type="sriov", vxlan=5, container_prefix="s0"),
        _network("six", cidr=None, net6="2001:db8::/64"),
        replace(_network("going"), deleting=True),
        a_danmnet("unjudged", host_device="ens4", cidr="10.1.0.0/24"),
    )
}


def _plan(*entries: Mapping[str, Any]) -> tuple[PlannedAttachment, ...]:
    text = msgspec.json.encode(entries).decode()
    attachments = requested_attachments(POD, text, _look_up)
    assert not isinstance(attachments, UseFallback)
    return plan_attachments(POD, attachments, _look_up)


def _look_up(name: NetworkName) -> DanmNet | None:
    return NETWORKS.get(name)


def test_names_and_parents() -> None:
    """An interface is eth<index> or the prefix; its parent follows from the segment."""
    planned = _plan(
        {"network": "plain", "ip": "dynamic"},
        {"network": "vlan", "ip": "dynamic"},
        {"network": "vxlan", "ip": "dynamic"},
    )
    # SPEC B4, D1
    assert ["eth0", "ext", "int"] == [each.interface for each in planned]
    assert ["ens4", "vlan.300", "vx_vxlan"] == [each.parent for each in planned]


def test_one_network_twice() -> None:
    """Two entries may name one DanmNet."""
    # SPEC B5
    planned = _plan({"network": "plain", "ip": "dynamic"}, {"network": "plain", "ip": "dynamic"})
    assert ["eth0", "eth1"] == [each.interface for each in planned]


def test_a_destination_that_two_interfaces_route_gets_a_metric() -> None:
    """The kernel takes a second route to one destination only with another metric."""
    planned = _plan(
        {"network": "plain", "ip": "dynamic"},
        {"network": "routed", "ip": "dynamic"},
        {"network": "routed2", "ip": "dynamic"},
    )
    assert [None, 200] == [each.routes[0].metric for each in planned[1:]]


def test_policy_routes_go_to_the_networks_table() -> None:
    """Routes of the annotation have the table of the DanmNet."""
    planned = _plan(
        {"network": "plain", "ip": "dynamic"},
        {"network": "vlan", "ip": "dynamic", "proutes": {"192.0.2.0/24": "10.1.0.1"}},
    )
    # SPEC D3
    assert [250] == [route.table for route in planned[1].routes]


def test_static_types_ignore_what_is_asked() -> None:
    """Addresses asked of a static type are ignored and not reserved."""
    planned = _plan(
        {"network": "plain", "ip": "dynamic"}, {"network": "static", "ip": "10.99.0.1/24"}
    )
    # SPEC G
    assert [True, False] == [each.asks_for_addresses for each in planned]


ETH0: Mapping[str, Any] = {"network": "plain", "ip": "dynamic"}


@pytest.mark.parametrize(
    ("entries", "kind", "told"),
    [
        pytest.param([ETH0, {"network": "nope"}], NetworkNotFoundError, "entry 1.*'nope'", id="B3"),
        pytest.param(
            [ETH0, {"network": "vlan", "ip": "10.2.0.7/24"}],
            InvalidAttachmentError,
            r"\[1\].ip.*outside of cidr",
            id="outside of the CIDR",
        ),
        pytest.param(
            [ETH0, {"network": "vlan"}, {"network": "vlan"}],
            InvalidAttachmentError,
            r"1 \(vlan\), 2 \(vlan\)",
            id="one name twice",
        ),
        pytest.param([ETH0, {"network": "long"}], InvalidAttachmentError, "16 bytes", id="long"),
        pytest.param(
            [{"network": "vlan", "ip": "dynamic"}], InvalidAttachmentError, "eth0", id="no eth0"
        ),
        pytest.param(
            [{"network": "plain", "ip": "none"}],
            InvalidAttachmentError,
            "eth0 has no address",
            id="eth0 without address",
        ),
        pytest.param(
            [{"network": "l2", "ip": "dynamic"}], InvalidAttachmentError, "no cidr", id="G4"
        ),
        pytest.param(
            [{**ETH0, "proutes": {"192.0.2.0/24": "10.1.0.1"}}],
            InvalidAttachmentError,
            "rt_tables",
            id="proutes without a table",
        ),
        pytest.param(
            [ETH0, {"network": "no-parent", "ip": "dynamic"}], DanmError, "host_device", id="parent"
        ),
        pytest.param(
            [ETH0, {"network": "sriov-vxlan"}],
            InvalidNetworkError,
            "sriov-vxlan: vxlan cannot be had with sriov",
            id="E1",
        ),
        pytest.param(
            [ETH0, {"network": "going"}],
            NetworkNotReadyError,
            "entry 1: DanmNet .*/going is being deleted .*name another one, or create it anew",
            id="going",
        ),
        pytest.param(
            [{"network": "unjudged", "ip": "dynamic"}],
            NetworkNotReadyError,
            "not been validated",
            id="G1",
        ),
    ],
)
def test_what_is_wrong_is_told(
    entries: list[Mapping[str, Any]], kind: type[DanmError], told: str
) -> None:
    """Each broken rule fails the plan with the entry and the reason."""
    # SPEC B3, B4
    with pytest.raises(SeveralErrors, match=told) as caught:
        _plan(*entries)
    assert any(isinstance(error, kind) for error in caught.value.errors)


def test_a_pod_may_not_ask_for_any_number_of_interfaces() -> None:
    """A tenant's annotation of 256 KiB could name thousands, which a node would have to make."""
    # SPEC B3; DESIGN, P6
    entry = {"network": "l2", "ip": "none"}
    first = {"network": "plain", "ip": "dynamic"}
    assert len(_plan(first, *[entry] * (MAX_ATTACHMENTS - 1))) == MAX_ATTACHMENTS
    with pytest.raises(InvalidAttachmentError, match="example-vnf/lb: .*65 entries.* 64"):
        _plan(first, *[entry] * MAX_ATTACHMENTS)


def test_everything_wrong_is_told_at_once() -> None:
    """Faults of several entries come in one answer."""
    with pytest.raises(SeveralErrors) as caught:
        _plan({"network": "nope"}, {"network": "l2", "ip": "dynamic"}, {"network": "long"})
    assert len(caught.value.errors) == 3


@pytest.mark.parametrize("annotation", [None, "", "[]"])
def test_a_pod_that_asks_for_nothing(annotation: str | None) -> None:
    """No annotation or an empty list: the network named default, else the fallback."""
    # SPEC B2
    assert UseFallback() == requested_attachments(POD, annotation, lambda _: None)
    asked = requested_attachments(POD, annotation, lambda _: NETWORKS["plain"])
    assert (_default(Dynamic(), NoAddress()),) == asked
    only_six = requested_attachments(POD, annotation, lambda _: NETWORKS["six"])
    assert (_default(NoAddress(), Dynamic()),) == only_six


def _default(ip: Dynamic | NoAddress, ip6: Dynamic | NoAddress) -> Attachment:
    return Attachment(index=0, network=NetworkName("default"), ip=ip, ip6=ip6)


def test_static_types_may_be_restricted() -> None:
    """An administrator's list refuses other static types and no built-in one."""
    attachments = requested_attachments(
        POD, '[{"network":"plain","ip":"dynamic"},{"network":"static"}]', _look_up
    )
    assert not isinstance(attachments, UseFallback)
    # SPEC E2
    with pytest.raises(SeveralErrors, match="'flannel' \\(allowed: calico\\)"):
        plan_attachments(POD, attachments, _look_up, allowed_static_types=frozenset({"calico"}))
