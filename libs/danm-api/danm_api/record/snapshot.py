"""What an examination compares: all that one look has seen, and indices over it. Pure."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from danm_api.model.danmep import DanmEp
from danm_api.model.danmnet import DanmNet, NetworkSpec
from danm_api.model.ip_block import Held, IPBlock, PodOwner
from danm_api.model.node import Node
from danm_api.model.pod import Pod
from danm_api.names import NetworkUid, NodeName, PodUid
from danm_api.record.entries import held_entries

# The kind of an ``Unreadable``.
_ENDPOINT: Final = "DanmEp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """An object that does not decode: nothing may be concluded from its absence."""

    kind: str
    namespace: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What one look has seen. Blocks are read first and Pods last.

    Attributes:
        now: What expiries are compared with.
    """

    now: datetime
    networks: tuple[DanmNet, ...] = ()
    blocks: tuple[IPBlock, ...] = ()
    endpoints: tuple[DanmEp, ...] = ()
    nodes: tuple[Node, ...] = ()
    pods: tuple[Pod, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One held address and its network, if that is known."""

    block: IPBlock
    held: Held
    net: DanmNet | None

    @property
    def spec(self) -> NetworkSpec | None:
        """The network's spec in force."""
        return None if self.net is None else self.net.status.applied


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A snapshot, indexed.

    Attributes:
        with_unreadable_endpoints: Namespaces in which no DanmEp can be said to be missing.
    """

    networks: Mapping[NetworkUid, DanmNet]
    by_name: Mapping[tuple[str, str], DanmNet]
    entries: tuple[Entry, ...]
    pods: Mapping[PodUid, Pod]
    endpoints: frozenset[tuple[str, str, str, str]]
    with_unreadable_endpoints: frozenset[str]
    in_service: frozenset[NodeName]
    held_by_pod: Mapping[tuple[str, str, str], list[Held]]

    @classmethod
    def of(cls, snapshot: Snapshot) -> "Facts":
        """Index a snapshot."""
        networks = {net.uid: net for net in snapshot.networks}
        entries = tuple(
            Entry(block=block, held=held, net=networks.get(block.network_uid))
            for block in snapshot.blocks
            for held in held_entries(block)
        )
        held: dict[tuple[str, str, str], list[Held]] = defaultdict(list)
        for entry in entries:
            owner = entry.held.owner
            if isinstance(owner, PodOwner):
                key = (entry.block.namespace, entry.block.network, owner.uid)
                held[key].append(entry.held)
        return cls(
            networks=networks,
            by_name={(net.namespace, net.name): net for net in snapshot.networks},
            entries=entries,
            pods={pod.runtime_uid: pod for pod in snapshot.pods},
            endpoints=frozenset(
                (each.namespace, each.network, each.pod_uid, each.interface.name)
                for each in snapshot.endpoints
            ),
            with_unreadable_endpoints=frozenset(
                each.namespace for each in snapshot.unreadable if each.kind == _ENDPOINT
            ),
            in_service=frozenset(node.name for node in snapshot.nodes if not node.out_of_service),
            held_by_pod=held,
        )

    def is_lost(self, node: NodeName) -> bool:
        """Say whether nothing runs on a node any more, by the rules of the nodes' fence."""
        return node not in self.in_service

    def lives_on(self, uid: PodUid, node: NodeName) -> bool:
        """Say whether a Pod may have interfaces on a node."""
        pod = self.pods.get(uid)
        return pod is not None and not pod.ended and pod.node == node
