"""Labels and finalizers of DANM's own objects: the one place that knows their keys.

Pure. Every look-up is a label selector and never a full list (SPEC A2).
"""

from collections.abc import Mapping
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

# On Endpoints: which of DANM's services writes the object. A label, since Kubernetes replaces the
# labels of an Endpoints object that it takes over, but keeps the annotations.
MANAGED_BY: Final = f"{PREFIX}managed-by"

# Keeps a DanmNet that is in use (SPEC A5), and a block that holds entries.
DANMNET_FINALIZER: Final = f"{PREFIX}in-use"
IP_BLOCK_FINALIZER: Final = f"{PREFIX}entries"

# A label value holds 63 characters and a container id has 64 (SPEC A2).
MAX_VALUE_LENGTH: Final = 63
_HASH_PREFIX_LENGTH: Final = 40


def container_id_label(container_id: ContainerId) -> str:
    """Return the label value that stands for a container id; verify hits against ``spec.CID``."""
    return sha256(container_id.encode()).hexdigest()[:_HASH_PREFIX_LENGTH]


def label_value(name: str) -> str:
    """Return the label value that stands for a DNS-1123 name: itself, or a hash if too long.

    Names of nodes and of networks may have 253 characters. Selectors take this value as well;
    verify hits against ``spec`` as with container ids.
    """
    if len(name) <= MAX_VALUE_LENGTH:
        return name
    return sha256(name.encode()).hexdigest()[:_HASH_PREFIX_LENGTH]


def of_tenant(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels without DANM's own, which a tenant could forge (SPEC A2)."""
    return {key: value for key, value in labels.items() if not key.startswith(PREFIX)}
