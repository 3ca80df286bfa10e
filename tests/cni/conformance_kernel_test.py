"""All versions and verbs with the built-in IPVLAN, which a guest's kernel has: `./lab guest`."""

import pytest

from tests.cni import grid
from tests.cni.node import CniNode
from tests.cni.strict import read_error, read_result
from tests.cni.table import IN_A_GUEST, VERSIONS, Backend, Kind, has, rows
from tests.cni.tool import cnitool, known_to_cnitool
from tests.lab.own_network import ip

IPVLAN = Backend(kind=Kind.IPVLAN, families="dual")


@rows("ADD", IN_A_GUEST)
def test_add(node: CniNode, version: str, backend: Backend) -> None:
    """ADD makes the interface, tells it in the version asked for, and again when asked again."""
    # SPEC C2, C3, C5, D1
    grid.play_add(node, version, backend)


@rows("DEL", IN_A_GUEST)
def test_del(node: CniNode, version: str, backend: Backend) -> None:
    """DEL removes everything, may be repeated, and prints nothing."""  # SPEC C4
    grid.play_del(node, version, backend)


@rows("CHECK", IN_A_GUEST)
def test_check(node: CniNode, version: str, backend: Backend) -> None:
    """CHECK is content after an ADD; before 0.4.0 there is none."""  # SPEC C6
    grid.play_check(node, version, backend)


@rows("GC", IN_A_GUEST)
def test_gc(node: CniNode, version: str, backend: Backend) -> None:
    """GC keeps what is listed and nothing else; before 1.1.0 there is none."""  # SPEC C6
    grid.play_gc(node, version, backend)


@rows("STATUS", IN_A_GUEST)
def test_status(node: CniNode, version: str, backend: Backend) -> None:
    """STATUS is good while danmd serves; before 1.1.0 there is none."""  # SPEC C6
    grid.play_status(node, version, backend)


@rows("VERSION", IN_A_GUEST)
def test_version(node: CniNode, version: str, backend: Backend) -> None:
    """VERSION lists the seven versions, whichever the question is in."""  # SPEC C2
    grid.play_version(node, version, backend)


@grid.damages([IPVLAN])
def test_check_finds_damage(node: CniNode, version: str, backend: Backend, damage: str) -> None:
    """CHECK is an error when an interface, its addresses or its routes are gone."""  # SPEC C6
    grid.play_damage(node, version, backend, damage)


@pytest.mark.parametrize("version", VERSIONS)
def test_del_without_a_namespace(node: CniNode, version: str) -> None:
    """DEL succeeds and frees everything although the network namespace is gone."""  # SPEC C4
    grid.play_lost_namespace(node, version, IPVLAN)


@pytest.mark.parametrize("version", VERSIONS)
def test_add_where_the_interface_is_there(node: CniNode, version: str) -> None:
    """ADD is an error when the Pod has an interface of that name, and nothing is kept of it."""
    sandbox = node.sandbox(IPVLAN)
    ip("-n", sandbox.namespace, "link", "add", "eth0", "type", "bridge")
    read_error(node.call("ADD", sandbox, version), version, code=104, names=["eth0"])
    grid.expect_nothing_left(node, sandbox)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_life_by_cnitool(node: CniNode, version: str) -> None:
    """Add, check, status and del, each as libcni has it in that version."""  # SPEC C2
    sandbox = known_to_cnitool(node.sandbox(IPVLAN))
    configuration = {"cniVersion": version, "name": "danm", "plugins": [{"type": "danm"}]}
    added = cnitool(node, "add", sandbox, configuration)
    read_result(added.outcome, version, netns=sandbox.netns)
    if has(version, "CHECK"):
        cnitool(node, "check", sandbox, configuration).expect_success()
    cnitool(node, "status", sandbox, configuration).expect_success()
    node.end_pod(sandbox)
    cnitool(node, "del", sandbox, configuration).expect_success()
    grid.expect_nothing_left(node, sandbox)
