"""What flannel's plugin leaves behind when it is killed (SPEC E5)."""

from ipaddress import ip_interface
from pathlib import Path
from typing import Final

from danm_cni.failpoints import Effect, effect
from danm_cni.netns import resolve_in_root

FLANNEL: Final = "flannel"
# Where the host-local plugin, which flannel's calls, keeps its addresses.
_HOST_LOCAL: Final = "/var/lib/cni/networks"


def clean_flannel(host_root: Path, *, bridge: str, container_id: str, address: str) -> None:
    """Remove a reservation that is left over, if it is still a container's.

    Args:
        host_root: The host's root directory.
        bridge: The name under which flannel's host-local state is kept.
        container_id: Whose.
        address: With or without prefix length.
    """
    file = resolve_in_root(host_root, f"{_HOST_LOCAL}/{bridge}/{ip_interface(address).ip}")
    # host-local writes the container's id and, on another line, the interface.
    if file.is_file() and file.read_bytes().split()[:1] == [container_id.encode()]:
        with effect(Effect.CLEAN_FLANNEL):
            file.unlink(missing_ok=True)
