"""Names of things, so that a network's name is never taken for a Pod's.

Pure. The API group and its constants live here too, since every part speaks of them.
"""

from typing import Final, NewType

Namespace = NewType("Namespace", str)
NetworkName = NewType("NetworkName", str)
NetworkUid = NewType("NetworkUid", str)
PodName = NewType("PodName", str)
PodUid = NewType("PodUid", str)
NodeName = NewType("NodeName", str)
ServiceName = NewType("ServiceName", str)
ServiceUid = NewType("ServiceUid", str)
InterfaceName = NewType("InterfaceName", str)
ContainerId = NewType("ContainerId", str)

GROUP: Final = "danm.k8s.io"
VERSION: Final = "v1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

# The namespace that deploy/ installs into; every process takes another by flag.
SYSTEM_NAMESPACE: Final = Namespace("danm-system")

# Linux: IFNAMSIZ is 16 with the closing NUL (include/uapi/linux/if.h).
MAX_INTERFACE_NAME_BYTES: Final = 15

# What a Pod writes to ask for networks (SPEC B1), and the DanmNet that it gets when it asks for
# nothing (SPEC B2).
INTERFACES_ANNOTATION: Final = "danm.k8s.io/interfaces"
DEFAULT_NETWORK: Final = NetworkName("default")
