"""Names and addresses of a lab (pure).

Every lab has the same ones: each lies in a network namespace of its own. All are of ranges for
benchmarks (198.18.0.0/15), so nothing real is ever meant.

    wire      control plane   node1           node2           what for
    eth0      198.18.0.1      198.18.0.11     198.18.0.12     API, kubelets, Pods' base network
    ens3      -               198.18.3.11     198.18.3.12     a wire for DANM, of nobody else
    ens4      -               198.18.4.11     198.18.4.12     another one
    Pods      -               198.18.65.0/24  198.18.66.0/24  the cluster's base network
"""

from dataclasses import dataclass
from typing import Final

NODE_COUNT: Final = 2
CONTROL_ADDRESS: Final = "198.18.0.1"
API_PORT: Final = 6443
AGENT_PORT: Final = 7000
ETCD_PORT: Final = 2379
ETCD_PEER_PORT: Final = 2380
POD_CIDR: Final = "198.18.64.0/18"
DNS_ADDRESS: Final = "198.19.0.10"
CLUSTER_DOMAIN: Final = "cluster.local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Nic:
    """One Ethernet interface of a node.

    Attributes:
        name: In the node.
        kernel_name: Which one it is for the guest's kernel: vec0, vec1, ...
        tap: The other end, in the lab's namespace.
        bridge: The wire that it hangs on.
        mac: Its MAC address.
        address: Its IPv4 address with prefix length.
    """

    name: str
    kernel_name: str
    tap: str
    bridge: str
    mac: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node of a lab: node1, node2."""

    index: int

    @property
    def name(self) -> str:
        """Its name in Kubernetes."""
        return f"node{self.index}"

    @property
    def address(self) -> str:
        """Where its kubelet and its agent are reached."""
        return f"198.18.0.{10 + self.index}"

    @property
    def pod_subnet(self) -> str:
        """The addresses of its Pods on the base network."""
        return f"198.18.{64 + self.index}.0/24"

    @property
    def nics(self) -> tuple[Nic, ...]:
        """Its interfaces, in the order in which its kernel counts them."""
        return tuple(
            Nic(
                name=name,
                kernel_name=f"vec{position}",
                tap=f"{self.name}-{name}",
                bridge=f"wire-{name}",
                mac=f"02:12:{third:02x}:00:00:{10 + self.index:02x}",
                address=f"198.18.{third}.{10 + self.index}/24",
            )
            for position, (name, third) in enumerate((("eth0", 0), ("ens3", 3), ("ens4", 4)))
        )


NODES: Final = tuple(Node(index=index) for index in range(1, NODE_COUNT + 1))


def node_named(text: str) -> Node | None:
    """Return the node that a person means with `1` or `node1`; None if there is none such."""
    return next((node for node in NODES if text in (node.name, str(node.index))), None)
