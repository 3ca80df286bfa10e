"""Who uses a DanmNet, read consistently: its blocks' entries and its DanmEps.

Both lists go by label, so they cost what the network is, and they are read only when an edit
depends on the answer (SPEC N5).
"""

from typing import Protocol

from danm_api import labels
from danm_api.codec.danmep import decode_danmep
from danm_api.codec.ip_block import decode_ip_block
from danm_api.kube.api import DANMEPS, DANMIPBLOCKS, KubeApi
from danm_api.model.danmnet import DanmNet
from danm_api.model.ip_block import ContainerOwner, ExternalOwner, Held, Owner, PodOwner
from netwatcher.applied import NetworkUse

_CONTAINER_ID_SHOWN = 12


class UseReader(Protocol):
    """Finds out who uses a network."""

    async def use_of(self, net: DanmNet) -> NetworkUse:
        """Return who uses a network now.

        Raises:
            DanmError: Nobody can tell now; what depends on it has to wait.
        """
        ...


class ClusterUseReader:
    """Asks the API server."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api

    async def use_of(self, net: DanmNet) -> NetworkUse:
        """Return who uses a network now."""
        blocks = await self._api.list(
            DANMIPBLOCKS,
            namespace=net.namespace,
            label_selector=f"{labels.NETWORK_UID}={net.uid}",
        )
        endpoints = await self._api.list(
            DANMEPS,
            namespace=net.namespace,
            label_selector=f"{labels.NETWORK}={labels.label_value(net.name)}",
        )
        return NetworkUse(
            interfaces=tuple(
                f"Pod {endpoint.namespace}/{endpoint.pod}"
                for endpoint in map(decode_danmep, endpoints.items)
                # A label may be the hash of a long name.
                if endpoint.network == net.name
            ),
            holders={
                entry.address: _in_words(entry.owner)
                for block in map(decode_ip_block, blocks.items)
                for entry in block.entries
                if isinstance(entry, Held)
            },
        )


def _in_words(owner: Owner) -> str:
    match owner:
        case PodOwner(namespace=namespace, name=name):
            return f"Pod {namespace}/{name}"
        case ContainerOwner(container_id=container_id):
            return f"container {container_id[:_CONTAINER_ID_SHOWN]}"
        case ExternalOwner(name=name):
            return f"external owner {name}"
