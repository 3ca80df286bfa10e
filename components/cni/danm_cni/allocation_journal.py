"""What danmd intends and has done for fakeipam, on disk before it happens (SPEC F2).

One file for each interface of a container. The structs are the form on disk; a field that a later
release adds is ignored by this one. All records are also in memory.
"""

from collections.abc import Collection
from contextlib import suppress
from enum import StrEnum
from ipaddress import ip_interface
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from danm_api.codec.json_text import decode_foreign
from danm_api.ipam_api import (
    ContainerOwnerMessage,
    OwnerMessage,
    PodOwnerMessage,
    Reservation,
)
from danm_api.model.addresses import IPAddress
from danm_api.node_tombstone import attachment_name
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


class AllocationState(StrEnum):
    """Where the address of an interface stands."""

    # Something may have been reserved, and nobody has been told an address.
    ADDING = "adding"
    ADDED = "added"
    # It is to be released as soon as no interface has it any more.
    REMOVING = "removing"


class AllocationKey(NamedTuple):
    """An interface of a container."""

    container_id: str
    interface: str


class AllocationRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The addresses of one interface.

    Attributes:
        config: Name of the network configuration that asked.
        network: The DanmNet, in the owner's namespace.
        network_uid: Empty where danmd does not know it.
        netns: Path of the container's network namespace on the host.
        attempt: Of the last send of the reservation; 0 when danmd does not know it.
        result: What the ADD answered, as a CNI 1.1.0 result; empty before.
        since: When it came, in seconds of the epoch.
        unasked: It is released without a DEL, since its network namespace is gone.
    """

    container_id: str
    interface: str
    config: str
    owner: OwnerMessage
    network: str
    netns: str
    state: AllocationState
    attempt: int = 0
    ip: str | None = None
    ip6: str | None = None
    result: bytes = b""
    since: float = 0.0
    network_uid: str = ""
    unasked: bool = False

    @property
    def key(self) -> AllocationKey:
        """Return what the record is found by."""
        return AllocationKey(self.container_id, self.interface)

    @property
    def addresses(self) -> frozenset[IPAddress]:
        """Return the addresses that somebody may have been told."""
        return frozenset(ip_interface(each).ip for each in (self.ip, self.ip6) if each)

    @property
    def holder(self) -> tuple[str, ...]:
        """Return what ipam-svc tells owners apart by (SPEC G7)."""
        return holder_of(self.owner, self.interface)

    def is_of(self, entry: Reservation) -> bool:
        """Say whether an entry of ipam-svc's belongs to it."""
        return (entry.network, entry.owner.namespace) == (self.network, self.owner.namespace) and (
            holder_of(entry.owner, entry.interface) == self.holder
        )


def holder_of(owner: OwnerMessage, interface: str) -> tuple[str, ...]:
    """Return what ipam-svc tells the owners of addresses apart by (SPEC G7)."""
    match owner:
        case PodOwnerMessage():
            return ("Pod", owner.uid, interface)
        case ContainerOwnerMessage():
            return ("Container", owner.container_id, interface)
    return ("External", owner.namespace, owner.name)


def records_in(directory: Path) -> list[AllocationRecord]:
    """Read the records beside a running danmd, changing nothing; skip what is unreadable."""
    found = []
    for path in records_under(directory):
        with suppress(msgspec.DecodeError, OSError):
            found.append(decode_foreign(path.read_bytes(), AllocationRecord))
    return found


def users_in(directory: Path) -> list[str]:
    """Return a line for each interface that has its address through fakeipam."""
    return [
        f"{_describe(each)} has an address of DanmNet {each.owner.namespace}/{each.network} as "
        f"{each.interface}, through fakeipam"
        for each in records_in(directory)
        if each.state is not AllocationState.REMOVING
    ]


def _describe(record: AllocationRecord) -> str:
    if isinstance(record.owner, PodOwnerMessage):
        return f"Pod {record.owner.namespace}/{record.owner.name}"
    return f"container {record.container_id}"


class AllocationJournal:
    """All records of the node; callers hold the lock of a record's key."""

    def __init__(self, directory: Path) -> None:
        """Remember where the files are; ``load`` reads them."""
        self._directory = directory
        self._records: dict[AllocationKey, AllocationRecord] = {}
        self._disk = Threads(limit=_MAX_WRITES, name="allocations")

    def load(self) -> None:
        """Read all records; to be called once, before anything else.

        Raises:
            OSError: The disk is broken, read-only or full.
        """
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        remove_temporaries(self._directory)
        for record in readable_records(records_under(self._directory), AllocationRecord):
            self._records[record.key] = record

    def get(self, key: AllocationKey) -> AllocationRecord | None:
        """Return a record, if there is one."""
        return self._records.get(key)

    def records(self) -> Collection[AllocationRecord]:
        """Return all records."""
        return tuple(self._records.values())

    def knows(self, entry: Reservation) -> bool:
        """Say whether an entry of ipam-svc's belongs to a record."""
        return any(each.is_of(entry) for each in self._records.values())

    def remember_attempt(self, key: AllocationKey, attempt: int) -> None:
        """Keep the number of a send that is under way; the next write makes it durable.

        If danmd dies before, the entries of the node say which attempt they are of.
        """
        self._records[key] = msgspec.structs.replace(self._records[key], attempt=attempt)

    async def put(self, record: AllocationRecord) -> None:
        """Write a record; it is on the disk when this returns."""
        data, path = msgspec.json.encode(record), self._path(record.key)

        def keep() -> None:
            self._records[record.key] = record

        # Waited for even when the caller is cancelled: the next write must not be overtaken, and
        # memory is to know what the disk knows.
        await self._disk.run(lambda: write_atomically(path, data), then=keep)

    async def forget(self, key: AllocationKey) -> None:
        """Remove a record: nothing of it is left."""
        path = self._path(key)

        def drop() -> None:
            self._records.pop(key, None)

        await self._disk.run(lambda: remove_durably(path), then=drop)

    def _path(self, key: AllocationKey) -> Path:
        return self._directory / f"{attachment_name(*key)}{RECORD_SUFFIX}"
