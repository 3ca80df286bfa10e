"""Labels and finalizers of DANM's own objects: the one place that knows their keys.

Pure. Every look-up is a label selector and never a full list (SPEC A2).
"""

from hashlib import sha256
from typing import Final

from danm_api.names import GROUP, ContainerId

PREFIX: Final = f"{GROUP}/"

# On DanmEps.
CONTAINER_ID: Final = f"{PREFIX}container-id"
NODE: Final = f"{PREFIX}node"
NETWORK: Final = f"{PREFIX}network"
POD_UID: Final = f"{PREFIX}pod-uid"

# On DanmIPBlocks (NETWORK as well): DESIGN, "Full means full".
NETWORK_UID: Final = f"{PREFIX}network-uid"
FREE: Final = f"{PREFIX}free"
COOLING_UNTIL: Final = f"{PREFIX}cooling-until"
FAMILY: Final = f"{PREFIX}family"

# Keeps a DanmNet that is in use (SPEC A5), and a block that holds entries.
DANMNET_FINALIZER: Final = f"{PREFIX}in-use"
IP_BLOCK_FINALIZER: Final = f"{PREFIX}entries"

# A label value holds 63 characters and a container id has 64 (SPEC A2).
_HASH_PREFIX_LENGTH: Final = 40


def container_id_label(container_id: ContainerId) -> str:
    """Return the label value that stands for a container id; verify hits against ``spec.CID``."""
    return sha256(container_id.encode()).hexdigest()[:_HASH_PREFIX_LENGTH]
