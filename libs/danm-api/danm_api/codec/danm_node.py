"""The wire form of DanmNode (SPEC N6). Pure."""

from datetime import datetime
from typing import Any

import msgspec

from danm_api.codec.meta import RawObject, decode_metadata, encode_time
from danm_api.codec.values import UnreadableValueError, in_utc
from danm_api.errors import InvalidObjectError
from danm_api.model.danm_node import DanmNode, NodeNetwork
from danm_api.names import API_VERSION, Namespace, NetworkName, NodeName


class NodeNetworkWire(msgspec.Struct, frozen=True, kw_only=True):
    """One of ``status.networks``."""

    namespace: str
    network: str
    link: str = ""
    up: bool
    reason: str = ""


class NodeStatusWire(msgspec.Struct, frozen=True, kw_only=True):
    """``status``; ``up`` and ``total`` count the networks, for ``kubectl get``."""

    networks: tuple[NodeNetworkWire, ...] = ()
    up: int = 0
    total: int = 0
    updated: datetime | None = None


def decode_danm_node(raw: RawObject) -> DanmNode:
    """Read a DanmNode.

    Raises:
        InvalidObjectError: A value is of the wrong type, or no time.
    """
    metadata = decode_metadata(raw)
    try:
        wire = msgspec.convert(raw.get("status") or {}, NodeStatusWire)
        updated = None if wire.updated is None else in_utc(wire.updated)
    except (msgspec.ValidationError, UnreadableValueError) as error:
        raise InvalidObjectError(f"DanmNode {metadata.name} is unreadable: {error}") from error
    return DanmNode(
        name=NodeName(metadata.name),
        networks=tuple(
            NodeNetwork(
                namespace=Namespace(each.namespace),
                network=NetworkName(each.network),
                link=each.link,
                up=each.up,
                reason=each.reason,
            )
            for each in wire.networks
        ),
        updated=updated,
        resource_version=metadata.resource_version,
    )


def encode_danm_node(node: DanmNode) -> RawObject:
    """Return the wire form; the status takes effect only through its subresource."""
    metadata: dict[str, Any] = {"name": node.name}
    if node.resource_version:
        metadata["resourceVersion"] = node.resource_version
    status: dict[str, Any] = {
        "networks": [_encode_network(each) for each in node.networks],
        "up": sum(each.up for each in node.networks),
        "total": len(node.networks),
    }
    if node.updated is not None:
        status["updated"] = encode_time(node.updated)
    return {
        "apiVersion": API_VERSION,
        "kind": "DanmNode",
        "metadata": metadata,
        "status": status,
    }


def encode_danm_node_of(node: DanmNode, *, node_uid: str) -> RawObject:
    """Return the wire form of an object that goes when its Node is removed from the cluster."""
    raw = encode_danm_node(node)
    raw["metadata"]["ownerReferences"] = [
        {"apiVersion": "v1", "kind": "Node", "name": node.name, "uid": node_uid}
    ]
    return raw


def encode_danm_node_status(node: DanmNode) -> dict[str, Any]:
    """Return the merge patch of the status subresource: lists are replaced as a whole."""
    return {"status": encode_danm_node(node)["status"]}


def _encode_network(network: NodeNetwork) -> dict[str, Any]:
    wire: dict[str, Any] = {
        "namespace": network.namespace,
        "network": network.network,
        "link": network.link,
        "up": network.up,
        "reason": network.reason,
    }
    return {key: value for key, value in wire.items() if value != ""}
