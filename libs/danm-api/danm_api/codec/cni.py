"""CNI results and errors in the versions 0.1.0 to 1.1.0 of the specification (SPEC C2). Pure."""

from collections.abc import Iterable
from ipaddress import IPv4Interface, IPv6Interface
from typing import Annotated, Any, Final

import msgspec

from danm_api.codec.json_text import decode_foreign
from danm_api.codec.values import (
    UnreadableValueError,
    parse_ip,
    parse_ip_interface,
    parse_ip_network,
)
from danm_api.errors import InvalidRequestError
from danm_api.model.cni import (
    CniDns,
    CniError,
    CniInterface,
    CniIp,
    CniResult,
    CniRoute,
    CniVersion,
)

# Results of these versions have one address of each family and no interfaces.
_FLAT_VERSIONS: Final = frozenset({CniVersion.V0_1_0, CniVersion.V0_2_0})
# From 1.0.0 on an address does not say its family any more.
_VERSIONS_WITH_FAMILY: Final = frozenset({CniVersion.V0_3_0, CniVersion.V0_3_1, CniVersion.V0_4_0})
_MAX_CODE: Final = 2**32 - 1


class DnsWire(msgspec.Struct, frozen=True, kw_only=True):
    """``dns``."""

    nameservers: tuple[str, ...] = ()
    domain: str | None = None
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


class RouteWire(msgspec.Struct, frozen=True, kw_only=True):
    """One of ``routes``."""

    dst: str
    gw: str | None = None
    mtu: int | None = None
    advmss: int | None = None
    priority: int | None = None
    table: int | None = None
    scope: int | None = None


class InterfaceWire(msgspec.Struct, frozen=True, kw_only=True):
    """One of ``interfaces``."""

    name: str
    mac: str | None = None
    sandbox: str | None = None
    mtu: int | None = None
    socket_path: str | None = msgspec.field(name="socketPath", default=None)
    pci_id: str | None = msgspec.field(name="pciID", default=None)


class IpWire(msgspec.Struct, frozen=True, kw_only=True):
    """One of ``ips``."""

    address: str
    gateway: str | None = None
    interface: int | None = None


class FlatIpWire(msgspec.Struct, frozen=True, kw_only=True):
    """``ip4`` or ``ip6`` of the old versions."""

    ip: str
    gateway: str | None = None
    routes: list[RouteWire] | None = None


class ResultWire(msgspec.Struct, frozen=True, kw_only=True):
    """A result of any version; Go programs write null for an empty list."""

    interfaces: list[InterfaceWire] | None = None
    ips: list[IpWire] | None = None
    routes: list[RouteWire] | None = None
    dns: DnsWire | None = None
    ip4: FlatIpWire | None = None
    ip6: FlatIpWire | None = None


class ErrorWire(msgspec.Struct, frozen=True, kw_only=True):
    """An error object; its code is an unsigned number, as runtimes read it."""

    code: Annotated[int, msgspec.Meta(ge=0, le=_MAX_CODE)]
    msg: str = ""
    details: str = ""


class VersionedWire(msgspec.Struct, frozen=True, kw_only=True):
    """What says in which version a configuration or a result is."""

    cni_version: str | None = msgspec.field(name="cniVersion", default=None)


def stated_version(data: bytes) -> CniVersion | None:
    """Return the version of a configuration or a result; None for one that is not known.

    Without one it is 0.1.0 (CNI specification, "Version"); libcni sends "" for none.

    Raises:
        InvalidRequestError: It is no JSON object.
    """
    try:
        version = decode_foreign(data, VersionedWire).cni_version
    except msgspec.DecodeError as error:
        raise InvalidRequestError(f"no readable cniVersion: {error}") from error
    try:
        return CniVersion(version or CniVersion.V0_1_0)
    except ValueError:
        return None


def decode_result(data: bytes) -> CniResult:
    """Read a result of any version.

    Raises:
        InvalidRequestError: It is no JSON, or not in the form of a result.
    """
    try:
        wire = decode_foreign(data, ResultWire)
        return CniResult(
            interfaces=tuple(_decode_interface(each) for each in wire.interfaces or ()),
            ips=(*_flat_ips(wire), *(_decode_ip(each) for each in wire.ips or ())),
            routes=tuple(_decode_route(each) for each in _all_routes(wire)),
            dns=_decode_dns(wire.dns or DnsWire()),
        )
    except (msgspec.DecodeError, UnreadableValueError) as error:
        raise InvalidRequestError(f"unreadable CNI result: {error}") from error


def _decode_interface(wire: InterfaceWire) -> CniInterface:
    return CniInterface(
        name=wire.name,
        mac=wire.mac or None,
        sandbox=wire.sandbox or None,
        mtu=wire.mtu or None,
        socket_path=wire.socket_path or None,
        pci_id=wire.pci_id or None,
    )


def _decode_ip(wire: IpWire) -> CniIp:
    return CniIp(
        address=parse_ip_interface(wire.address),
        gateway=parse_ip(wire.gateway) if wire.gateway else None,
        interface=wire.interface,
    )


def _flat_ips(wire: ResultWire) -> Iterable[CniIp]:
    for flat in (wire.ip4, wire.ip6):
        if flat is not None:
            yield _decode_ip(IpWire(address=flat.ip, gateway=flat.gateway))


def _all_routes(wire: ResultWire) -> Iterable[RouteWire]:
    for flat in (wire.ip4, wire.ip6):
        if flat is not None:
            yield from flat.routes or ()
    yield from wire.routes or ()


def _decode_route(wire: RouteWire) -> CniRoute:
    return CniRoute(
        destination=parse_ip_network(wire.dst),
        gateway=parse_ip(wire.gw) if wire.gw else None,
        # Zero is what Go programs write for nothing, except of table and scope.
        mtu=wire.mtu or None,
        advmss=wire.advmss or None,
        priority=wire.priority or None,
        table=wire.table,
        scope=wire.scope,
    )


def _decode_dns(wire: DnsWire) -> CniDns:
    return CniDns(
        nameservers=wire.nameservers,
        domain=wire.domain or None,
        search=wire.search,
        options=wire.options,
    )


def encode_result(result: CniResult, version: CniVersion) -> bytes:
    """Print a result in the form of a version.

    Versions 0.1.0 and 0.2.0 can say one address of each family: the first is printed. An IPAM
    plugin's result knows no interfaces, and must not have the list.
    """
    wire: dict[str, Any] = {"cniVersion": version.value}
    if version in _FLAT_VERSIONS:
        wire |= _flat_form(result)
    else:
        if result.interfaces:
            wire["interfaces"] = [_encode_interface(each, version) for each in result.interfaces]
        wire["ips"] = [_encode_ip(each, version) for each in result.ips]
        wire["routes"] = [_encode_route(each, version) for each in result.routes]
    wire["dns"] = _encode_dns(result.dns)
    return msgspec.json.encode(wire)


def _flat_form(result: CniResult) -> dict[str, Any]:
    wire: dict[str, Any] = {}
    for key, family in (("ip4", IPv4Interface), ("ip6", IPv6Interface)):
        first = next((ip for ip in result.ips if isinstance(ip.address, family)), None)
        if first is None:
            continue
        flat: dict[str, Any] = {"ip": str(first.address)}
        if first.gateway is not None:
            flat["gateway"] = str(first.gateway)
        routes = [
            _encode_route(route, CniVersion.V0_1_0)
            for route in result.routes
            if route.destination.version == first.address.version
        ]
        if routes:
            flat["routes"] = routes
        wire[key] = flat
    return wire


def _encode_interface(interface: CniInterface, version: CniVersion) -> dict[str, Any]:
    wire: dict[str, Any] = {"name": interface.name}
    if interface.mac is not None:
        wire["mac"] = interface.mac
    if interface.sandbox is not None:
        wire["sandbox"] = interface.sandbox
    if version is CniVersion.V1_1_0:
        wire |= _present(
            mtu=interface.mtu, socketPath=interface.socket_path, pciID=interface.pci_id
        )
    return wire


def _present(**keys: Any) -> dict[str, Any]:  # noqa: ANN401
    return {key: value for key, value in keys.items() if value is not None}


def _encode_ip(ip: CniIp, version: CniVersion) -> dict[str, Any]:
    wire: dict[str, Any] = {"address": str(ip.address)}
    if version in _VERSIONS_WITH_FAMILY:
        wire["version"] = str(ip.address.version)
    if ip.gateway is not None:
        wire["gateway"] = str(ip.gateway)
    if ip.interface is not None:
        wire["interface"] = ip.interface
    return wire


def _encode_route(route: CniRoute, version: CniVersion) -> dict[str, Any]:
    wire: dict[str, Any] = {"dst": str(route.destination)}
    if route.gateway is not None:
        wire["gw"] = str(route.gateway)
    if version is CniVersion.V1_1_0:
        wire |= _present(
            mtu=route.mtu,
            advmss=route.advmss,
            priority=route.priority,
            table=route.table,
            scope=route.scope,
        )
    return wire


def _encode_dns(dns: CniDns) -> dict[str, Any]:
    wire = {
        "nameservers": list(dns.nameservers),
        "domain": dns.domain,
        "search": list(dns.search),
        "options": list(dns.options),
    }
    return {key: value for key, value in wire.items() if value}


def encode_error(error: CniError, version: CniVersion) -> bytes:
    """Print an error object."""
    wire: dict[str, Any] = {
        "cniVersion": version.value,
        "code": error.code,
        "msg": error.message,
    }
    if error.details:
        wire["details"] = error.details
    return msgspec.json.encode(wire)


def decode_error(data: bytes) -> CniError | None:
    """Read what a failed plugin printed; None when that is no error object."""
    try:
        wire = decode_foreign(data, ErrorWire)
    except msgspec.DecodeError:
        return None
    return CniError(code=wire.code, message=wire.msg, details=wire.details)
