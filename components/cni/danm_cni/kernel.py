"""The node's kernel: netlink work in threads that enter the Pods' namespaces."""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from danm_api.model.addresses import IPAddress
from danm_cni.held_addresses import read_addresses, remove_addresses
from danm_cni.interface_setup import Address, ChildLink, InterfaceSetup, LinkFacts, TakeDown
from danm_cni.neighbours import announce
from danm_cni.netlink import create_and_set_up, find_faults, read_links, set_up, take_down
from danm_cni.netns import NetnsGoneError, open_netns, resolve_in_root
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

    async def take_down(self, downs: Sequence[TakeDown], netns: str) -> None:
        """Remove interfaces and their rules, where they are there."""
        await self._in_netns(netns, partial(take_down, downs))

    async def faults(self, setups: Sequence[InterfaceSetup], netns: str) -> Sequence[str]:
        """Return what of setups is not there, in words."""
        return await self._in_netns(netns, partial(find_faults, setups))

    def has_netns(self, netns: str) -> bool:
        """Say whether a namespace exists; an empty file is what a runtime leaves of one."""
        try:
            descriptor = open_netns(self._host_root, netns)
        except NetnsGoneError:
            return False
        try:
            # All namespaces are on one nsfs, whose device no other file has.
            return os.fstat(descriptor).st_dev == Path("/proc/self/ns/net").stat().st_dev
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
