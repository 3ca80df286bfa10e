"""What a node's links and its netwatcher's words look like, for the model. Pure."""

import msgspec

from tests.lab.chaos.controllers.facts import DanmEp, Metadata
from tests.lab.chaos.controllers.network_facts import DanmNet


class LinkData(msgspec.Struct, frozen=True, kw_only=True):
    """What iproute2 says of a tunnel."""

    id: int = 0
    group: str = ""
    local: str = ""
    link: str = ""
    port: int = 0
    learning: bool = False


class LinkInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What iproute2 says of a link's kind."""

    info_kind: str = ""
    info_data: LinkData = LinkData()


class LinkAddress(msgspec.Struct, frozen=True, kw_only=True):
    """An address of a link."""

    local: str = ""
    scope: str = ""


class HostLink(msgspec.Struct, frozen=True, kw_only=True):
    """A link, as ``ip -d -j addr show`` prints it."""

    ifindex: int
    ifname: str
    flags: tuple[str, ...] = ()
    mtu: int = 0
    group: str = "default"
    ifalias: str = ""
    linkinfo: LinkInfo = LinkInfo()
    addr_info: tuple[LinkAddress, ...] = ()


class NodeNetwork(msgspec.Struct, frozen=True, kw_only=True):
    """What a DanmNode says of a DanmNet."""

    namespace: str
    network: str
    up: bool
    reason: str = ""


class NodeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What a DanmNode says."""

    networks: tuple[NodeNetwork, ...] = ()


class DanmNode(msgspec.Struct, frozen=True, kw_only=True):
    """A DanmNode."""

    metadata: Metadata
    status: NodeStatus = NodeStatus()


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One node at one moment.

    Attributes:
        foreign: Links that others made at first and nobody changes.
    """

    name: str
    links: tuple[HostLink, ...] = ()
    foreign: tuple[HostLink, ...] = ()
    networks: tuple[DanmNet, ...] = ()
    interfaces: tuple[DanmEp, ...] = ()
    told: DanmNode | None = None
