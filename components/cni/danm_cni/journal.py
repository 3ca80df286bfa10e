"""What danmd intends and has done for each sandbox, on disk before it happens (DESIGN, step 5).

One file for each container id. The structs are the form on disk; a field that a later release adds
is ignored by this one. All records are also in memory: look-ups never touch the disk.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection
from enum import StrEnum
from ipaddress import ip_interface
from pathlib import Path
from typing import Final

import msgspec

from danm_api.ipam_api import PodOwnerMessage, Reservation
from danm_api.model.danmnet import BuiltInType
from danm_api.names import ContainerId, InterfaceName, PodUid
from danm_cni.durable import (
    RECORD_SUFFIX,
    records_under,
    remove_durably,
    remove_temporaries,
    write_atomically,
)
from danm_cni.record_files import readable_records
from danm_cni.threads import Threads

# Writes wait for the disk and not for the processor.
_MAX_WRITES: Final = 32
# A node has some hundred Pods; a runtime repeats DELs within minutes.
_MAX_SEEN: Final = 5000


class SandboxState(StrEnum):
    """Where a sandbox stands."""

    # Something may have been made; if danmd dies now, it is to be undone.
    ADDING = "adding"
    ADDED = "added"
    # Something may be left; it is to be finished.
    REMOVING = "removing"
    # No interface is left; the addresses stay the Pod's, which is getting another sandbox.
    HELD = "held"


class InterfaceKind(StrEnum):
    """Who made an interface."""

    # danmd itself; the word on disk is of the time when it made nothing else.
    OWN = "ipvlan"
    DELEGATE = "delegate"


class PluginCall(msgspec.Struct, frozen=True, kw_only=True):
    """A delegate that was started, or is about to be.

    Attributes:
        config: Byte for byte what its ADD got; its DEL gets the same (SPEC E3).
        checks: Its list does not forbid CHECK.
    """

    type: str
    config: bytes
    checks: bool = True


class RouteRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A route that an interface was given; ``table`` None is the main table."""

    destination: str
    gateway: str
    table: int | None = None
    metric: int | None = None


class InterfaceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One interface of a sandbox.

    Attributes:
        network: The DanmNet's name; empty for the fallback.
        endpoint: The DanmEp's name; empty for the fallback.
        routes: Of all tables; a table has rules from the interface's addresses.
        reserved: Its addresses are ipam-svc's, or may be.
        attempt: Of the last send of its reservation; 0 when danmd does not know it.
        output: What the last delegate's ADD printed, byte for byte; empty before.
        device: The id of the device that it is made of, where a device plugin gave one.
    """

    interface: str
    kind: InterfaceKind
    network: str = ""
    network_uid: str = ""
    network_type: str = ""
    endpoint: str = ""
    ip: str | None = None
    ip6: str | None = None
    mac: str | None = None
    routes: tuple[RouteRecord, ...] = ()
    reserved: bool = False
    attempt: int = 0
    calls: tuple[PluginCall, ...] = ()
    output: bytes = b""
    device: str = ""

    @property
    def is_of_own_backend(self) -> bool:
        """Say whether DANM itself decides what it is like, whoever makes it."""
        return self.kind is InterfaceKind.OWN or self.network_type == BuiltInType.SRIOV

    @property
    def addresses(self) -> frozenset[str]:
        """Return its addresses, without prefix lengths."""
        return frozenset(str(ip_interface(each).ip) for each in (self.ip, self.ip6) if each)


class SandboxRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One sandbox.

    Attributes:
        netns: Its path on the host.
        netns_identity: What tells it from a namespace that comes to that path later; empty in
            records of releases before, and where danmd cannot know.
        environment: The runtime's at its ADD; delegates are called with it. It may hold secrets,
            such as a proxy's password, and is kept only where ``needs_environment``.
        request_interface: CNI_IFNAME of the ADD.
        config_name: Of the network configuration; empty where it is not known.
        result: What the ADD answered, as a CNI 1.1.0 result; empty before.
        adopted: Only DanmEps have told of it, which do not say everything.
        unasked: It is removed without a DEL, since its network namespace is gone.
    """

    container_id: str
    namespace: str
    pod: str
    pod_uid: str
    netns: str
    state: SandboxState
    interfaces: tuple[InterfaceRecord, ...] = ()
    environment: dict[str, str] = {}
    request_interface: str = "eth0"
    result: bytes = b""
    adopted: bool = False
    unasked: bool = False
    config_name: str = ""
    netns_identity: str = ""

    def is_of_other(self, interface: str) -> bool:
        """Say whether it is alive and was made by an ADD of another CNI_IFNAME."""
        alive = self.state is SandboxState.ADDED and not self.adopted
        return alive and self.request_interface != interface

    @property
    def runs_plugins(self) -> bool:
        """Say whether an ADD has started other plugins and has not come to its end."""
        return self.state is SandboxState.ADDING and any(each.calls for each in self.interfaces)

    @property
    def needs_environment(self) -> bool:
        """Say whether other plugins have made an interface that is there, or are about to."""
        return self.state is not SandboxState.HELD and any(
            each.kind is InterfaceKind.DELEGATE or each.calls for each in self.interfaces
        )

    @property
    def is_fallback(self) -> bool:
        """Say whether the fallback made it, so that no DanmNet is concerned."""
        return any(not each.network for each in self.interfaces)

    def networks(self) -> list[str]:
        """Return the networks that hold, or may hold, addresses of it."""
        return sorted({each.network for each in self.interfaces if each.reserved})


class Journal:
    """All sandbox records of the node.

    Callers hold the sandbox's lock; only ``change`` and ``change_all`` may be called at once.
    """

    def __init__(self, directory: Path) -> None:
        """Remember where the files are; ``load`` reads them."""
        self._directory = directory
        self._records: dict[ContainerId, SandboxRecord] = {}
        self._disk = Threads(limit=_MAX_WRITES, name="journal")
        self._write_locks: dict[ContainerId, asyncio.Lock] = {}
        self._unwritten: set[ContainerId] = set()
        self._seen: OrderedDict[ContainerId, None] = OrderedDict()

    def load(self) -> None:
        """Read all records; to be called once, before anything else.

        Raises:
            OSError: The disk is broken, read-only or full.
        """
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        remove_temporaries(self._directory)
        for record in readable_records(records_under(self._directory), SandboxRecord):
            self._records[ContainerId(record.container_id)] = record

    def get(self, container_id: ContainerId) -> SandboxRecord | None:
        """Return the record of a container id, if danmd has one."""
        return self._records.get(container_id)

    def existing(self, container_id: ContainerId) -> SandboxRecord:
        """Return a record that the caller has written.

        Raises:
            KeyError: There is none.
        """
        return self._records[container_id]

    def remember_attempt(
        self, container_id: ContainerId, interfaces: Collection[str], attempt: int
    ) -> None:
        """Keep the number of a send that is under way; the next write makes it durable.

        If danmd dies before, the entries of the node say which attempt they are of; so they do when
        a write of another interface has made an earlier one durable.
        """
        record = self._records[container_id]
        self._records[container_id] = msgspec.structs.replace(
            record,
            interfaces=tuple(
                (
                    msgspec.structs.replace(each, attempt=attempt)
                    if each.reserved and each.interface in interfaces
                    else each
                )
                for each in record.interfaces
            ),
        )

    def note_add(self, container_id: ContainerId) -> None:
        """Remember that an ADD of a container came here, also when nothing comes of it.

        Only in memory and only the last ones: it spares their DELs the fallback's plugins.
        """
        self._seen[container_id] = None
        self._seen.move_to_end(container_id)
        if len(self._seen) > _MAX_SEEN:
            self._seen.popitem(last=False)

    def saw_add(self, container_id: ContainerId) -> bool:
        """Say whether a container is known to be danmd's own and nobody else's."""
        return container_id in self._seen

    def records(self) -> Collection[SandboxRecord]:
        """Return all records."""
        return tuple(self._records.values())

    def of_pod(self, pod_uid: PodUid) -> Collection[SandboxRecord]:
        """Return the records of all sandboxes of a Pod."""
        return tuple(each for each in self._records.values() if each.pod_uid == pod_uid)

    def knows(self, pod_uid: str, interface: str) -> bool:
        """Say whether any sandbox of a Pod has, or may have, an interface of that name."""
        return any(
            record.pod_uid == pod_uid
            and any(each.interface == interface for each in record.interfaces)
            for record in self._records.values()
        )

    def knows_entry(self, entry: Reservation) -> bool:
        """Say whether an entry of ipam-svc's is, or may be, of any sandbox."""
        owner = entry.owner
        return isinstance(owner, PodOwnerMessage) and self.knows(owner.uid, entry.interface)

    async def put(self, record: SandboxRecord) -> None:
        """Write a record, less what it does not need; it is on the disk when this returns."""
        container_id = ContainerId(record.container_id)
        if record.environment and not record.needs_environment:
            record = msgspec.structs.replace(record, environment={})

        def keep() -> None:
            self._records[container_id] = record

        await self._write(record, then=keep)

    async def change(
        self,
        container_id: ContainerId,
        interface: InterfaceName,
        edit: Callable[[InterfaceRecord], InterfaceRecord],
    ) -> None:
        """Edit one interface of a record; edits of it and of others may come at once."""
        await self.change_all(
            container_id, lambda each: edit(each) if each.interface == interface else each
        )

    async def change_all(
        self, container_id: ContainerId, edit: Callable[[InterfaceRecord], InterfaceRecord]
    ) -> None:
        """Edit all interfaces of a record; other edits may come at once."""
        record = self._records[container_id]
        edited = msgspec.structs.replace(
            record, interfaces=tuple(edit(each) for each in record.interfaces)
        )
        # Memory first: a parallel edit builds on this one, and one write of the newest form serves
        # all who wait for the lock.
        self._records[container_id] = edited
        self._unwritten.add(container_id)
        async with self._write_locks.setdefault(container_id, asyncio.Lock()):
            if container_id in self._unwritten:
                self._unwritten.discard(container_id)
                try:
                    await self._write(self._records[container_id])
                except BaseException:
                    # Those who wait for the lock have not been written either.
                    self._unwritten.add(container_id)
                    raise

    async def _write(
        self, record: SandboxRecord, *, then: Callable[[], None] = lambda: None
    ) -> None:
        data, path = msgspec.json.encode(record), self._path(record.container_id)
        # Waited for even when the caller is cancelled: the next write must not be overtaken, and
        # memory is to know what the disk knows.
        await self._disk.run(lambda: write_atomically(path, data), then=then)

    async def forget(self, container_id: ContainerId) -> None:
        """Remove a record: nothing of the sandbox is left."""
        path = self._path(container_id)

        def drop() -> None:
            self._records.pop(container_id, None)
            self._write_locks.pop(container_id, None)
            # Of a change that the disk has refused.
            self._unwritten.discard(container_id)

        await self._disk.run(lambda: remove_durably(path), then=drop)

    def _path(self, container_id: str) -> Path:
        return self._directory / f"{container_id}{RECORD_SUFFIX}"
