"""Nodes from the API server."""

import pytest

from danm_api.codec.node import decode_node


@pytest.mark.parametrize(
    ("spec", "lost"),
    [
        pytest.param({}, False, id="no taint"),
        pytest.param({"taints": [{"key": "node.kubernetes.io/not-ready"}]}, False, id="not ready"),
        pytest.param(
            {"taints": [{"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}]},
            True,
            id="out of service",
        ),
    ],
)
def test_only_the_out_of_service_taint_says_that_a_node_is_lost(
    *, spec: dict[str, object], lost: bool
) -> None:
    """A node that is merely not ready may still have live interfaces."""
    # DESIGN, "Nodes fence"; P3
    node = decode_node({"metadata": {"name": "n1", "uid": "u1"}, "spec": spec})
    assert (node.name, node.uid, node.out_of_service) == ("n1", "u1", lost)
