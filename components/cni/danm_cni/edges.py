"""What a sandbox's flow needs from the world; each has a fake in the tests."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from danm_api.ipam_api import (
    AttachmentRequest,
    OwnerMessage,
    ReleaseAnswer,
    ReleaseRequest,
    Reservation,
    ReserveAnswer,
)
from danm_api.kube.events import EventType, ObjectReference
from danm_api.model.addresses import IPAddress
from danm_api.model.danmep import DanmEp
from danm_api.model.danmnet import DanmNet
from danm_api.model.pod import Pod
from danm_api.names import Namespace, NetworkName
from danm_cni.interface_setup import Address, ChildLink, InterfaceSetup, LinkFacts, TakeDown
from danm_cni.journal import PluginCall, SandboxRecord
from danm_cni.request import PodIdentity, Verb


class AddressService(Protocol):
    """ipam-svc, as danmd uses it."""

    async def reserve(
        self,
        owner: OwnerMessage,
        attachments: Sequence[AttachmentRequest],
        *,
        deadline_s: float,
        note_attempt: Callable[[int], None],
        fresh: bool,
        via_fakeipam: bool = False,
    ) -> ReserveAnswer:
        """Reserve all or nothing; every send carries a new attempt, which is noted before.

        ``fresh`` says that nothing was ever sent for the owner: ipam-svc then looks for nothing.
        ``via_fakeipam``: the networks must admit fakeipam (SPEC F2).

        Raises:
            DanmError: As ipam-svc says, or IpamUnavailableError.
        """
        ...

    async def release(self, request: ReleaseRequest, *, deadline_s: float) -> ReleaseAnswer:
        """Give back what an owner holds under exactly that attempt; nothing there is no error.

        Returns:
            What was freed; not what an earlier send has freed whose answer was lost.
        """
        ...

    async def node_reservations(self) -> Sequence[Reservation]:
        """Return all entries of this node."""
        ...


class PluginRunner(Protocol):
    """Other CNI plugins."""

    def require(self, plugin: str, environment: Mapping[str, str]) -> None:
        """Refuse a plugin that is not there, which ``run`` would not even start.

        Raises:
            DelegateError: CNI_PATH has no executable of that name.
        """
        ...

    def turn(self, verb: Verb) -> AbstractAsyncContextManager[None]:
        """Return what waits until one chain more may run, and is held while it does.

        Whoever holds one calls ``run`` for one plugin after the other.
        """
        ...

    async def run(self, call: PluginCall, *, verb: Verb, environment: Mapping[str, str]) -> bytes:
        """Run a plugin and return what it printed.

        Raises:
            DelegateError: It failed.
        """
        ...

    async def end_strays(self, container_id: str) -> None:
        """End the plugins of a sandbox that an earlier danmd has left running."""
        ...


class DeviceSource(Protocol):
    """The kubelet, which gives devices to Pods."""

    async def devices(self, namespace: str, pod: str) -> Mapping[str, Sequence[str]]:
        """Return resource name -> ids of the devices that a Pod's containers have.

        Raises:
            KubeletUnavailableError: The kubelet did not answer.
        """
        ...


class InterfaceMaker(Protocol):
    """The node's kernel; every method raises LinkSetupError, or its NetnsGoneError."""

    async def parents(self, names: Sequence[str]) -> Mapping[str, LinkFacts]:
        """Read links of the host; a missing one is left out."""
        ...

    async def create(
        self, wanted: Sequence[tuple[ChildLink, InterfaceSetup]], netns: str
    ) -> Sequence[LinkFacts]:
        """Create links directly in a namespace and set them up.

        Raises:
            SeveralErrors: More than one could not be made.
        """
        ...

    async def set_up(self, setup: InterfaceSetup, netns: str) -> LinkFacts:
        """Set up what a delegate has created."""
        ...

    async def announce(self, name: str, addresses: Sequence[Address], netns: str) -> None:
        """Tell the neighbours of an interface; one that cannot be told of is no error."""
        ...

    async def take_down(self, downs: Sequence[TakeDown], netns: str, *, identity: str = "") -> None:
        """Remove interfaces and their rules, where they are there.

        Raises:
            NetnsGoneError: The namespace is another one than that of the identity, or danmd's own.
            SeveralErrors: More than one could not be removed; all others were.
        """
        ...

    async def faults(self, setups: Sequence[InterfaceSetup], netns: str) -> Sequence[str]:
        """Return what of setups is not there, in words."""
        ...

    def has_netns(self, netns: str, *, identity: str | None = None) -> bool:
        """Say whether a namespace exists; for a sandbox, its own one: danmd's is none."""
        ...

    def identity(self, netns: str) -> str:
        """Return what tells a namespace from those that come to its path later; empty for none."""
        ...

    async def addresses(self, netns: str) -> frozenset[IPAddress]:
        """Return the addresses of all interfaces of a namespace."""
        ...

    async def remove_addresses(self, netns: str, addresses: Collection[IPAddress]) -> None:
        """Take addresses off the interfaces of a namespace, where they are there."""
        ...

    async def named_namespaces(self) -> Sequence[str]:
        """Return the paths of the namespaces that the host's runtimes keep by name."""
        ...


class EndpointStore(Protocol):
    """The DanmEps of this node."""

    async def create(self, endpoint: DanmEp) -> None:
        """Create, or replace one of the same name."""
        ...

    async def restore(self, endpoint: DanmEp) -> bool:
        """Create one that is missing; return whether it was. One that is there stays as it is."""
        ...

    async def update(self, endpoint: DanmEp) -> None:
        """Write what a delegate reported."""
        ...

    async def delete(self, namespace: Namespace, name: str) -> None:
        """Delete; one that is gone is no error."""
        ...

    async def exists(self, namespace: Namespace, name: str) -> bool:
        """Say whether there is such a DanmEp now, whatever the watch has shown."""
        ...

    def of_container(self, container_id: str) -> Sequence[DanmEp]:
        """Return the DanmEps of a sandbox that the watch has shown."""
        ...


class PodSource(Protocol):
    """The Pods of this node."""

    async def find(self, identity: PodIdentity) -> Pod:
        """Return a Pod; one that was not seen yet is fetched.

        Raises:
            PodNotFoundError: No such Pod, or another one of that name.
        """
        ...

    def is_first_use(self, pod: Pod) -> bool:
        """Say whether nothing was reserved for a Pod before; true at most once for each Pod."""
        ...

    async def wants_addresses(self, record: SandboxRecord, *, anew: bool = False) -> bool:
        """Say whether a Pod keeps its addresses after its sandbox is gone.

        Unknown counts as yes: an address that may still be live is never freed. ``anew`` asks the
        API server about a Pod that the watch shows alive.
        """
        ...


class NetworkSource(Protocol):
    """The DanmNets."""

    async def refresh(self, namespace: Namespace, names: Sequence[NetworkName]) -> None:
        """Fetch those that the watch has not shown yet."""
        ...

    async def glance(self, namespace: Namespace, name: NetworkName) -> None:
        """Fetch one that the watch has not shown yet, if that can be done at once."""
        ...

    async def read(self, namespace: Namespace, name: NetworkName) -> DanmNet:
        """Return a DanmNet as the API server has it now.

        Raises:
            NetworkNotFoundError: There is none.
        """
        ...

    def get(self, namespace: Namespace, name: NetworkName) -> DanmNet | None:
        """Return a DanmNet."""
        ...

    def static_types(self) -> frozenset[str]:
        """Return the static types of all DanmNets."""
        ...


class EventSink(Protocol):
    """Events on Pods and DanmNets."""

    async def address_lost(self, pod: Pod, message: str) -> None:
        """Tell the Pod's owner that an interface was taken down; never raises."""
        ...

    async def attachment_failed(self, pod: Pod, message: str) -> None:
        """Tell the Pod's owner; never raises."""
        ...

    async def capability_unserved(self, pod: Pod, message: str) -> None:
        """Tell the Pod's owner that it lacks something that it asks for; never raises."""
        ...

    async def on_network(
        self,
        network: ObjectReference,
        *,
        reason: str,
        message: str,
        type: EventType,  # noqa: A002  (the API's word)
    ) -> None:
        """Tell a DanmNet's owner what happened to its addresses; never raises."""
        ...
