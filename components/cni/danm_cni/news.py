"""What danmd tells of addresses that it gave back, claimed or lost and nobody asked it to.

Each comes with a metric and a log line at once, and with an Event when the comparison ends: one for
all addresses of a DanmNet. The Events of a process are few (danm_api.kube.events), and a node that
boots may have lost a hundred Pods.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_interface
from typing import Final

from prometheus_client import Counter

from danm_api.errors import AddressTakenError, DanmError, PodNotFoundError
from danm_api.ipam_api import (
    ContainerOwnerMessage,
    ExternalOwnerMessage,
    OwnerMessage,
    PodOwnerMessage,
    Reservation,
)
from danm_api.kube.events import EventType, ObjectReference, reference_to_network
from danm_api.model.pod import Pod
from danm_api.names import Namespace, NodeName, PodName, PodUid
from danm_api.telemetry import get_logger
from danm_cni.allocation_journal import AllocationRecord
from danm_cni.edges import EventSink, PodSource
from danm_cni.journal import InterfaceRecord, SandboxRecord
from danm_cni.metrics import ADDRESSES_CLAIMED, ADDRESSES_GIVEN_BACK, ADDRESSES_LOST
from danm_cni.request import PodIdentity
from danm_cni.rounds import side_by_side

log = get_logger(__name__)

# Of an Event's 1024 bytes; the rest is for the node's name and the reason.
_MAX_LIST_LENGTH: Final = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedAddress:
    """An address, and whose it is or was.

    Attributes:
        network: The DanmNet; its uid is empty where danmd does not know it.
        address: Without prefix length.
        owner: The Pod's name, or the container's id.
        interface: Its name in the Pod.
    """

    network: ObjectReference
    address: str
    owner: str
    interface: str

    def __str__(self) -> str:
        """Return it as a part of a sentence."""
        owner = f"{self.network.namespace}/{self.owner}"
        return f"{self.address} of {owner} (interface {self.interface})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """What can happen to addresses, and how it is told."""

    log: str
    event: str
    type: EventType
    verb: str
    why: str
    counter: Counter


UNKNOWN: Final = Topic(
    log="Released unknown address",
    event="GaveBackAddress",
    type=EventType.NORMAL,
    verb="gave back",
    why="no such interface is there",
    counter=ADDRESSES_GIVEN_BACK,
)
NO_DEL: Final = Topic(
    log="Released address without DEL",
    event="GaveBackAddress",
    type=EventType.NORMAL,
    verb="gave back",
    why="the network namespace is gone, and no DEL came",
    counter=ADDRESSES_GIVEN_BACK,
)
CLAIMED: Final = Topic(
    log="Claimed forgotten address",
    event="ClaimedAddress",
    type=EventType.WARNING,
    verb="claimed again",
    why="the interface is there, and ipam-svc had forgotten",
    counter=ADDRESSES_CLAIMED,
)
_TAKEN: Final = Topic(
    log="Lost forgotten address",
    event="AddressLost",
    type=EventType.WARNING,
    verb="lost",
    why="ipam-svc had forgotten, and somebody else has the address now; it was taken down here",
    counter=ADDRESSES_LOST,
)
_POD_GONE: Final = Topic(
    log="Lost address of a Pod that is gone",
    event="AddressLost",
    type=EventType.WARNING,
    verb="lost",
    why="ipam-svc has freed or forgotten it, and the Pod is gone; it was taken down here",
    counter=ADDRESSES_LOST,
)


class AddressNews:
    """Counts and logs news, and writes them as Events."""

    def __init__(self, *, node: NodeName, pods: PodSource, events: EventSink) -> None:
        """Tell in the name of a node."""
        self._node = node
        self._pods = pods
        self._events = events
        self._untold: dict[tuple[Topic, ObjectReference], list[NamedAddress]] = {}

    def note(self, topic: Topic, addresses: Iterable[NamedAddress], *, error: str = "") -> None:
        """Take down what happened to addresses."""
        for each in addresses:
            _count(topic, each, error=error)
            self._untold.setdefault((topic, each.network), []).append(each)

    async def lost(
        self,
        addresses: Sequence[NamedAddress],
        owner: OwnerMessage,
        error: AddressTakenError | PodNotFoundError,
        *,
        message: str,
    ) -> None:
        """Tell that an interface has lost its addresses, its Pod where that is there.

        Args:
            addresses: The interface's.
            owner: Whose claim was refused.
            error: How it was refused.
            message: For the Pod's owner.
        """
        topic = _POD_GONE if isinstance(error, PodNotFoundError) else _TAKEN
        pod = None if topic is _POD_GONE else await self._find(owner)
        if pod is None:
            self.note(topic, addresses, error=error.reason)
            return
        for each in addresses:
            _count(topic, each, error=error.reason)
        await self._events.address_lost(pod, message)

    async def _find(self, owner: OwnerMessage) -> Pod | None:
        if not isinstance(owner, PodOwnerMessage):
            return None
        identity = PodIdentity(
            namespace=Namespace(owner.namespace), name=PodName(owner.name), uid=PodUid(owner.uid)
        )
        try:
            return await self._pods.find(identity)
        except DanmError as missing:
            log.debug("Pod cannot be told", error=missing.reason)
            return None

    async def tell(self) -> None:
        """Write the Events of what was noted since the last time."""
        untold, self._untold = self._untold, {}
        await side_by_side(
            self._events.on_network(
                network,
                reason=topic.event,
                message=f"node {self._node} {topic.verb} {_listed(addresses)}: {topic.why}",
                type=topic.type,
            )
            for (topic, network), addresses in untold.items()
        )


def of_entry(entry: Reservation) -> NamedAddress:
    """Return the address of an entry of ipam-svc's."""
    return NamedAddress(
        network=reference_to_network(
            namespace=entry.owner.namespace, name=entry.network, uid=entry.network_uid
        ),
        address=entry.address,
        owner=_name_of(entry.owner),
        interface=entry.interface,
    )


def of_interface(record: SandboxRecord, interface: InterfaceRecord) -> list[NamedAddress]:
    """Return the addresses of a sandbox's interface."""
    network = reference_to_network(
        namespace=record.namespace, name=interface.network, uid=interface.network_uid
    )
    return [
        NamedAddress(
            network=network,
            address=str(ip_interface(each).ip),
            owner=record.pod,
            interface=interface.interface,
        )
        for each in (interface.ip, interface.ip6)
        if each
    ]


def of_allocation(record: AllocationRecord) -> list[NamedAddress]:
    """Return the addresses that fakeipam gave an interface."""
    network = reference_to_network(
        namespace=record.owner.namespace, name=record.network, uid=record.network_uid
    )
    return [
        NamedAddress(
            network=network,
            address=str(ip_interface(each).ip),
            owner=_name_of(record.owner),
            interface=record.interface,
        )
        for each in (record.ip, record.ip6)
        if each
    ]


def _name_of(owner: OwnerMessage) -> str:
    match owner:
        case ContainerOwnerMessage():
            return owner.container_id
        case PodOwnerMessage() | ExternalOwnerMessage():
            return owner.name


def _count(topic: Topic, address: NamedAddress, *, error: str) -> None:
    topic.counter.inc()
    tell = log.warning if topic.type is EventType.WARNING else log.info
    tell(
        topic.log,
        namespace=address.network.namespace,
        network=address.network.name,
        address=address.address,
        owner=address.owner,
        interface=address.interface,
        **({"error": error} if error else {}),
    )


def _listed(addresses: Sequence[NamedAddress]) -> str:
    """Return as many as an Event has room for, at least one, and how many more there are."""
    parts = [str(addresses[0])]
    length = len(parts[0])
    for each in addresses[1:]:
        length += len(str(each)) + len(", ")
        if length > _MAX_LIST_LENGTH:
            break
        parts.append(str(each))
    more = len(addresses) - len(parts)
    return ", ".join(parts) + (f" and {more} more" if more else "")
