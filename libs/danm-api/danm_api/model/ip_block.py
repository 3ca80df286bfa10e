"""DanmIPBlock: the record that decides who holds which address (DESIGN, "IPAM"). Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from danm_api.model.addresses import IPAddress, IPNetwork
from danm_api.names import InterfaceName, Namespace, NetworkName, NetworkUid, NodeName, PodUid


@dataclass(frozen=True, slots=True, kw_only=True)
class PodOwner:
    """One interface of one Pod (SPEC G7). Its identity is (uid, interface)."""

    namespace: Namespace
    name: str
    uid: PodUid
    interface: InterfaceName


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerOwner:
    """An interface of a container that is no Pod (SPEC F2)."""

    namespace: Namespace
    container_id: str
    interface: InterfaceName


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalOwner:
    """Somebody outside of Pods, under a name of their own (SPEC I3).

    Attributes:
        reason: For people.
        expires: When the address comes back by itself. None means never.
    """

    namespace: Namespace
    name: str
    reason: str
    expires: datetime | None = None


Owner = PodOwner | ContainerOwner | ExternalOwner


def owner_key(owner: Owner) -> tuple[str, ...]:
    """Return what makes an owner the same owner: the rest of it may change."""
    match owner:
        case PodOwner():
            return ("Pod", owner.uid, owner.interface)
        case ContainerOwner():
            return ("Container", owner.container_id, owner.interface)
        case ExternalOwner():
            return ("External", owner.namespace, owner.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An address that somebody owns.

    Attributes:
        node: The node whose danmd alone may free a Pod's entry. Empty for external owners.
        attempt: Grows for its owner with every send (DESIGN, "Attempts fence").
        born: The attempt that took the address, where a later one keeps it. None: ``attempt`` did.
        pending: The attempt that has the address beside another one of its owner, and has not got
            all else yet that it asks for (decision 0034).
        mac: The MAC address that belongs to the interface.
        unknown: Fields of a later release, kept as they came.
    """

    address: IPAddress
    owner: Owner
    node: NodeName
    attempt: int
    since: datetime
    mac: str
    born: int | None = None
    pending: int | None = None
    unknown: Mapping[str, object] = field(default_factory=dict, hash=False)

    @property
    def is_pending(self) -> bool:
        """Whether nobody has been told of the address yet: its owner still has another one.

        An earlier release that keeps the entry for a later attempt leaves the number as it is, and
        tells its owner.
        """
        return self.pending == self.attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Cooling:
    """A freed address that may not be handed out before ``free_at``."""

    address: IPAddress
    free_at: datetime
    unknown: Mapping[str, object] = field(default_factory=dict, hash=False)


Entry = Held | Cooling


@dataclass(frozen=True, slots=True, kw_only=True)
class IPBlock:
    """One aligned /26 (IPv6: /122) of a network.

    Attributes:
        cidr: The block's addresses.
        entries: In the order of addresses; at most 64.
        sealed: No new entry is taken in any more.
        fence: Raised to make writes lose that are based on an earlier reading.
        resource_version: Empty before the object is created.
        uid: The object's own UID: another object of the same name is another block. Empty before
            the object is created.
        unknown: Fields of a later release, kept as they came.
        unknown_labels: The same of labels.
        annotations: Of others; kept as they came.
    """

    namespace: Namespace
    name: str
    network: NetworkName
    network_uid: NetworkUid
    cidr: IPNetwork
    entries: tuple[Entry, ...] = ()
    sealed: bool = False
    fence: int = 0
    resource_version: str = ""
    uid: str = ""
    deleting: bool = False
    unknown: Mapping[str, object] = field(default_factory=dict)
    unknown_labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_going(self) -> bool:
        """Whether it is marked as deleted and empty: nobody takes anything into it any more.

        So it can be removed, in two steps (decision 0024).
        """
        return self.deleting and not self.entries


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableBlock:
    """A block that this release cannot read: a newer one wrote it, or somebody edited it by hand.

    Whatever it holds is held: it is never written, and its addresses are used by nobody.

    Attributes:
        cidr: By its name; None when it has a name that no block is given.
        reason: What cannot be read.
    """

    namespace: Namespace
    name: str
    network_uid: NetworkUid
    cidr: IPNetwork | None
    reason: str
    resource_version: str
    uid: str
