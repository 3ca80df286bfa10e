"""The wire form of DanmIPBlock (DESIGN, "IPAM"). Pure.

Each entry is a JSON text of its own: a block is rewritten for every address, and the API server
takes a string as it is, while each field of an object costs it several passes (decision 0013).
They are compact: the owner's namespace is left out where it is the block's own, and the MAC where
it follows from the address. Fields that this release does not know are kept, so that two releases
can share a block.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any, Final, TypeVar

import msgspec

from danm_api import labels
from danm_api.codec.json_text import decode_foreign
from danm_api.codec.meta import Metadata, RawObject, decode_metadata, encode_time
from danm_api.codec.values import UnreadableValueError, in_utc, parse_ip, parse_ip_network
from danm_api.errors import InvalidObjectError
from danm_api.model.addresses import IPAddress, IPNetwork, mac_of
from danm_api.model.ip_block import (
    ContainerOwner,
    Cooling,
    Entry,
    ExternalOwner,
    Held,
    IPBlock,
    Owner,
    PodOwner,
    UnreadableBlock,
)
from danm_api.names import (
    API_VERSION,
    InterfaceName,
    Namespace,
    NetworkName,
    NetworkUid,
    NodeName,
    PodUid,
)

# 64 addresses: an object of a few KB, whatever the network's size.
BLOCK_PREFIX_V4: Final = 26
BLOCK_PREFIX_V6: Final = 122

_POD: Final = "Pod"
_CONTAINER: Final = "Container"
_EXTERNAL: Final = "External"


class EntryWire(msgspec.Struct, frozen=True, kw_only=True):
    """One entry: an owner's, or a cooling one, which has ``freeAt`` and no owner."""

    ip: str
    kind: str = _POD
    ns: str | None = None
    name: str = ""
    uid: str = ""
    interface: str = msgspec.field(name="if", default="")
    node: str = ""
    attempt: int = 0
    born: int | None = None
    pending: int | None = None
    since: datetime | None = None
    mac: str | None = None
    reason: str = ""
    expires: datetime | None = None
    free_at: datetime | None = msgspec.field(name="freeAt", default=None)


class BlockSpecWire(msgspec.Struct, frozen=True, kw_only=True):
    """``spec``; each entry is the JSON text of an ``EntryWire``."""

    network: str
    network_uid: str = msgspec.field(name="networkUID")
    cidr: str
    sealed: bool = False
    fence: int = 0
    entries: list[str] = []


_ENTRY_KEYS: Final = frozenset(EntryWire.__struct_encode_fields__)
_SPEC_KEYS: Final = frozenset(BlockSpecWire.__struct_encode_fields__)
_LABEL_KEYS: Final = frozenset(
    {labels.NETWORK, labels.NETWORK_UID, labels.FAMILY, labels.FREE, labels.COOLING_UNTIL}
)


def block_cidr_of(address: IPAddress) -> IPNetwork:
    """Return the aligned /26 (IPv6: /122) that an address lies in."""
    if address.version == 4:  # noqa: PLR2004  (the protocol's own number)
        return IPv4Network((int(address), BLOCK_PREFIX_V4), strict=False)
    return IPv6Network((int(address), BLOCK_PREFIX_V6), strict=False)


def block_name(network_uid: NetworkUid, cidr: IPNetwork) -> str:
    """Return a block's name: the network's UID and the block's first address in hexadecimal.

    Two creators meet in one object, and a re-created DanmNet never meets an old one's.
    """
    return f"{network_uid}-{cidr.network_address.packed.hex()}"


def _parts_of_name(name: str) -> tuple[NetworkUid, IPNetwork] | None:
    """Return what a block's name says; None when it is no block's name."""
    uid, _, address = name.rpartition("-")
    try:
        cidr = block_cidr_of(ip_address(bytes.fromhex(address)))
    except ValueError:
        return None
    network_uid = NetworkUid(uid)
    return (network_uid, cidr) if block_name(network_uid, cidr) == name else None


def read_ip_block(raw: RawObject) -> IPBlock | UnreadableBlock:
    """Read a block; one whose values do not parse is not taken for an empty one, nor for none."""
    try:
        return decode_ip_block(raw)
    except InvalidObjectError as error:
        metadata = decode_metadata(raw)
        uid, cidr = _parts_of_name(metadata.name) or (None, None)
        labelled = (metadata.labels or {}).get(labels.NETWORK_UID, "")
        return UnreadableBlock(
            namespace=Namespace(metadata.namespace),
            name=metadata.name,
            network_uid=NetworkUid(labelled) if uid is None else uid,
            cidr=cidr,
            reason=error.reason,
            resource_version=metadata.resource_version,
            uid=metadata.uid,
        )


def decode_ip_block(raw: RawObject) -> IPBlock:
    """Read a block.

    Raises:
        InvalidObjectError: A value does not parse. Such a block must not be taken for an empty one.
    """
    metadata = decode_metadata(raw)
    where = f"DanmIPBlock {metadata.namespace}/{metadata.name}"
    try:
        return _decode_block(raw.get("spec"), metadata)
    except (msgspec.DecodeError, UnreadableValueError) as error:
        raise InvalidObjectError(f"{where} is unreadable: {error}") from error


def as_stored(block: IPBlock, raw: RawObject) -> IPBlock:
    """Return a block that was just written, as the answer to its write says that it is stored.

    The entries need not be read again: the API server stores them as they were sent.
    """
    metadata = decode_metadata(raw)
    return replace(
        block,
        resource_version=metadata.resource_version,
        uid=metadata.uid,
        deleting=metadata.deleting,
    )


def version_of(raw: RawObject) -> tuple[str, str]:
    """Return the UID and the resourceVersion of a block, without reading the rest."""
    metadata = decode_metadata(raw)
    return metadata.uid, metadata.resource_version


def _decode_block(spec: object, metadata: Metadata) -> IPBlock:
    wire = msgspec.convert(spec, BlockSpecWire)
    namespace = Namespace(metadata.namespace)
    return IPBlock(
        namespace=namespace,
        name=metadata.name,
        network=NetworkName(wire.network),
        network_uid=NetworkUid(wire.network_uid),
        cidr=parse_ip_network(wire.cidr),
        entries=tuple(_decode_entry(entry, namespace) for entry in wire.entries),
        sealed=wire.sealed,
        fence=wire.fence,
        resource_version=metadata.resource_version,
        uid=metadata.uid,
        deleting=metadata.deleting,
        unknown=_unknown(spec, _SPEC_KEYS),
        unknown_labels={
            key: value for key, value in (metadata.labels or {}).items() if key not in _LABEL_KEYS
        },
        annotations=metadata.annotations or {},
    )


def _unknown(raw: object, known: frozenset[str]) -> dict[str, object]:
    return (
        {key: value for key, value in raw.items() if key not in known}
        if isinstance(raw, dict)
        else {}
    )


# Of a block that another replica has written, all but a few entries are as they were.
@lru_cache(maxsize=8192)
def _decode_entry(text: str, namespace: Namespace) -> Entry:
    wire = decode_foreign(text, EntryWire)
    address = parse_ip(wire.ip)
    unknown = _unknown(decode_foreign(text, object), _ENTRY_KEYS)
    if wire.free_at is not None:
        return Cooling(address=address, free_at=in_utc(wire.free_at), unknown=unknown)
    return Held(
        address=address,
        owner=_decode_owner(wire, namespace),
        node=NodeName(wire.node),
        attempt=wire.attempt,
        born=wire.born,
        pending=wire.pending,
        since=in_utc(_present(wire.since, f"since of {wire.ip}")),
        mac=mac_of(address) if wire.mac is None else wire.mac,
        unknown=unknown,
    )


def _decode_owner(wire: EntryWire, namespace: Namespace) -> Owner:
    owner_namespace = namespace if wire.ns is None else Namespace(wire.ns)
    match wire.kind:
        case "Pod":
            return PodOwner(
                namespace=owner_namespace,
                name=wire.name,
                uid=PodUid(wire.uid),
                interface=InterfaceName(wire.interface),
            )
        case "Container":
            return ContainerOwner(
                namespace=owner_namespace,
                container_id=wire.name,
                interface=InterfaceName(wire.interface),
            )
        case "External":
            return ExternalOwner(
                namespace=owner_namespace,
                name=wire.name,
                reason=wire.reason,
                expires=None if wire.expires is None else in_utc(wire.expires),
            )
    raise UnreadableValueError(
        f'{wire.ip} belongs to an owner of the kind "{wire.kind}", which this release does not know'
    )


T = TypeVar("T")


def _present(value: T | None, what: str) -> T:
    if value is None:
        raise UnreadableValueError(f"the {what} is missing")
    return value


def encode_ip_block(block: IPBlock, *, free: int | None = None) -> RawObject:
    """Return a block's wire form, with its labels and its finalizer.

    Args:
        block: The block.
        free: For the label: how many of its addresses can still be handed out dynamically, as the
            network's pool has it. None counts every address of the block that has no entry.
    """
    metadata: dict[str, Any] = {
        "namespace": block.namespace,
        "name": block.name,
        "labels": _encode_labels(block, free),
        "finalizers": [labels.IP_BLOCK_FINALIZER],
    }
    if block.annotations:
        metadata["annotations"] = dict(block.annotations)
    if block.resource_version:
        metadata["resourceVersion"] = block.resource_version
        # Who wrote which field is of no use where one program writes, and keeping account of it
        # costs the API server up to a quarter of a write (decision 0012). This empties and ends it.
        metadata["managedFields"] = [{}]
    spec: dict[str, Any] = {
        **block.unknown,
        "network": block.network,
        "networkUID": block.network_uid,
        "cidr": str(block.cidr),
        "entries": [_encode_entry(entry, block.namespace) for entry in block.entries],
    }
    if block.sealed:
        spec["sealed"] = True
    if block.fence:
        spec["fence"] = block.fence
    return {"apiVersion": API_VERSION, "kind": "DanmIPBlock", "metadata": metadata, "spec": spec}


def encode_end(block: IPBlock) -> RawObject:
    """Return the wire form of a block's last write, which takes its finalizer away.

    The API server judges such a write first, and then removes whatever has the block's name and the
    UID that the write gives, also if it was written in between. So it must name the UID, and the
    block must be one that is going.
    """
    raw = encode_ip_block(block)
    raw["metadata"] |= {"finalizers": [], "uid": block.uid}
    return raw


def _encode_labels(block: IPBlock, free: int | None) -> dict[str, str]:
    cooling = [entry.free_at for entry in block.entries if isinstance(entry, Cooling)]
    wire = {
        **block.unknown_labels,
        labels.NETWORK: labels.label_value(block.network),
        labels.NETWORK_UID: block.network_uid,
        labels.FAMILY: str(block.cidr.version),
        labels.FREE: str(block.cidr.num_addresses - len(block.entries) if free is None else free),
    }
    if cooling:
        # Rounded up: before the second is over the address is not free. A label value has no colon.
        wire[labels.COOLING_UNTIL] = str(-int(-min(cooling).timestamp() // 1))
    return wire


# A block is written again for every address, and all but one entry is as it was: those of the
# blocks that are being filled.
@lru_cache(maxsize=4096)
def _encode_entry(entry: Entry, namespace: Namespace) -> str:
    wire = _cooling_wire(entry) if isinstance(entry, Cooling) else _held_wire(entry, namespace)
    return msgspec.json.encode(wire).decode()


def _cooling_wire(entry: Cooling) -> Mapping[str, Any]:
    return {**entry.unknown, "ip": str(entry.address), "freeAt": encode_time(entry.free_at)}


def _held_wire(entry: Held, namespace: Namespace) -> Mapping[str, Any]:
    wire = {
        "ip": str(entry.address),
        **_encode_owner(entry.owner),
        "node": entry.node,
        "attempt": entry.attempt,
        "since": encode_time(entry.since),
    }
    if entry.born is not None:
        wire["born"] = entry.born
    if entry.pending is not None:
        wire["pending"] = entry.pending
    if entry.owner.namespace != namespace:
        wire["ns"] = entry.owner.namespace
    if entry.mac != mac_of(entry.address):
        wire["mac"] = entry.mac
    return {**entry.unknown, **{key: value for key, value in wire.items() if value != ""}}


def _encode_owner(owner: Owner) -> Mapping[str, Any]:
    match owner:
        case PodOwner():
            return {"name": owner.name, "uid": owner.uid, "if": owner.interface}
        case ContainerOwner():
            return {"kind": _CONTAINER, "name": owner.container_id, "if": owner.interface}
        case ExternalOwner():
            expires = {} if owner.expires is None else {"expires": encode_time(owner.expires)}
            return {"kind": _EXTERNAL, "name": owner.name, "reason": owner.reason, **expires}
