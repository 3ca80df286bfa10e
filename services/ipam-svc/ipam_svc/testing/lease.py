"""What a Lease holder frees, beside a replica, one round at a time."""

from danm_api.kube.api import NODES
from danm_api.kube.events import EventRecorder
from danm_api.names import NodeName
from ipam_svc.announcer import Announcer
from ipam_svc.reclaim import Reclaimer
from ipam_svc.replica import Replica
from ipam_svc.testing.cluster import Cluster


class Lease:
    """A Lease holder beside a replica.

    Attributes:
        in_service: The nodes that its watch knows to be in service.
        reclaimer: What frees.
    """

    def __init__(self, cluster: Cluster, replica: Replica) -> None:
        """Lead, and know of one node, ``n1``."""
        self.in_service = ["n1"]
        self._announcer = Announcer(
            EventRecorder(
                cluster.kube,
                component="ipam-svc",
                instance="test",
                clock=cluster.clock.monotonic,
                now=cluster.clock.now,
            )
        )
        self.reclaimer = Reclaimer(
            cluster.kube,
            store=replica.store,
            ledger=replica.ledger,
            cache=replica.cache,
            taker=replica.taker,
            announcer=self._announcer,
            known_nodes=lambda: [NodeName(name) for name in self.in_service],
            now=cluster.clock.now,
            clock=cluster.clock.monotonic,
        )

    async def round(self) -> None:
        """Free what is dead by now, and tell of it."""
        await self.reclaimer.reconcile()
        await self._announcer.tell()


def add_node(cluster: Cluster, name: str, *, lost: bool = False) -> None:
    """Store a node; a lost one is declared out of service."""
    taints = [{"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}] if lost else []
    cluster.kube.add(NODES, {"metadata": {"name": name}, "spec": {"taints": taints}})
