"""What everybody says of themselves at one moment, for the comparison. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

# include/uapi/linux/rtnetlink.h; 0 is what a dump calls no table.
USUAL_TABLES: Final = frozenset({"main", "local", "default", "0"})


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A link of a network namespace.

    Attributes:
        bridge: The bridge that it is a port of; empty for none.
        addresses: With prefix lengths, without link-local ones.
    """

    name: str
    kind: str = ""
    up: bool = True
    bridge: str = ""
    addresses: tuple[str, ...] = ()


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A route through a gateway."""

    destination: str
    gateway: str
    device: str
    table: str = "main"


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """Packets from an address look into a table; the kernel's own three are left out."""

    source: str
    table: str


class Netns(msgspec.Struct, frozen=True, kw_only=True):
    """What a network namespace has."""

    links: tuple[Link, ...] = ()
    routes: tuple[Route, ...] = ()
    rules: tuple[Rule, ...] = ()


class NodeView(msgspec.Struct, frozen=True, kw_only=True):
    """What a node has.

    Attributes:
        host: The node's own network namespace.
        namespaces: The Pods', by their paths.
        journal: danmd's records, by file name; None where a file is not readable as one.
        tombstones: Names of files.
        host_local: Contents of reservations of the host-local plugin, by network and address.
        plugins: Container ids of plugins of danmd's that run.
    """

    node: str
    host: Netns = Netns()
    namespaces: dict[str, Netns] = {}
    journal: dict[str, dict[str, Any] | None] = {}
    tombstones: tuple[str, ...] = ()
    host_local: dict[str, str] = {}
    plugins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An interface that a Pod is to have.

    Attributes:
        network: The DanmNet's name; empty for the fallback.
        families: Of its addresses.
        from_ipam: Whether ipam-svc has its addresses.
        bridge: The node's bridge that it hangs on; empty for none.
        routes: Destination, gateway and table.
    """

    name: str
    network: str
    families: tuple[Literal[4, 6], ...] = (4,)
    from_ipam: bool = True
    bridge: str = ""
    routes: tuple[tuple[str, str, str], ...] = ()

    @property
    def tables(self) -> frozenset[str]:
        """Return the tables that have rules."""
        return frozenset(table for _, _, table in self.routes) - USUAL_TABLES


@dataclass(frozen=True, slots=True, kw_only=True)
class LivingPod:
    """A Pod that runs.

    Attributes:
        annotation: Interface -> addresses, as the Pod's network-status annotation tells them.
    """

    name: str
    uid: str
    node: str
    wanted: tuple[Wanted, ...]
    annotation: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A DanmEp; ``addresses`` with prefix lengths."""

    name: str
    pod_uid: str
    container_id: str
    node: str
    network: str
    interface: str
    addresses: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An address that somebody holds, as a block has it; without prefix length."""

    network: str
    address: str
    holder: str
    interface: str
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything at one moment.

    Attributes:
        own_links: Links of each node's own namespace that were there before any Pod.
    """

    pods: Sequence[LivingPod]
    nodes: Sequence[NodeView]
    endpoints: Sequence[Endpoint]
    entries: Sequence[Entry]
    own_links: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not as it must be.

    Attributes:
        kind: "missing", "left" or "wrong".
        where: A node, and a Pod where it is one's.
    """

    kind: Literal["missing", "left", "wrong"]
    where: str
    what: str

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.kind}: {self.where}: {self.what}"
