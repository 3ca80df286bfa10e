"""DanmNode: what one node made of the DanmNets (SPEC N6). Pure."""

from dataclasses import dataclass
from datetime import datetime

from danm_api.names import Namespace, NetworkName, NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeNetwork:
    """One DanmNet on one node.

    Attributes:
        link: The link that Pods hang on; empty when the network needs none.
        up: Whether that link is there and up.
        reason: Why it is not up, and what to do; empty when it is.
    """

    namespace: Namespace
    network: NetworkName
    link: str
    up: bool
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DanmNode:
    """One node; cluster-scoped, named like the Node.

    Attributes:
        networks: In the order of namespace and name.
        updated: When netwatcher last found something else than before.
        resource_version: Empty before the object is created.
    """

    name: NodeName
    networks: tuple[NodeNetwork, ...] = ()
    updated: datetime | None = None
    resource_version: str = ""
