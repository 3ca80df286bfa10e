"""The model of a node's links: what must be there, and that wrong nodes are refused."""

from typing import Any

import pytest

from tests.lab.chaos.controllers.facts import DanmEp, read
from tests.lab.chaos.controllers.link_facts import DanmNode, HostLink, Node
from tests.lab.chaos.controllers.link_model import differences
from tests.lab.chaos.controllers.network_facts import DanmNet

Raw = dict[str, Any]


def a_network(
    name: str = "int",
    *,
    namespace: str = "red",
    created: str = "1",
    **options: Any,  # noqa: ANN401  (JSON values)
) -> Raw:
    """Return a DanmNet whose spec is in force."""
    spec = {"NetworkID": name, "Options": {"host_device": "p0", "vxlan": 600} | options}
    metadata = {"namespace": namespace, "name": name, "creationTimestamp": created}
    return {"metadata": metadata, "spec": spec, "status": {"applied": spec}}


def a_parent(**changes: Any) -> Raw:  # noqa: ANN401  (JSON values)
    """Return the host_device."""
    addresses = [{"local": "198.18.0.1", "scope": "global"}, {"local": "fe80::1", "scope": "link"}]
    return {
        "ifindex": 2,
        "ifname": "p0",
        "flags": ["UP"],
        "mtu": 1500,
        "addr_info": addresses,
    } | changes


def a_tunnel(data: Raw | None = None, **changes: Any) -> Raw:  # noqa: ANN401  (JSON values)
    """Return the link that the network asks for."""
    right = {
        "id": 600,
        "group": "239.0.2.88",
        "local": "198.18.0.1",
        "link": "p0",
        "port": 4789,
        "learning": True,
    }
    return {
        "ifindex": 3,
        "ifname": "vx_int",
        "flags": ["UP"],
        "mtu": 1450,
        "ifalias": "danm:vx_int",
        "linkinfo": {"info_kind": "vxlan", "info_data": right | (data or {})},
    } | changes


def an_interface(*, node: str = "n1", network: str = "int") -> Raw:
    """Return a DanmEp that uses the link."""
    return {
        "metadata": {"namespace": "red", "name": "u"},
        "spec": {"NetworkID": network, "Host": node, "Interface": {"Name": "eth0"}},
    }


def told_of(*, up: bool, network: str = "int", namespace: str = "red") -> Raw:
    """Return what a DanmNode says of a network."""
    reason = "" if up else "said"
    return {"namespace": namespace, "network": network, "up": up, "reason": reason}


def told(**changes: Any) -> list[str]:  # noqa: ANN401  (JSON values)
    """Return what differs on a node on which all is right, but for the changes."""
    right: Raw = {
        "links": [a_parent(), a_tunnel()],
        "networks": [a_network()],
        "interfaces": [],
        "foreign": [],
        "told": [told_of(up=True)],
    } | changes
    node = Node(
        name="n1",
        links=tuple(read(raw, HostLink) for raw in right["links"]),
        foreign=tuple(read(raw, HostLink) for raw in right["foreign"]),
        networks=tuple(read(raw, DanmNet) for raw in right["networks"]),
        interfaces=tuple(read(raw, DanmEp) for raw in right["interfaces"]),
        told=read({"metadata": {"name": "n1"}, "status": {"networks": right["told"]}}, DanmNode),
    )
    return [str(each) for each in differences(node)]


_DOWN = [told_of(up=False)]
_FOREIGN = a_tunnel(ifalias="")


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="a tunnel"),
        pytest.param({"links": [a_parent()], "networks": [], "told": []}, id="nothing"),
        pytest.param(
            {
                "networks": [a_network(), a_network(namespace="blue", created="2")],
                "told": [told_of(up=True), told_of(up=True, namespace="blue")],
            },
            id="shared",
        ),
        pytest.param({"links": [], "told": _DOWN}, id="no host_device"),
        pytest.param({"links": [a_parent(flags=[])], "told": _DOWN}, id="host_device is down"),
        pytest.param({"links": [a_parent(addr_info=[])], "told": _DOWN}, id="without address"),
        pytest.param({"links": [a_parent(), _FOREIGN], "told": _DOWN}, id="the name is taken"),
        pytest.param(
            {"links": [a_parent(), a_tunnel(ifname="mine", ifalias="")], "told": _DOWN},
            id="the number is taken",
        ),
        pytest.param(
            {
                "links": [
                    a_parent(mtu=1400, addr_info=[{"local": "10.0.0.9", "scope": "global"}]),
                    a_tunnel({"local": "10.0.0.9"}, mtu=1350),
                ]
            },
            id="another source and MTU",
        ),
        pytest.param(
            {"networks": [], "told": [], "interfaces": [an_interface()]}, id="somebody uses it"
        ),
        pytest.param(
            {"networks": [a_network(vxlan=601)], "interfaces": [an_interface()]},
            id="somebody uses the one of before",
        ),
        pytest.param(
            {"networks": [a_network(vxlan=None)], "links": [a_parent()]}, id="on host_device"
        ),
        pytest.param(
            {"networks": [a_network() | {"status": {}}], "links": [a_parent()], "told": _DOWN},
            id="never accepted",
        ),
    ],
)
def test_right_nodes_differ_in_nothing(changes: Raw) -> None:
    """Also where a link cannot be, and DanmNode says so (SPEC N2 to N4, N6)."""
    assert told(**changes) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"links": [a_parent()]}, "missing: vx_int: the link", id="no link"),
        pytest.param(
            {"links": [a_parent(), a_tunnel({"id": 601})]}, "wrong: vx_int", id="another number"
        ),
        pytest.param(
            {"links": [a_parent(), a_tunnel({"local": "198.18.0.9"})]},
            "wrong: vx_int",
            id="another source",
        ),
        pytest.param(
            {"links": [a_parent(), a_tunnel({"learning": False})]}, "wrong: vx_int", id="learning"
        ),
        pytest.param(
            {"links": [a_parent(), a_tunnel(mtu=1300)]}, "wrong: vx_int: MTU 1300", id="MTU"
        ),
        pytest.param({"links": [a_parent(), a_tunnel(flags=[])]}, "wrong: vx_int: down", id="down"),
        pytest.param(
            {"links": [a_parent(), a_tunnel(flags=[])], "interfaces": [an_interface()]},
            "wrong: vx_int: down",
            id="down, under its users",
        ),
        pytest.param(
            {"links": [a_parent(), a_tunnel(ifname="aside")]},
            "wrong: vx_int: called aside",
            id="renamed",
        ),
        pytest.param(
            {"links": [a_parent(), a_tunnel(), a_tunnel(ifname="b")]},
            "left: vx_int: 2 links of it",
            id="twice",
        ),
        pytest.param(
            {"links": [a_parent(), a_tunnel(), a_tunnel({"id": 7}, ifname="b", group="7")]},
            "wrong: b: in group 7",
            id="half made",
        ),
        pytest.param(
            {"networks": [], "told": []}, "left: vx_int: link vx_int, which nobody", id="left"
        ),
        pytest.param(
            {"networks": [], "told": [], "interfaces": [an_interface(node="n2")]},
            "left: vx_int: link vx_int, which nobody",
            id="used on another node",
        ),
        pytest.param(
            {"foreign": [a_tunnel(ifindex=9, ifname="mine", ifalias="")]},
            "wrong: mine: somebody else's link was touched: None",
            id="foreign, gone",
        ),
        pytest.param(
            {
                "foreign": [a_tunnel({"id": 7}, ifname="mine", ifalias="")],
                "links": [
                    a_parent(),
                    a_tunnel(),
                    a_tunnel({"id": 7}, ifname="mine", ifalias="", mtu=9),
                ],
            },
            "wrong: mine: somebody else's link was touched",
            id="foreign, changed",
        ),
        pytest.param({"told": []}, "missing: red/int: DanmNode does not tell", id="not told"),
        pytest.param({"told": _DOWN}, "wrong: red/int: DanmNode says False", id="told wrongly"),
        pytest.param(
            {"links": [a_parent(), _FOREIGN]}, "wrong: red/int: DanmNode says True", id="told as up"
        ),
        pytest.param(
            {"links": [], "told": [told_of(up=False) | {"reason": ""}]},
            "missing: red/int: why",
            id="without a reason",
        ),
        pytest.param(
            {"told": [told_of(up=True), told_of(up=True, network="gone")]},
            "left: red/gone: DanmNode tells of it",
            id="told of one that is gone",
        ),
    ],
)
def test_a_wrong_node_is_refused(changes: Raw, expected: str) -> None:
    """Each of these is told of, in a line that names the link or DanmNet."""
    lines = told(**changes)
    assert any(line.startswith(expected) for line in lines), lines


def test_the_oldest_decides_where_they_disagree() -> None:
    """SPEC N3: the validator refuses it, but the node may hear of that later."""
    younger = a_network(namespace="blue", created="2", vxlan=601)
    said = [told_of(up=True), told_of(up=False, namespace="blue")]
    assert told(networks=[younger, a_network()], told=said) == []
    older = a_network(namespace="blue", created="0", vxlan=601)
    assert told(networks=[older, a_network()], told=said) != []
