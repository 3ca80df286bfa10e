"""The names of the links that a DanmNet's Pods hang on (SPEC D1, N2). Pure."""

from typing import Final

from danm_api.model.danmnet import BuiltInType, NetworkSpec, Untagged, Vlan, Vxlan
from danm_api.names import MAX_INTERFACE_NAME_BYTES

_BYTE_OF_SPACE: Final = b"\xa0"


def host_link_name(spec: NetworkSpec) -> str | None:
    """Return the link that netwatcher makes on every node; None when the network needs none.

    An SR-IOV network needs none: its VLAN is a property of its virtual functions (SPEC E1).
    """
    if spec.network_type is BuiltInType.SRIOV:
        return None
    match spec.segment:
        case Vxlan():
            return f"vx_{spec.network_id}"
        case Vlan(vid=vid):
            return f"{spec.network_id}.{vid}"
        case Untagged():
            return None


def parent_link_name(spec: NetworkSpec) -> str | None:
    """Return the link that Pods hang on, or its virtual functions; None when none is named."""
    return host_link_name(spec) or spec.host_device


def interface_name_fault(name: str) -> str | None:
    """Say why Linux refuses an interface's name, and what to do; None when it takes it.

    Source: dev_valid_name() and __dev_alloc_name() in net/core/dev.c: a "%d" in a name is replaced
    by a number, and any other "%" refused.
    """
    length = len(name.encode())
    if length > MAX_INTERFACE_NAME_BYTES:
        return (
            f'"{name}" has {length} bytes, and Linux allows {MAX_INTERFACE_NAME_BYTES}; '
            "choose a shorter name"
        )
    bad = not name or name in {".", ".."} or any(char in "/:%" or char.isspace() for char in name)
    # Linux looks at bytes, and takes this one for a space, whatever letter it is a part of.
    if bad or not name.isprintable() or _BYTE_OF_SPACE in name.encode():
        return f'"{name}" is no name of an interface; use letters a to z, digits, ".", "_" and "-"'
    return None
