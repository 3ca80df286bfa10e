"""The lab's world for the comparison, from what kubectl and the nodes tell. Pure."""

import json
from collections.abc import Mapping, Sequence
from ipaddress import ip_interface
from typing import Any, Final

import msgspec

from tests.lab.chaos.cni.facts import LivingPod, NodeView, Wanted, World
from tests.lab.chaos.cni.objects import (
    STATUS_ANNOTATION,
    endpoint_of,
    entries_of,
    told_addresses,
)

SHAPE_LABEL: Final = "chaos-shape"
BRIDGE: Final = "cbr0"
_GATEWAY, _GATEWAY6, _OTHER = "10.93.0.1", "2001:db8:93::1", "10.94.0.1"
NAMESPACE: Final = "chaos-cni"

# Each shape's interfaces, and what its annotation asks for. Nodes have an eth0 of their own, so an
# IPVLAN interface of that name gets it only in the Pod's namespace.
SHAPES: Final[Mapping[str, tuple[Wanted, ...]]] = {
    "vlan": (
        Wanted(
            name="eth0",
            network="vlan",
            families=(4, 6),
            routes=(("203.0.113.0/24", _GATEWAY, "330"), ("2001:db8:2::/64", _GATEWAY6, "330")),
        ),
        Wanted(
            name="mac0",
            network="mac",
            routes=(("198.51.100.0/24", _OTHER, "main"),),
        ),
    ),
    "static": (
        Wanted(name="eth0", network="mgmt", from_ipam=False, bridge=BRIDGE),
        Wanted(
            name="ext0",
            network="ext",
            routes=(("203.0.113.0/24", "10.95.0.1", "331"),),
        ),
    ),
    "plain": (Wanted(name="eth0", network="", from_ipam=False, bridge=BRIDGE),),
}
ANNOTATIONS: Final[Mapping[str, Sequence[Mapping[str, Any]]]] = {
    "vlan": (
        {
            "network": "vlan",
            "ip": "dynamic",
            "ip6": "dynamic",
            "proutes": {"203.0.113.0/24": _GATEWAY},
            "proutes6": {"2001:db8:2::/64": _GATEWAY6},
        },
        {"network": "mac", "ip": "dynamic"},
    ),
    "static": (
        {"network": "mgmt", "ip": "dynamic"},
        {"network": "ext", "ip": "dynamic", "proutes": {"203.0.113.0/24": "10.95.0.1"}},
    ),
    "plain": (),
}
NETWORKS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "vlan": (
        "ipvlan",
        {
            "host_device": "ens4",
            "vlan": 330,
            "rt_tables": 330,
            "cidr": "10.93.0.0/22",
            "net6": "2001:db8:93::/64",
            "allocation_pool6": {"start": "2001:db8:93::10", "end": "2001:db8:93::ffff"},
        },
    ),
    "ext": (
        "ipvlan",
        {
            "host_device": "ens4",
            "vlan": 331,
            "rt_tables": 331,
            "cidr": "10.95.0.0/22",
            "container_prefix": "ext0",
        },
    ),
    "mac": (
        "macvlan",
        {
            "host_device": "ens3",
            "cidr": "10.94.0.0/22",
            "container_prefix": "mac0",
            "routes": {"198.51.100.0/24": _OTHER},
        },
    ),
    "mgmt": ("flannel", {}),
}


def lab_world(
    *,
    pods: Sequence[Mapping[str, Any]],
    endpoints: Sequence[dict[str, Any]],
    blocks: Sequence[dict[str, Any]],
    nodes: Sequence[NodeView],
    own_links: Mapping[str, frozenset[str]],
) -> World:
    """Return the world.

    Args:
        pods: All of the cluster.
        endpoints: DanmEps of the run's namespace.
        blocks: DanmIPBlocks of the same.
        nodes: What they have.
        own_links: Links of each that are no Pod's.
    """
    return World(
        pods=[living(raw) for raw in pods if raw["metadata"]["namespace"] == NAMESPACE],
        nodes=[without_others(node, pods) for node in nodes],
        endpoints=[endpoint_of(raw) for raw in endpoints],
        entries=[entry for raw in blocks for entry in entries_of(raw)],
        own_links=own_links,
    )


def living(raw: Mapping[str, Any]) -> LivingPod:
    """Return what is wanted for a Pod of the run."""
    meta = raw["metadata"]
    return LivingPod(
        name=meta["name"],
        uid=meta["uid"],
        node=raw["spec"]["nodeName"],
        wanted=SHAPES[meta["labels"][SHAPE_LABEL]],
        annotation=told_addresses(meta.get("annotations", {}).get(STATUS_ANNOTATION, "")),
    )


def without_others(node: NodeView, pods: Sequence[Mapping[str, Any]]) -> NodeView:
    """Return a node's view without what explains itself by Pods that are not the run's.

    They are of before DANM, or of other namespaces: one port of the base network's bridge, one
    reservation and one namespace for each, and a record where danmd has made it.
    """
    others = [
        raw
        for raw in pods
        if raw["metadata"]["namespace"] != NAMESPACE
        and raw["spec"].get("nodeName") == node.node
        and not raw["spec"].get("hostNetwork")
        and raw["status"].get("podIP")
    ]
    addresses = {raw["status"]["podIP"] for raw in others}
    uids = {raw["metadata"]["uid"] for raw in others}
    ports = [link for link in node.host.links if link.bridge == BRIDGE]
    dropped = {link.name for link in ports[: len(others)]}
    return msgspec.structs.replace(
        node,
        host=msgspec.structs.replace(
            node.host, links=tuple(link for link in node.host.links if link.name not in dropped)
        ),
        namespaces={
            path: netns
            for path, netns in node.namespaces.items()
            if not any(
                str(ip_interface(text).ip) in addresses
                for link in netns.links
                for text in link.addresses
            )
        },
        journal={
            name: record
            for name, record in node.journal.items()
            if record is None or record["pod_uid"] not in uids
        },
        host_local={
            file: content
            for file, content in node.host_local.items()
            if file.rpartition("/")[2] not in addresses
        },
    )


def own_links_of(node: NodeView) -> frozenset[str]:
    """Return the links that a node has whatever Pods it has; those of Pods are veths."""
    return frozenset(link.name for link in node.host.links if link.kind != "veth")


def pod_object(name: str, *, node: str, shape: str, image: str) -> dict[str, Any]:
    """Return a Pod that sleeps."""
    annotations = {}
    if ANNOTATIONS[shape]:
        annotations["danm.k8s.io/interfaces"] = json.dumps(ANNOTATIONS[shape])
    sleeper = {
        "name": "sleeper",
        "image": image,
        "command": ["python3", "-c", "import signal; signal.pause()"],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": {SHAPE_LABEL: shape},
            "annotations": annotations,
        },
        "spec": {
            "nodeName": node,
            "containers": [sleeper],
            "terminationGracePeriodSeconds": 1,
            # A node that is away for a while keeps its Pods.
            "tolerations": [{"operator": "Exists"}],
        },
    }


def network_object(name: str) -> dict[str, Any]:
    """Return a DanmNet of the run."""
    network_type, options = NETWORKS[name]
    return {
        "apiVersion": "danm.k8s.io/v1",
        "kind": "DanmNet",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"NetworkID": name, "NetworkType": network_type, "Options": dict(options)},
    }
