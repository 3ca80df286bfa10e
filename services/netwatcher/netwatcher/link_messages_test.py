"""What is written about a link is read as it was meant; the kernel's own words are in netlink's."""

from ipaddress import ip_address

import pytest

from danm_api.netlink_wire import Data
from netwatcher.link_messages import NEW_LINK, Attribute, link_body, read_child, read_link
from netwatcher.links import ObservedVlan, ObservedVxlan

NAMED = (("IFLA_IFNAME", "vx_a"), ("IFLA_MTU", 1450))


def _data(*attributes: Attribute, **fields: object) -> Data:
    body = link_body(*NAMED, *attributes, **fields)  # type: ignore[arg-type]
    return Data(type=NEW_LINK, body=body, interrupted=False)


@pytest.mark.parametrize(("up", "wanted"), [(True, True), (False, False), (None, False)])
def test_a_state_is_written(up: bool | None, wanted: bool) -> None:
    """And name, alias, group, MTU and number."""
    marks = (("IFLA_IFALIAS", "danm:vx_a"), ("IFLA_GROUP", 7))
    link = read_link(_data(*marks, index=5, up=up))
    assert (link.index, link.name, link.alias, link.group) == (5, "vx_a", "danm:vx_a", 7)
    assert (link.mtu, link.up) == (1450, wanted)


def test_a_vlan_hangs_on_its_parent() -> None:
    """Which may be of another namespace, and then its number says nothing here."""
    vlan = _data(("IFLA_LINK", 3), kind="vlan", data={"id": 300})
    assert read_link(vlan).kind == ObservedVlan(parent_index=3, vid=300)
    assert read_child(vlan) == ("vx_a", 3)
    assert read_child(_data(("IFLA_LINK", 3), ("IFLA_LINK_NETNSID", 1))) == ("vx_a", None)


@pytest.mark.parametrize(
    ("source", "group", "suffix"),
    [("198.18.0.1", "239.0.2.88", ""), ("2001:db8::1", "ff05::258", "6")],
)
def test_a_tunnel_is_written_in_both_families(source: str, group: str, suffix: str) -> None:
    """Number, port, source, group and whether it learns."""
    of_kind = {f"local{suffix}": source, f"group{suffix}": group, "learning": 1}
    tunnel = _data(kind="vxlan", data={"link": 3, "id": 600, "port": 4789, **of_kind})
    assert read_link(tunnel).kind == ObservedVxlan(
        parent_index=3,
        vni=600,
        port=4789,
        source=ip_address(source),
        group=ip_address(group),
        learning=True,
    )
