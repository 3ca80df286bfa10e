"""The wire form of DanmEp (SPEC A2). Pure."""

from hashlib import sha256
from ipaddress import IPv4Interface, IPv6Interface
from typing import Any, Final

import msgspec

from danm_api import labels
from danm_api.codec.meta import Metadata, RawObject, decode_metadata, encode_time
from danm_api.codec.values import (
    Findings,
    encode_routes,
    parse_ipv4_interface,
    parse_ipv6_interface,
    parse_time,
    read_routes,
    read_routes6,
)
from danm_api.errors import InvalidObjectError
from danm_api.model.danmep import DanmEp, EndpointIdentity, EndpointInterface
from danm_api.names import (
    API_VERSION,
    ContainerId,
    InterfaceName,
    Namespace,
    NetworkName,
    NodeName,
    PodName,
    PodUid,
)

_RULE: Final = "A2"
# 160 bits: two names never meet by accident.
_NAME_HASH_LENGTH: Final = 40


class InterfaceWire(msgspec.Struct, frozen=True, kw_only=True):
    """``spec.Interface``; an empty text stands for a missing one."""

    name: str = msgspec.field(name="Name")
    address: str = msgspec.field(name="Address", default="")
    address_ipv6: str = msgspec.field(name="AddressIPv6", default="")
    mac_address: str = msgspec.field(name="MacAddress", default="")
    proutes: dict[str, str] | None = None
    proutes6: dict[str, str] | None = None


class EndpointSpecWire(msgspec.Struct, frozen=True, kw_only=True):
    """``spec``."""

    network_id: str = msgspec.field(name="NetworkID")
    network_type: str = msgspec.field(name="NetworkType", default="")
    endpoint_id: str = msgspec.field(name="EndpointID", default="")
    interface: InterfaceWire = msgspec.field(name="Interface")
    host: str = msgspec.field(name="Host", default="")
    pod: str = msgspec.field(name="Pod", default="")
    container_id: str = msgspec.field(name="CID", default="")
    netns: str = ""
    creator: str = msgspec.field(name="Creator", default="")
    expires: str = msgspec.field(name="Expires", default="")


def endpoint_object_name(
    pod_uid: PodUid, container_id: ContainerId, interface: InterfaceName
) -> str:
    """Return the name of the DanmEp of a sandbox's interface: deterministic and DNS-1123."""
    identity = f"{pod_uid}\0{container_id}\0{interface}"
    return f"ep-{sha256(identity.encode()).hexdigest()[:_NAME_HASH_LENGTH]}"


def decode_danmep(raw: RawObject) -> DanmEp:
    """Read a DanmEp.

    Raises:
        InvalidObjectError: A value does not parse; the violations say which.
    """
    metadata = decode_metadata(raw)
    findings = Findings()
    wire = findings.read_struct(raw.get("spec"), EndpointSpecWire, field="spec", rule=_RULE)
    interface = None if wire is None else _read_interface(findings, wire.interface)
    expires = None
    if wire is not None and wire.expires:
        expires = findings.read(parse_time, wire.expires, field="spec.Expires", rule=_RULE)
    if wire is None or interface is None or findings.violations:
        raise _unreadable(metadata, findings)
    all_labels = metadata.labels or {}
    return DanmEp(
        namespace=Namespace(metadata.namespace),
        name=metadata.name,
        network=NetworkName(wire.network_id),
        network_type=wire.network_type,
        endpoint_id=wire.endpoint_id,
        interface=interface,
        node=NodeName(wire.host),
        pod=PodName(wire.pod),
        pod_uid=PodUid(all_labels.get(labels.POD_UID, "")),
        container_id=ContainerId(wire.container_id),
        netns=wire.netns,
        creator=wire.creator,
        expires=expires,
        pod_labels=labels.of_tenant(all_labels),
        resource_version=metadata.resource_version,
        deleting=metadata.deleting,
    )


def decode_endpoint_identity(raw: RawObject) -> EndpointIdentity:
    """Read which DanmEp it is and whose, whatever else of it can be read.

    Addresses and routes have no format in the definition: any node may write there what does not
    parse. Whoever only counts or deletes DanmEps must not be stopped by that.

    Raises:
        InvalidObjectError: The object has no metadata, so it came from no API server.
    """
    metadata = decode_metadata(raw)
    spec = raw.get("spec")
    return EndpointIdentity(
        namespace=Namespace(metadata.namespace),
        name=metadata.name,
        uid=metadata.uid,
        resource_version=metadata.resource_version,
        network=NetworkName(_text(spec, "NetworkID")),
        node=NodeName(_text(spec, "Host")),
        pod=PodName(_text(spec, "Pod")),
        interface=InterfaceName(_text(_value(spec, "Interface"), "Name")),
    )


def _value(mapping: object, key: str) -> object:
    return mapping.get(key) if isinstance(mapping, dict) else None


def _text(mapping: object, key: str) -> str:
    value = _value(mapping, key)
    return value if isinstance(value, str) else ""


def _unreadable(metadata: Metadata, findings: Findings) -> InvalidObjectError:
    what = "; ".join(map(str, findings.violations))
    reason = f"DanmEp {metadata.namespace}/{metadata.name} is unreadable: {what}"
    return InvalidObjectError(reason, violations=findings.violations)


def _read_interface(findings: Findings, wire: InterfaceWire) -> EndpointInterface:
    where = "spec.Interface"
    address: IPv4Interface | None = None
    if wire.address:
        address = findings.read(
            parse_ipv4_interface, wire.address, field=f"{where}.Address", rule=_RULE
        )
    address_ipv6: IPv6Interface | None = None
    if wire.address_ipv6:
        address_ipv6 = findings.read(
            parse_ipv6_interface, wire.address_ipv6, field=f"{where}.AddressIPv6", rule=_RULE
        )
    return EndpointInterface(
        name=InterfaceName(wire.name),
        address=address,
        address_ipv6=address_ipv6,
        mac_address=wire.mac_address or None,
        policy_routes=read_routes(findings, wire.proutes, field=f"{where}.proutes", rule=_RULE),
        policy_routes6=read_routes6(findings, wire.proutes6, field=f"{where}.proutes6", rule=_RULE),
    )


def encode_danmep(ep: DanmEp) -> RawObject:
    """Return the wire form, with the labels that look-ups select by."""
    metadata: dict[str, Any] = {
        "namespace": ep.namespace,
        "name": ep.name,
        "labels": {
            **labels.of_tenant(ep.pod_labels),
            labels.CONTAINER_ID: labels.container_id_label(ep.container_id),
            labels.NODE: labels.label_value(ep.node),
            labels.NETWORK: labels.label_value(ep.network),
            labels.POD_UID: ep.pod_uid,
        },
    }
    if ep.resource_version:
        metadata["resourceVersion"] = ep.resource_version
    spec = {
        "NetworkID": ep.network,
        "NetworkType": ep.network_type,
        "EndpointID": ep.endpoint_id,
        "Interface": _encode_interface(ep.interface),
        "Host": ep.node,
        "Pod": ep.pod,
        "CID": ep.container_id,
        "netns": ep.netns,
        "Creator": ep.creator,
    }
    if ep.expires is not None:
        spec["Expires"] = encode_time(ep.expires)
    return {"apiVersion": API_VERSION, "kind": "DanmEp", "metadata": metadata, "spec": spec}


def _encode_interface(interface: EndpointInterface) -> dict[str, Any]:
    wire: dict[str, Any] = {"Name": interface.name}
    if interface.address is not None:
        wire["Address"] = str(interface.address)
    if interface.address_ipv6 is not None:
        wire["AddressIPv6"] = str(interface.address_ipv6)
    if interface.mac_address is not None:
        wire["MacAddress"] = interface.mac_address
    if interface.policy_routes:
        wire["proutes"] = encode_routes(interface.policy_routes)
    if interface.policy_routes6:
        wire["proutes6"] = encode_routes(interface.policy_routes6)
    return wire
