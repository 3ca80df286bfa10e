"""Links of the built-in backends."""

import sys

import pytest

from danm_api.model.danmnet import BuiltInType
from danm_api.netlink_wire import attribute
from danm_cni.child_link import OwnType, child_link
from danm_cni.interface_setup import ChildLink

MAC = "fa:16:3e:00:00:07"


@pytest.mark.parametrize(
    ("network_type", "mode", "mac"),
    [
        # include/uapi/linux/if_link.h: L2 mode is 0 in 16 bits, bridge mode 4 in 32.
        pytest.param(BuiltInType.IPVLAN, b"\0\0", None, id="ipvlan"),
        pytest.param(BuiltInType.MACVLAN, (4).to_bytes(4, sys.byteorder), MAC, id="macvlan"),
    ],
)
def test_both_kinds_hang_on_the_same_parent(
    network_type: OwnType, mode: bytes, mac: str | None
) -> None:
    """Name, parent and MTU are treated alike; only macvlan has a MAC of its own."""
    # SPEC D1, E1, G6
    made = child_link(network_type, name="net1", parent="net.300", mtu=1400, mac=MAC)
    assert made == ChildLink(
        kind=str(network_type),
        name="net1",
        parent="net.300",
        options=attribute(1, mode),
        mtu=1400,
        mac=mac,
    )
