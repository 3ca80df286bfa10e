"""Nodes as the API server sends them, and the model's. Pure."""

from typing import Any, Final

from danm_api.codec.meta import RawObject
from danm_api.model.node import Node
from danm_api.names import NodeName

_OUT_OF_SERVICE: Final = "node.kubernetes.io/out-of-service"


def decode_node(raw: RawObject) -> Node:
    """Turn a Node's JSON form into the model's.

    Raises:
        KeyError: The object has no name or uid, so it came from no API server.
    """
    spec: dict[str, Any] = raw.get("spec") or {}
    taints: list[dict[str, Any]] = spec.get("taints") or []
    return Node(
        name=NodeName(raw["metadata"]["name"]),
        uid=raw["metadata"]["uid"],
        out_of_service=any(taint.get("key") == _OUT_OF_SERVICE for taint in taints),
    )
