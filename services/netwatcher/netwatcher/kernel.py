"""The seam between netwatcher and the node's network.

Pure: ``netwatcher.netlink`` implements it, and ``netwatcher.testing.fake_kernel`` stands in for it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from danm_api.names import InterfaceName
from netwatcher.links import ObservedAddress, ObservedLink
from netwatcher.plan import Action


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkChanged:
    """A link came, or something about it changed; ``ObservedLink`` says what the fields mean.

    Attributes:
        fingerprint: The kernel's words for kind, parent, group and carrier: it changes with them.
        altnames: Its alternative names, by which the kernel finds it too.
    """

    index: int
    name: InterfaceName
    alias: str
    up: bool
    mtu: int
    fingerprint: bytes
    altnames: frozenset[InterfaceName] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkGone:
    """A link left the node's network namespace."""

    index: int
    name: InterfaceName


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressesChanged:
    """A link got or lost an address."""

    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsLost:
    """Anything may have happened: the kernel's buffer ran over."""


LinkEvent = LinkChanged | LinkGone | AddressesChanged | EventsLost


class Kernel(Protocol):
    """What netwatcher asks of the kernel.

    Every method raises LinkSetupError with the kernel's own words.
    """

    async def link_by_name(self, name: InterfaceName) -> ObservedLink | None:
        """Return the link of a name."""
        ...

    async def link_by_index(self, index: int) -> ObservedLink | None:
        """Return the link of an index."""
        ...

    async def links(self) -> Sequence[ObservedLink]:
        """Return all links."""
        ...

    async def children(self, index: int) -> Sequence[InterfaceName]:
        """Return the links of the host that hang on a link; those in other netns stay hidden."""
        ...

    async def addresses(self, index: int) -> Sequence[ObservedAddress]:
        """Return a link's addresses in the kernel's order."""
        ...

    async def execute(self, action: Action) -> None:
        """Carry an action out. Deleting what is gone already succeeds."""
        ...

    async def subscribe(self, on_event: Callable[[LinkEvent], None]) -> None:
        """Call ``on_event`` for whatever happens from now on."""
        ...
