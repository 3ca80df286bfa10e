"""Who uses a host link of this node.

An IPVLAN interface lives in its Pod's netns, where the host cannot see it hang on the link. But
its DanmEp was created before the interface and goes after it (DESIGN, "An ADD"), so a consistent
list of the node's DanmEps is the record to ask. It is asked only before a link would be taken away.
Where a plugin makes the interface while its DanmEp is written, danmd makes sure of the DanmNet
afterwards (docs/decisions/0004).
"""

from collections.abc import Sequence
from typing import Protocol

from danm_api import labels
from danm_api.codec.danmep import decode_endpoint_identity
from danm_api.kube.api import DANMEPS, KubeApi
from danm_api.model.danmnet import DanmNet
from danm_api.names import InterfaceName, NodeName
from netwatcher.kernel import Kernel
from netwatcher.links import ObservedLink, network_of_link


class LinkUsers(Protocol):
    """Finds who uses a link."""

    async def users_of(
        self, name: InterfaceName, link: ObservedLink, *, plain: Sequence[DanmNet]
    ) -> Sequence[str]:
        """Return the users in words.

        Args:
            name: The name that netwatcher made the link under.
            link: The link.
            plain: DanmNets that name the link as their host_device.

        Raises:
            DanmError: Nobody can tell now; the link has to stay.
        """
        ...


class ClusterLinkUsers:
    """Asks the API server for the node's DanmEps, and the kernel for links of the host."""

    def __init__(self, *, api: KubeApi, kernel: Kernel, node: NodeName) -> None:
        self._api = api
        self._kernel = kernel
        self._node = node
        self._selector = f"{labels.NODE}={labels.label_value(node)}"

    async def users_of(
        self, name: InterfaceName, link: ObservedLink, *, plain: Sequence[DanmNet]
    ) -> Sequence[str]:
        """Return the users in words."""
        # A NetworkID may exist in several namespaces; their networks share the link.
        network = network_of_link(name)
        found = await self._api.list(DANMEPS, label_selector=self._selector)
        # Whatever else a DanmEp says, it uses the link.
        endpoints = [decode_endpoint_identity(raw) for raw in found.items]
        pods = sorted(
            f"Pod {endpoint.namespace}/{endpoint.pod}"
            for endpoint in endpoints
            # A label may be the hash of a long name, or another node's that is not honest.
            if endpoint.network == network and endpoint.node == self._node
        )
        children = await self._kernel.children(link.index)
        return [
            *pods,
            *(f"link {child}" for child in children),
            *(f"DanmNet {net.namespace}/{net.name} (its host_device)" for net in plain),
        ]
