"""The built-in IPVLAN backend (SPEC D)."""

from typing import Final

from danm_cni.netlink import ChildLink

# include/uapi/linux/if_link.h: IPVLAN_MODE_L2.
_MODE_L2: Final = 0


def ipvlan_link(*, name: str, parent: str, mtu: int | None) -> ChildLink:
    """Return the IPVLAN interface of an attachment (SPEC D1)."""
    return ChildLink(
        kind="ipvlan", name=name, parent=parent, attributes={"ipvlan_mode": _MODE_L2}, mtu=mtu
    )
