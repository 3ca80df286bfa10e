"""A network namespace of one's own, so that nothing of the machine's network is touched."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from danm_cni.netns import enter_netns
from tests.lab.system import program


def ip(*arguments: str) -> None:
    """Run iproute2.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    subprocess.run([program("ip"), *arguments], check=True, capture_output=True)


@contextmanager
def own_network(prefix: str) -> Iterator[None]:
    """Move this thread, and what it starts, into a new network namespace for the block.

    Its name begins with ``prefix``, and it has a loopback interface that is up.
    """
    name = f"{prefix}-{uuid4().hex[:8]}"
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    ip("netns", "add", name)
    try:
        inside = os.open(f"/var/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)
        enter_netns(inside)
        os.close(inside)
        ip("link", "set", "lo", "up")
        yield
    finally:
        enter_netns(before)
        os.close(before)
        ip("netns", "del", name)
