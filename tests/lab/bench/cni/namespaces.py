"""Network namespaces that stand for containers, and the links of the node. Needs root."""

import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

from tests.lab.bench.cni.networks import PARENT
from tests.lab.errors import StartError
from tests.lab.system import program


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """A container, as its runtime names it."""

    container_id: str
    netns: str

    @property
    def path(self) -> str:
        """Path of its network namespace."""
        return f"/var/run/netns/{self.netns}"


def ip(lines: Iterable[str]) -> None:
    """Run several commands of iproute2 in one process.

    Raises:
        StartError: One of them failed.
    """
    done = subprocess.run(
        [program("ip"), "-batch", "-"],
        input="\n".join(lines),
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        raise StartError(f"`ip -batch` failed: {done.stderr.strip()}")


@contextmanager
def parent_link() -> Iterator[None]:
    """Have the parent of all macvlan and IPVLAN interfaces in the present network namespace."""
    ip(
        [
            f"link add name {PARENT} type veth peer name up1",
            f"link set {PARENT} up",
            "link set up1 up",
        ]
    )
    try:
        yield
    finally:
        ip([f"link del {PARENT}"])


def set_up_loopback(address: str) -> None:
    """Have the loopback interface of the present network namespace up, with one more address."""
    ip(["link set lo up", f"addr add {address}/32 dev lo"])


@contextmanager
def sandboxes(count: int) -> Iterator[list[Sandbox]]:
    """Have so many sandboxes without any interface, for the block."""
    made = [
        Sandbox(container_id=uuid4().hex * 2, netns=f"danm-bench-{uuid4().hex[:12]}")
        for _ in range(count)
    ]
    ip(f"netns add {each.netns}" for each in made)
    try:
        yield made
    finally:
        ip(f"netns del {each.netns}" for each in made)
