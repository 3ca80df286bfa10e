"""DanmNode's JSON form."""

import pytest

from danm_api.codec.danmnode import decode_danmnode, encode_danmnode
from danm_api.errors import InvalidObjectError
from danm_api.model.danmnode import DanmNode, NetworkLink
from danm_api.names import InterfaceName, Namespace, NetworkName, NodeName

NODE = DanmNode(
    node=NodeName("node-1"),
    networks=(
        NetworkLink(
            namespace=Namespace("example-vnf"),
            network=NetworkName("external"),
            link=InterfaceName("external.300"),
            up=False,
            reason="host_device ens4 does not exist on this node",
        ),
        NetworkLink(
            namespace=Namespace("example-vnf"),
            network=NetworkName("management"),
            link=None,
            up=True,
        ),
    ),
    resource_version="7",
)


def test_a_node_survives_the_round_trip() -> None:
    """What one netwatcher wrote, its successor reads."""  # SPEC N6
    assert decode_danmnode(encode_danmnode(NODE)) == NODE


def test_the_columns_count_the_networks() -> None:
    """``kubectl get danmnodes`` can show how many networks a node serves."""  # SPEC N6
    status = encode_danmnode(NODE)["status"]
    assert (status["up"], status["total"]) == (1, 2)


def test_a_node_without_status_has_no_networks() -> None:
    """An object that was created and not yet reported on decodes."""
    assert decode_danmnode({"metadata": {"name": "node-1"}}).networks == ()


def test_a_foreign_object_is_named_as_such() -> None:
    """What nobody can read raises and does not look empty."""
    raw = {"metadata": {"name": "node-1"}, "status": {"networks": [{"name": "external"}]}}
    with pytest.raises(InvalidObjectError, match="delete it"):
        decode_danmnode(raw)
