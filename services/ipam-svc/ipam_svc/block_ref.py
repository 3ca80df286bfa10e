"""Which network, and which block of it: their names, whether they exist or not. Pure."""

from dataclasses import dataclass

from danm_api.codec.ip_block import block_name
from danm_api.model.addresses import IPAddress
from danm_api.model.danmnet import DanmNet
from danm_api.model.ip_block import IPBlock
from danm_api.names import Namespace, NetworkName, NetworkUid
from ipam_svc.address_space import Version, block_network, block_start, version_of


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


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRef:
    """A network whose blocks are looked at, whether its DanmNet still exists or not."""

    namespace: Namespace
    name: NetworkName
    uid: NetworkUid

    @classmethod
    def of(cls, net: DanmNet | IPBlock) -> "NetworkRef":
        """Return the network of an object."""
        if isinstance(net, IPBlock):
            return cls(namespace=net.namespace, name=net.network, uid=net.network_uid)
        return cls(namespace=net.namespace, name=net.name, uid=net.uid)

    def block_of(self, address: IPAddress) -> BlockRef:
        """Return the block that an address belongs to."""
        return self.block_at(version_of(address), block_start(int(address)))

    def block_at(self, version: Version, start: int) -> BlockRef:
        """Return the block that starts at a number."""
        return BlockRef(
            namespace=self.namespace,
            network=self.name,
            network_uid=self.uid,
            version=version,
            start=start,
        )

    def __str__(self) -> str:
        """Name it in a sentence."""
        return f"DanmNet {self.namespace}/{self.name}"
