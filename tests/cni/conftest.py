"""A node for each module, and no sandbox of one test in the next."""

from collections.abc import Iterator

import pytest

from tests.cni.node import CniNode, a_cni_node


@pytest.fixture(scope="module")
def module_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CniNode]:
    """Have a node in a network of its own."""
    with a_cni_node(tmp_path_factory.mktemp("node")) as made:
        yield made


@pytest.fixture()
def node(module_node: CniNode) -> Iterator[CniNode]:
    """Have a node without sandboxes."""
    yield module_node
    module_node.clear()
