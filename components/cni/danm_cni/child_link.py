"""The built-in backends, whose interfaces danmd makes itself: IPVLAN and macvlan (SPEC D, E1).

Both are children of a link of the host. What is the same of them, which is nearly everything, is
done by ``danm_cni.netlink``; here is what is not.
"""

import struct
from collections.abc import Mapping
from typing import Final, Literal, TypeGuard

from danm_api.model.danmnet import BuiltInType
from danm_api.netlink_wire import attribute, u32_attribute
from danm_cni.interface_setup import ChildLink

OwnType = Literal[BuiltInType.IPVLAN, BuiltInType.MACVLAN]

# include/uapi/linux/if_link.h: IFLA_IPVLAN_MODE and IFLA_MACVLAN_MODE, L2 and bridge mode.
_OPTIONS: Final[Mapping[OwnType, bytes]] = {
    BuiltInType.IPVLAN: attribute(1, struct.pack("=H", 0)),
    BuiltInType.MACVLAN: u32_attribute(1, 4),
}
# Network types whose interfaces danmd makes itself.
OWN_TYPES: Final = frozenset(_OPTIONS)


def is_own_type(network_type: object) -> TypeGuard[OwnType]:
    """Say whether danmd makes the interfaces of a network type itself."""
    return network_type in OWN_TYPES


def child_link(
    network_type: OwnType, *, name: str, parent: str, mtu: int | None, mac: str | None
) -> ChildLink:
    """Return the link of an attachment (SPEC D1).

    Args:
        network_type: What makes it.
        name: In the Pod.
        parent: On the host.
        mtu: Bytes; None for the parent's.
        mac: Of a macvlan link, None for a random one; IPVLAN has its parent's (SPEC G6).
    """
    return ChildLink(
        kind=network_type.value,
        name=name,
        parent=parent,
        options=_OPTIONS[network_type],
        mtu=mtu,
        mac=mac if network_type is BuiltInType.MACVLAN else None,
    )
