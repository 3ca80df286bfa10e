"""A network namespace of one's own, so that nothing of the machine's network is touched."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from uuid import uuid4

from danm_cni.netns import enter_netns
from tests.lab.errors import StartError
from tests.lab.system import program

# Makes the namespace and removes it when standard input closes, which the kernel does whenever the
# process that holds the other end dies, by whatever signal. One process does both, so no moment is
# left in which a namespace has nobody who removes it. It outlives signals itself: those of a
# terminal, or to all that a service manager has started, would have it leave what it is to remove.
_KEEPER: Final = """
trap '' HUP INT PIPE TERM
"$0" netns add "$1" || exit
echo made
cat > /dev/null
"$0" netns del "$1"
"""


def ip(*arguments: str) -> None:
    """Run iproute2.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    subprocess.run([program("ip"), *arguments], check=True, capture_output=True)


@contextmanager
def leashed_netns(name: str) -> Iterator[None]:
    """Have a network namespace for the block, or as long as this process lives.

    Processes in it are their starter's to end; without its name it goes with the last of them.

    Raises:
        StartError: It could not be made.
    """
    with subprocess.Popen(
        ["/bin/sh", "-c", _KEEPER, program("ip"), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as keeper:
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        assert keeper.stderr is not None
        if keeper.stdout.readline() != b"made\n":
            complaint = keeper.stderr.read().decode(errors="replace").strip()
            raise StartError(f"The network namespace {name} cannot be made: {complaint}")
        try:
            yield
        finally:
            keeper.stdin.close()
            complaint = keeper.stderr.read().decode(errors="replace").strip()
    if keeper.returncode != 0:
        raise StartError(f"The network namespace {name} cannot be removed: {complaint}")


@contextmanager
def own_network(prefix: str) -> Iterator[None]:
    """Move this thread, and what it starts, into a new network namespace for the block.

    Its name begins with ``prefix``, and it has a loopback interface that is up.
    """
    name = f"{prefix}-{uuid4().hex[:8]}"
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        with leashed_netns(name):
            inside = os.open(f"/var/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)
            try:
                enter_netns(inside)
                os.close(inside)
                ip("link", "set", "lo", "up")
                yield
            finally:
                enter_netns(before)
    finally:
        os.close(before)
