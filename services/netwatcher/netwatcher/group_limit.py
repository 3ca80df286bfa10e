"""The kernel's limit of multicast groups, of which every VXLAN link takes one.

All tunnels of a UDP port share one socket of the kernel, and Linux lets a socket join 20 IPv4
groups unless told otherwise (net.ipv4.igmp_max_memberships): the 21st VXLAN network of a node could
not be set up. The limit costs nothing by itself: it is raised when it is met, and never lowered.
"""

from pathlib import Path
from typing import Final

from danm_api.telemetry import get_logger

LIMIT_FILE: Final = Path("/proc/sys/net/ipv4/igmp_max_memberships")

# More networks than a node will have; from some hundred groups on net.core.optmem_max limits too.
_ENOUGH: Final = 65536

HINT: Final = (
    "a tunnel needs a multicast group, and the node allows no more of them: raise the sysctls"
    " net.ipv4.igmp_max_memberships and net.core.optmem_max there"
)

_log = get_logger(__name__)


def raise_limit(file: Path) -> bool:
    """Raise the limit of the calling thread's netns; return whether it was raised now."""
    try:
        if int(file.read_text()) >= _ENOUGH:
            return False
        file.write_text(str(_ENOUGH))
    except OSError as error:
        _log.warning("Cannot raise the limit of multicast groups", file=file, error=error)
        return False
    _log.info("Raised the limit of multicast groups", file=file, limit=_ENOUGH)
    return True
