"""Which block of a network: its name, whether it exists or not. Pure."""

from dataclasses import dataclass

from danm_api.codec.ip_block import block_name
from danm_api.model.ip_block import IPBlock
from danm_api.names import Namespace, NetworkName, NetworkUid
from ipam_svc.address_space import Version, block_network


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockRef:
    """Which block, whether it exists or not."""

    namespace: Namespace
    network: NetworkName
    network_uid: NetworkUid
    version: Version
    start: int

    @property
    def family(self) -> tuple[NetworkUid, Version]:
        """Return what the blocks of one family of a network have in common."""
        return self.network_uid, self.version

    @property
    def name(self) -> str:
        """Return the object's name."""
        return block_name(self.network_uid, block_network(self.version, self.start))

    def new_block(self) -> IPBlock:
        """Return the block as it is before it is created."""
        return IPBlock(
            namespace=self.namespace,
            name=self.name,
            network=self.network,
            network_uid=self.network_uid,
            cidr=block_network(self.version, self.start),
        )
