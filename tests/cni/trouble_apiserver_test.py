"""Sandboxes that are damaged, gone, or were never there, with every backend.

It needs root and the reference plugins, as the tests with an API server do, and runs with them.
"""

import pytest

from tests.cni import grid
from tests.cni.node import CniNode
from tests.cni.strict import read_error, read_nothing
from tests.cni.table import (
    ON_THIS_KERNEL,
    VERSIONS,
    Backend,
    Kind,
    static_file,
    versions_with,
)
from tests.lab.own_network import ip

FALLBACK = Backend(kind=Kind.FALLBACK, families="dual")
DUAL = [backend for backend in ON_THIS_KERNEL if backend.families == "dual"]


@grid.damages(DUAL)
def test_check_finds_damage(node: CniNode, version: str, backend: Backend, damage: str) -> None:
    """CHECK is an error when an interface, its addresses or its routes are gone."""  # SPEC C6
    grid.play_damage(node, version, backend, damage)


@pytest.mark.parametrize("backend", DUAL, ids=str)
@pytest.mark.parametrize("version", VERSIONS)
def test_del_without_a_namespace(node: CniNode, version: str, backend: Backend) -> None:
    """DEL succeeds and frees everything although the network namespace is gone."""  # SPEC C4
    grid.play_lost_namespace(node, version, backend)


@pytest.mark.parametrize("fallback", [True, False], ids=["fallback", "no-fallback"])
@pytest.mark.parametrize("version", VERSIONS)
def test_del_of_what_was_never_added(node: CniNode, version: str, *, fallback: bool) -> None:
    """DEL of an unknown container is a success without a word."""  # SPEC C4
    file, content = static_file(FALLBACK, node.directory / "plugins")
    (node.configurations / file).unlink(missing_ok=True)
    if fallback:
        # Its plugins are asked: the container may be of the time before DANM.
        node.write_configuration(file, content)
    sandbox = node.sandbox(DUAL[0])
    read_nothing(node.call("DEL", sandbox, version))
    assert node.leftovers(sandbox) == {}


@pytest.mark.parametrize("backend", DUAL, ids=str)
@pytest.mark.parametrize("version", versions_with("CHECK"))
def test_check_of_what_was_never_added(node: CniNode, version: str, backend: Backend) -> None:
    """CHECK of an unknown container, or of one that is deleted, is the specification's error 3."""
    never = node.sandbox(backend)
    read_error(node.call("CHECK", never, version), version, code=3, names=[never.container_id])
    sandbox, result = grid.add(node, version, backend)
    node.end_pod(sandbox)
    read_nothing(node.call("DEL", sandbox, version))
    deleted = node.call("CHECK", sandbox, version, more={"prevResult": result})
    read_error(deleted, version, code=3, names=[sandbox.container_id])


@pytest.mark.parametrize("backend", DUAL, ids=str)
@pytest.mark.parametrize("version", VERSIONS)
def test_add_where_the_interface_is_there(node: CniNode, version: str, backend: Backend) -> None:
    """ADD is an error when the Pod has an interface of that name, and nothing is kept of it."""
    sandbox = node.sandbox(backend)
    ip("-n", sandbox.namespace, "link", "add", "eth0", "type", "bridge")
    # A reference plugin's own code passes through.
    code = 999 if backend.is_static else 104
    read_error(node.call("ADD", sandbox, version), version, code=code)
    sandbox.remove()
    sandbox.create()
    grid.expect_nothing_left(node, sandbox)
