"""Two real network namespaces: a node's and a Pod's. They need root."""

import asyncio
import os
import subprocess
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import uuid4

from pyroute2 import IPRoute

from danm_cni.kernel import KernelInterfaces
from danm_cni.netns import enter_netns, open_netns

T = TypeVar("T")

ROOT: Final = Path("/")


@dataclass(frozen=True, kw_only=True)
class World:
    """Two namespaces: a node with a link ``parent0`` and a peer ``peer0``, and a Pod."""

    node: str
    pod: str

    @property
    def pod_path(self) -> str:
        """Return the Pod's namespace as a runtime names it."""
        return f"/var/run/netns/{self.pod}"

    def on_node(self, work: Callable[[KernelInterfaces], Coroutine[Any, Any, T]]) -> T:
        """Run danmd's kernel work as on that node: threads inherit their maker's namespace."""
        return in_netns(self.node, lambda: asyncio.run(work(KernelInterfaces(host_root=ROOT))))

    def in_pod(self, look: Callable[[Any], T]) -> T:
        """Look at the Pod's namespace."""

        def body() -> T:
            with IPRoute() as netlink:
                return look(netlink)

        return in_netns(self.pod, body)


def in_netns(name: str, work: Callable[[], T]) -> T:
    """Do something in a named namespace, in a thread of its own."""
    outcome: list[T | BaseException] = []

    def body() -> None:
        try:
            descriptor = open_netns(ROOT, f"/run/netns/{name}")
            try:
                enter_netns(descriptor)
            finally:
                os.close(descriptor)
            outcome.append(work())
        except BaseException as error:  # noqa: BLE001  (raised below)
            outcome.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    (result,) = outcome
    if isinstance(result, BaseException):
        raise result
    return result


def ip(*arguments: str) -> None:
    """Call iproute2."""
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@contextmanager
def a_world() -> Iterator[World]:
    """Make the two namespaces, and remove them."""
    tag = uuid4().hex[:8]
    made = World(node=f"danm-node-{tag}", pod=f"danm-pod-{tag}")
    try:
        for name in (made.node, made.pod):
            ip("netns", "add", name)
        peer = ("peer", "name", "peer0")
        ip("-n", made.node, "link", "add", "parent0", "mtu", "1400", "type", "veth", *peer)
        for link in ("parent0", "peer0"):
            ip("-n", made.node, "link", "set", link, "up")
        yield made
    finally:
        for name in (made.node, made.pod):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
