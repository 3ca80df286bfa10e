"""The seam between ipam-svc and where the record is kept.

``ipam_svc.kube_store.KubeStore`` implements it on the Kubernetes API. Every method is one
consistent read or one guarded write.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from danm_api.model.danmnet import DanmNet
from danm_api.model.ip_block import IPBlock, UnreadableBlock
from danm_api.names import Namespace, NetworkName, NetworkUid

# A block that is known in this version of the object with this UID.
KnownBlock = Callable[[str, str], IPBlock | None]


def nothing_known(_uid: str, _resource_version: str) -> IPBlock | None:
    """Know no block: all are read as the API server has them."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockList:
    """A consistent list of a network's blocks; ``unreadable`` are those that do not decode."""

    blocks: tuple[IPBlock, ...]
    unreadable: tuple[UnreadableBlock, ...] = ()
    resource_version: str


class BlockStore(Protocol):
    """Blocks and the networks they belong to.

    Every method raises ApiUnavailableError when its outcome is not known.
    """

    async def read_block(self, namespace: Namespace, name: str) -> IPBlock | UnreadableBlock:
        """Read one block consistently.

        Raises:
            NotFoundError: There is no such block.
        """
        ...

    async def create_block(self, block: IPBlock) -> IPBlock:
        """Create a block and return it as stored.

        Raises:
            ConflictError: It exists already.
        """
        ...

    async def write_block(self, block: IPBlock) -> IPBlock:
        """Replace a block, guarded by its resource_version, and return it as stored.

        Raises:
            ConflictError: Somebody else wrote it first.
            NotFoundError: It is gone.
        """
        ...

    async def remove_block(self, block: IPBlock) -> None:
        """Delete a block that is empty, unless it was written since it was read.

        Whoever needs the addresses of a block that is going may do so too.

        Raises:
            ConflictError: Somebody else wrote it first.
            NotFoundError: It is gone.
        """
        ...

    async def list_blocks(
        self,
        namespace: Namespace,
        network_uid: NetworkUid,
        *,
        known: KnownBlock = nothing_known,
    ) -> BlockList:
        """Read all blocks of a network consistently; others get their turns meanwhile.

        Args:
            namespace: The network's.
            network_uid: The network.
            known: What need not be read again, where the list has the same version of it.
        """
        ...

    async def read_network(self, namespace: Namespace, name: NetworkName) -> DanmNet:
        """Read a DanmNet consistently.

        Raises:
            NetworkNotFoundError: There is no such DanmNet.
        """
        ...

    async def list_networks(self) -> list[DanmNet]:
        """Read all DanmNets consistently."""
        ...

    async def protect_network(self, net: DanmNet) -> None:
        """Make sure that a DanmNet has the finalizer that keeps it while it is in use (SPEC A5).

        Raises:
            NetworkNotFoundError: It is gone, or another one of its name.
            NetworkNotReadyError: It is being deleted.
        """
        ...
