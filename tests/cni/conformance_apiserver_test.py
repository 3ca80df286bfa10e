"""All versions and verbs with every backend that this machine's kernel has.

It needs root and the reference plugins, as the tests with an API server do, and runs with them.
"""

from tests.cni import grid
from tests.cni.node import CniNode
from tests.cni.table import ON_THIS_KERNEL, Backend, rows


@rows("ADD", ON_THIS_KERNEL)
def test_add(node: CniNode, version: str, backend: Backend) -> None:
    """ADD makes the interface, tells it in the version asked for, and again when asked again."""
    # SPEC C2, C3, C5
    grid.play_add(node, version, backend)


@rows("DEL", ON_THIS_KERNEL)
def test_del(node: CniNode, version: str, backend: Backend) -> None:
    """DEL removes everything, may be repeated, and prints nothing."""  # SPEC C4
    grid.play_del(node, version, backend)


@rows("CHECK", ON_THIS_KERNEL)
def test_check(node: CniNode, version: str, backend: Backend) -> None:
    """CHECK is content after an ADD; before 0.4.0 there is none."""  # SPEC C6
    grid.play_check(node, version, backend)


@rows("GC", ON_THIS_KERNEL)
def test_gc(node: CniNode, version: str, backend: Backend) -> None:
    """GC keeps what is listed and nothing else; before 1.1.0 there is none."""  # SPEC C6
    grid.play_gc(node, version, backend)


@rows("STATUS", ON_THIS_KERNEL)
def test_status(node: CniNode, version: str, backend: Backend) -> None:
    """STATUS is good while danmd serves; before 1.1.0 there is none."""  # SPEC C6
    grid.play_status(node, version, backend)


@rows("VERSION", ON_THIS_KERNEL)
def test_version(node: CniNode, version: str, backend: Backend) -> None:
    """VERSION lists the seven versions, whichever the question is in."""  # SPEC C2
    grid.play_version(node, version, backend)
