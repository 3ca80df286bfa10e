"""DanmNode in its JSON form. Pure.

``status.networks`` is a list of ``{namespace, name, link, up, reason}``; ``status.up`` and
``status.total`` count them for the printer columns.
"""

from typing import Any

from danm_api.errors import InvalidObjectError
from danm_api.kube.api import DANMNODES, RawObject
from danm_api.model.danmnode import DanmNode, NetworkLink
from danm_api.names import InterfaceName, Namespace, NetworkName, NodeName


def decode_danmnode(raw: RawObject) -> DanmNode:
    """Return the node's state; a node that has reported nothing yet has no networks.

    Raises:
        InvalidObjectError: The object is no DanmNode that netwatcher wrote.
    """
    try:
        metadata = raw["metadata"]
        entries = raw.get("status", {}).get("networks", [])
        return DanmNode(
            node=NodeName(metadata["name"]),
            networks=tuple(_decode_network(entry) for entry in entries),
            resource_version=metadata.get("resourceVersion", ""),
        )
    except (AttributeError, KeyError, TypeError) as error:
        reason = f"this is no DanmNode that netwatcher wrote: {error!r}; delete it, it is made anew"
        raise InvalidObjectError(reason) from error


def encode_danmnode(node: DanmNode) -> RawObject:
    """Return the object as it is created; its ``status`` has to be written as a subresource."""
    metadata: dict[str, Any] = {"name": node.node}
    if node.resource_version:
        metadata["resourceVersion"] = node.resource_version
    return {
        "apiVersion": DANMNODES.api_version,
        "kind": DANMNODES.kind,
        "metadata": metadata,
        "status": {
            "networks": [_encode_network(network) for network in node.networks],
            "up": sum(network.up for network in node.networks),
            "total": len(node.networks),
        },
    }


def _decode_network(entry: dict[str, Any]) -> NetworkLink:
    link = entry.get("link")
    return NetworkLink(
        namespace=Namespace(entry["namespace"]),
        network=NetworkName(entry["name"]),
        link=None if link is None else InterfaceName(link),
        up=bool(entry["up"]),
        reason=entry.get("reason", ""),
    )


def _encode_network(network: NetworkLink) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "namespace": network.namespace,
        "name": network.network,
        "up": network.up,
    }
    if network.link is not None:
        entry["link"] = network.link
    if network.reason:
        entry["reason"] = network.reason
    return entry
