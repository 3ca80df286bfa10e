"""DanmNode on the wire."""

import pytest
from hypothesis import given

from danm_api.codec.danm_node import decode_danm_node, encode_danm_node
from danm_api.errors import InvalidObjectError
from danm_api.model.danm_node import DanmNode, NodeNetwork
from danm_api.names import Namespace, NetworkName, NodeName
from danm_api.testing.strategies import danm_nodes


@given(danm_nodes)
def test_a_node_survives_the_round_trip(node: DanmNode) -> None:
    """What one netwatcher wrote, its successor reads."""  # SPEC N6
    assert decode_danm_node(encode_danm_node(node)) == node


def test_the_columns_count_the_networks() -> None:
    """``kubectl get danmnodes`` shows how many networks a node serves."""  # SPEC N6
    networks = tuple(
        NodeNetwork(namespace=Namespace("a"), network=NetworkName(name), link="ens4", up=up)
        for name, up in (("x", True), ("y", False))
    )
    status = encode_danm_node(DanmNode(name=NodeName("n"), networks=networks))["status"]
    assert (status["up"], status["total"]) == (1, 2)


def test_a_node_without_status_has_no_networks() -> None:
    """An object that was created and not reported on yet decodes."""
    assert decode_danm_node({"metadata": {"name": "n"}}) == DanmNode(name=NodeName("n"))


def test_what_is_no_status_is_refused() -> None:
    """The error names the node."""
    with pytest.raises(InvalidObjectError, match="DanmNode n is unreadable"):
        decode_danm_node({"metadata": {"name": "n"}, "status": {"networks": [{}]}})
