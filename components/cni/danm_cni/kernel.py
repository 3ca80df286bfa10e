"""The node's kernel: netlink work in threads that enter the Pods' namespaces."""

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from danm_api.model.addresses import IPAddress
from danm_cni.held_addresses import read_addresses, remove_addresses
from danm_cni.interface_setup import Address, ChildLink, InterfaceSetup, LinkFacts, TakeDown
from danm_cni.neighbours import announce
from danm_cni.netlink import create_and_set_up, find_faults, read_links, set_up, take_down
from danm_cni.netns import (
    NetnsGoneError,
    identity_of,
    is_namespace,
    is_own,
    open_netns,
    resolve_in_root,
)
from danm_cni.threads import Threads

T = TypeVar("T")

# More links than this are never made at once.
_MAX_THREADS: Final = 64
# Where runtimes bind the namespaces of Pods, and iproute2 those that it makes.
_NAMED_NAMESPACES: Final = "/var/run/netns"


class KernelInterfaces:
    """Makes and removes interfaces of the node that danmd runs on.

    danmd must run in the host's network namespace, where the parents are.
    """

    def __init__(self, *, host_root: Path) -> None:
        """Find namespaces by the host's paths below ``host_root``."""
        self._host_root = host_root
        self._threads = Threads(limit=_MAX_THREADS, name="netns")

    async def parents(self, names: Sequence[str]) -> Mapping[str, LinkFacts]:
        """Read links of the host; a missing one is left out."""
        return await self._threads.run(lambda: read_links(names)) if names else {}

    async def create(
        self, wanted: Sequence[tuple[ChildLink, InterfaceSetup]], netns: str
    ) -> Sequence[LinkFacts]:
        """Create links directly in a namespace and set them up."""
        return await self._in_netns(netns, partial(create_and_set_up, wanted))

    async def set_up(self, setup: InterfaceSetup, netns: str) -> LinkFacts:
        """Set up what a delegate has created."""
        return await self._in_netns(netns, partial(set_up, setup))

    async def announce(self, name: str, addresses: Sequence[Address], netns: str) -> None:
        """Tell the neighbours of what a delegate has created, if it is a link of the kernel's."""
        await self._in_netns(netns, partial(announce, name, addresses))

    async def take_down(self, downs: Sequence[TakeDown], netns: str, *, identity: str = "") -> None:
        """Remove interfaces and their rules, where they are there.

        Raises:
            NetnsGoneError: The namespace is another one than that of the identity, or danmd's own.
        """

        def work(descriptor: int) -> None:
            if not _is_sandbox(descriptor, identity):
                raise NetnsGoneError(f"the network namespace {netns} is somebody else's by now")
            take_down(downs, descriptor)

        await self._in_netns(netns, work)

    async def faults(self, setups: Sequence[InterfaceSetup], netns: str) -> Sequence[str]:
        """Return what of setups is not there, in words."""
        return await self._in_netns(netns, partial(find_faults, setups))

    def has_netns(self, netns: str, *, identity: str | None = None) -> bool:
        """Say whether a namespace exists; an empty file is what a runtime leaves of one.

        Args:
            netns: Its path.
            identity: What it was when a sandbox was made in it, empty where that is not known:
                another one, or danmd's own, does not count. None for whatever is there.
        """
        with self._opened(netns) as descriptor:
            if descriptor is None:
                return False
            return identity is None or _is_sandbox(descriptor, identity)

    def identity(self, netns: str) -> str:
        """Return what tells a namespace from those that come to its path later; empty for none."""
        with self._opened(netns) as descriptor:
            return "" if descriptor is None else identity_of(descriptor)

    @contextmanager
    def _opened(self, netns: str) -> Iterator[int | None]:
        """Open a namespace for the time of a block; None when there is none."""
        try:
            descriptor = open_netns(self._host_root, netns)
        except NetnsGoneError:
            yield None
            return
        try:
            yield descriptor if is_namespace(descriptor) else None
        finally:
            os.close(descriptor)

    async def addresses(self, netns: str) -> frozenset[IPAddress]:
        """Return the addresses of all interfaces of a namespace."""
        return await self._in_netns(netns, read_addresses)

    async def remove_addresses(self, netns: str, addresses: Collection[IPAddress]) -> None:
        """Take addresses off the interfaces of a namespace, where they are there."""
        await self._in_netns(netns, lambda descriptor: remove_addresses(descriptor, addresses))

    async def named_namespaces(self) -> Sequence[str]:
        """Return the paths of the namespaces that the host's runtimes keep by name."""

        def look() -> list[str]:
            directory = resolve_in_root(self._host_root, _NAMED_NAMESPACES)
            try:
                return [f"{_NAMED_NAMESPACES}/{each.name}" for each in directory.iterdir()]
            except FileNotFoundError:
                return []

        return await self._threads.run(look)

    async def _in_netns(self, netns: str, work: Callable[[int], T]) -> T:
        def body() -> T:
            descriptor = open_netns(self._host_root, netns)
            try:
                return work(descriptor)
            finally:
                os.close(descriptor)

        return await self._threads.run(body)


def _is_sandbox(descriptor: int, identity: str) -> bool:
    """Say whether a namespace is that of an identity, where one is known, and not danmd's own.

    A path such as ``/proc/7/ns/net`` leads elsewhere once the number is another process's.
    """
    return not is_own(descriptor) and identity in ("", identity_of(descriptor))
