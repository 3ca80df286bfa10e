"""What a node finds in its directory when it boots: configuration and credentials."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.lab.images import PAUSE
from tests.lab.pki import Authority, write_kubeconfig
from tests.lab.topology import (
    AGENT_PORT,
    CLUSTER_DOMAIN,
    CONTROL_ADDRESS,
    DNS_ADDRESS,
    NODES,
    POD_CIDR,
    Node,
)

_CONTAINERD_SOCKET: Final = "/run/containerd/containerd.sock"
_CONTAINERD: Final = f"""\
version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
address = "{_CONTAINERD_SOCKET}"
[plugins.'io.containerd.cri.v1.images']
snapshotter = "overlayfs"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "{PAUSE}"
[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ["/opt/cni/bin"]
conf_dir = "/etc/cni/net.d"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePrograms:
    """Directories of this machine that a node uses as they are."""

    kubernetes: Path
    containerd: Path
    cni_plugins: Path
    image_store: Path
    python: str


def write_node_files(
    directory: Path,
    node: Node,
    *,
    authority: Authority,
    server: str,
    agent_token: str,
) -> None:
    """Write a node's configuration and credentials into its directory."""
    serving = authority.server(f"{node.name}-serving", [node.address, node.name])
    write_kubeconfig(
        directory / "kubelet.kubeconfig",
        server=server,
        authority=authority.certificate,
        credential=authority.client(
            f"{node.name}-kubelet", f"system:node:{node.name}", "system:nodes"
        ),
    )
    write_kubeconfig(
        directory / "kube-proxy.kubeconfig",
        server=server,
        authority=authority.certificate,
        credential=authority.client(f"{node.name}-kube-proxy", "system:kube-proxy"),
    )
    documents: dict[str, object] = {
        "kubelet.yaml": _kubelet(authority, serving.certificate, serving.key),
        "kube-proxy.yaml": _kube_proxy(directory, node),
        "flannel.conf": base_network(node),
        "agent.json": {"address": node.address, "port": AGENT_PORT, "token": agent_token},
    }
    for name, document in documents.items():
        path = directory / name
        path.touch(mode=0o600)
        path.write_text(json.dumps(document, indent=1))
    (directory / "containerd.toml").write_text(_CONTAINERD)


def node_environment(node: Node, programs: NodePrograms) -> Mapping[str, str]:
    """Return the variables of a node's scripts."""
    others = [other for other in NODES if other != node]
    # The control plane is reached on the wire itself, and leads nowhere else.
    routes = [f"{other.pod_subnet},{other.address}" for other in others]
    routes.append(f"default,{CONTROL_ADDRESS}")
    return {
        "LAB_MODE": "node",
        "LAB_NODE": node.name,
        "LAB_ADDRESS": node.address,
        "LAB_MACHINE_ID": f"{node.index:032x}",
        "LAB_NICS": " ".join(f"{nic.kernel_name},{nic.name},{nic.address}" for nic in node.nics),
        "LAB_ROUTES": " ".join(routes),
        "LAB_PYTHON": programs.python,
        "LAB_KUBERNETES": str(programs.kubernetes),
        "LAB_CONTAINERD": str(programs.containerd),
        "LAB_CNI_PLUGINS": str(programs.cni_plugins),
        "LAB_IMAGE_STORE": str(programs.image_store),
    }


def base_network(node: Node) -> dict[str, object]:
    """Return the CNI configuration of the cluster's base network on a node.

    Named flannel and laid out as flannel's host-gw mode does it: a bridge and a subnet on each
    node, routes between the nodes. It is the only configuration of the node, so Pods get it
    unless something else is installed.
    """
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": node.pod_subnet}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    return {
        "cniVersion": "1.0.0",
        "name": "cbr0",
        "type": "bridge",
        "bridge": "cbr0",
        "isGateway": True,
        "hairpinMode": True,
        "ipam": ipam,
    }


def _kubelet(authority: Authority, certificate: Path, key: Path) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(authority.certificate)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(certificate),
        "tlsPrivateKeyFile": str(key),
        "containerRuntimeEndpoint": f"unix://{_CONTAINERD_SOCKET}",
        "cgroupDriver": "cgroupfs",
        "failSwapOn": False,
        "clusterDNS": [DNS_ADDRESS],
        "clusterDomain": CLUSTER_DOMAIN,
        "resolvConf": "/run/lab/resolv.conf",
        # The guest's file systems are this machine's, whose fill nobody here should mind.
        "evictionHard": {
            "memory.available": "0%",
            "nodefs.available": "0%",
            "nodefs.inodesFree": "0%",
            "imagefs.available": "0%",
            "imagefs.inodesFree": "0%",
        },
        "imageGCHighThresholdPercent": 100,
        "maxPods": 250,
        "serializeImagePulls": False,
        "registryPullQPS": 0,
        # A guest has one slow CPU; what is asked for is what a test creates.
        "kubeAPIQPS": 100,
        "kubeAPIBurst": 200,
        "nodeStatusUpdateFrequency": "5s",
        "syncFrequency": "20s",
        "shutdownGracePeriod": "0s",
    }


def _kube_proxy(directory: Path, node: Node) -> dict[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "hostnameOverride": node.name,
        "clusterCIDR": POD_CIDR,
        "clientConnection": {"kubeconfig": str(directory / "kube-proxy.kubeconfig")},
        # These kernel settings do not exist in a guest's namespace or need not be touched.
        "conntrack": {"maxPerCore": 0, "min": 0},
        # Services follow at once; a lab has few of them.
        "iptables": {"minSyncPeriod": "100ms", "syncPeriod": "30s"},
    }
