"""DanmNode: which networks one node can serve, and why not (SPEC N6). Pure."""

from dataclasses import dataclass

from danm_api.names import InterfaceName, Namespace, NetworkName, NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkLink:
    """The link of one node that one DanmNet's interfaces hang on.

    Attributes:
        link: The link's name on the node; None for a network that needs none.
        up: Whether interfaces can be made on it now.
        reason: A sentence that says why not, and what to do; empty when up.
    """

    namespace: Namespace
    network: NetworkName
    link: InterfaceName | None
    up: bool
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DanmNode:
    """What the netwatcher of one node sees there.

    Attributes:
        networks: Ordered by namespace and name, so that equal states compare equal.
        resource_version: Empty before the object is created.
    """

    node: NodeName
    networks: tuple[NetworkLink, ...] = ()
    resource_version: str = ""
