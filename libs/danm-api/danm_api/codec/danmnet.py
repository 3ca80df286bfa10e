"""The wire form of DanmNet (SPEC A1, A4, A7). Pure."""

from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Final, Protocol, TypeVar

import msgspec

from danm_api.codec.meta import Metadata, RawObject, decode_metadata
from danm_api.codec.network_status import (
    decode_conditions,
    decode_node_sum,
    decode_usage,
    encode_condition,
    encode_node_sum,
    encode_usage,
    encode_usage6,
)
from danm_api.codec.values import (
    Findings,
    encode_routes,
    parse_exclusion,
    parse_ipv4,
    parse_ipv4_network,
    parse_ipv6,
    parse_ipv6_network,
    read_routes,
    read_routes6,
)
from danm_api.errors import InvalidObjectError
from danm_api.model.addresses import IPNetwork, IPv4Range, IPv6Range, usable_ipv4, usable_ipv6
from danm_api.model.danmnet import (
    BuiltInType,
    DanmNet,
    NetworkSpec,
    NetworkStatus,
    NetworkType,
    Segment,
    StaticDelegate,
    UnreadableSpec,
    Untagged,
    Vlan,
    Vxlan,
)
from danm_api.model.limits import (
    MAX_COOLDOWN_S,
    MAX_MTU,
    MAX_VID,
    MAX_VNI,
    MIN_MTU,
    MIN_VID,
    MIN_VNI,
)
from danm_api.names import Namespace, NetworkName, NetworkUid

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_OPTIONS: Final = "spec.Options"
_VALID: Final = "True"


class _Range(Protocol[T_co]):
    """A range of either family."""

    @property
    def start(self) -> T_co: ...

    @property
    def end(self) -> T_co: ...


class _Decode(Protocol[T_co]):
    """Reads a part of an object, which ``where`` names in errors."""

    def __call__(self, raw: object, *, where: str) -> T_co: ...


class PoolWire(msgspec.Struct, frozen=True, kw_only=True):
    """A pool's ends, both inclusive."""

    start: str | None = None
    end: str | None = None


class OptionsWire(msgspec.Struct, frozen=True, kw_only=True):
    """``spec.Options``; other keys, such as the old program's ``alloc``, are ignored."""

    host_device: str | None = None
    cidr: str | None = None
    allocation_pool: PoolWire | None = None
    net6: str | None = None
    allocation_pool6: PoolWire | None = None
    exclude: list[str] | None = None
    container_prefix: str | None = None
    rt_tables: int | None = None
    routes: dict[str, str] | None = None
    routes6: dict[str, str] | None = None
    vxlan: int | None = None
    vlan: int | None = None
    mtu: int | None = None
    cooldown: int | None = None
    dpdk: bool | None = None
    device_pool: str | None = None
    fakeipam: bool | None = None


class SpecWire(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """``spec``."""

    network_id: str = msgspec.field(name="NetworkID")
    network_type: str | None = None
    validation: str | None = None
    options: OptionsWire | None = None


def decode_danmnet(raw: RawObject) -> DanmNet:
    """Read a DanmNet. A spec that does not parse becomes an UnreadableSpec, and is no error.

    Nor is a part of the status that does not, as another release's might: whoever writes that part
    writes it anew, and meanwhile the network binds others by the rest.

    Raises:
        InvalidObjectError: The object has no metadata.
    """
    metadata = decode_metadata(raw)
    return DanmNet(
        namespace=Namespace(metadata.namespace),
        name=NetworkName(metadata.name),
        uid=NetworkUid(metadata.uid),
        generation=metadata.generation,
        resource_version=metadata.resource_version,
        spec=_decode_spec(raw.get("spec", {})),
        created=metadata.created,
        marked_valid=_marked_valid(raw.get("spec")),
        deleting=metadata.deleting,
        finalizers=metadata.finalizers or (),
        labels=dict(metadata.labels or {}),
        status=_decode_status(raw.get("status"), metadata),
    )


def _marked_valid(spec: object) -> bool:
    return isinstance(spec, dict) and spec.get("Validation") == _VALID


def encode_marked_valid(*, valid: bool) -> RawObject:
    """Return the merge patch that writes ``spec.Validation`` (SPEC A6)."""
    return {"spec": {"Validation": "True" if valid else "False"}}


def _decode_spec(raw: object) -> NetworkSpec | UnreadableSpec:
    findings = Findings()
    wire = findings.read_struct(raw, SpecWire, field="spec", rule="A1")
    if wire is None:
        return UnreadableSpec(violations=findings.violations)
    options = wire.options or OptionsWire()
    cidr = _optional(findings, parse_ipv4_network, options.cidr, "cidr")
    net6 = _optional(findings, parse_ipv6_network, options.net6, "net6")
    spec = NetworkSpec(
        network_id=NetworkName(wire.network_id),
        network_type=decode_network_type(wire.network_type or ""),
        host_device=options.host_device or None,
        segment=_read_segment(findings, options),
        cidr=cidr,
        pool=_read_pool(findings, options.allocation_pool, cidr),
        net6=net6,
        pool6=_read_pool6(findings, options.allocation_pool6, net6),
        exclude=_read_exclude(findings, options),
        container_prefix=options.container_prefix or None,
        routing_table=options.rt_tables,
        routes=read_routes(findings, options.routes, field=f"{_OPTIONS}.routes", rule="N1"),
        routes6=read_routes6(findings, options.routes6, field=f"{_OPTIONS}.routes6", rule="N1"),
        mtu=_within(findings, options.mtu, "mtu", low=MIN_MTU, high=MAX_MTU),
        cooldown_s=_within(findings, options.cooldown, "cooldown", low=0, high=MAX_COOLDOWN_S) or 0,
        dpdk=options.dpdk or False,
        device_pool=options.device_pool or None,
        fakeipam=options.fakeipam or False,
    )
    if findings.violations:
        return UnreadableSpec(violations=findings.violations)
    return spec


def decode_network_type(text: str) -> NetworkType:
    """Return the type; built-in ones match case-insensitively and are the default (SPEC A1)."""
    if not text:
        return BuiltInType.IPVLAN
    try:
        return BuiltInType(text.lower())
    except ValueError:
        return StaticDelegate(name=text)


def encode_network_type(network_type: NetworkType) -> str:
    """Return the type as it stands in ``spec.NetworkType``."""
    match network_type:
        case BuiltInType():
            return network_type.value
        case StaticDelegate():
            return network_type.name


def _optional(
    findings: Findings, parse: Callable[[str], T], text: str | None, option: str
) -> T | None:
    # An empty text stands for a missing one: the old program exported manifests with such.
    return findings.read(parse, text, field=f"{_OPTIONS}.{option}", rule="N1") if text else None


def _within(
    findings: Findings, value: int | None, option: str, *, low: int, high: int
) -> int | None:
    if value is not None and not low <= value <= high:
        message = f"{value} is out of range; choose a number from {low} to {high}"
        findings.add(field=f"{_OPTIONS}.{option}", rule="A1", message=message)
    return value


def _read_segment(findings: Findings, options: OptionsWire) -> Segment:
    if options.vlan is not None and options.vxlan is not None:
        message = "vlan and vxlan exclude each other; remove one of them"
        findings.add(field=f"{_OPTIONS}.vlan", rule="N1", message=message)
    vid = _within(findings, options.vlan, "vlan", low=MIN_VID, high=MAX_VID)
    if vid is not None:
        return Vlan(vid=vid)
    vni = _within(findings, options.vxlan, "vxlan", low=MIN_VNI, high=MAX_VNI)
    if vni is not None:
        return Vxlan(vni=vni)
    return Untagged()


def _read_pool(
    findings: Findings, pool: PoolWire | None, cidr: IPv4Network | None
) -> IPv4Range | None:
    usable = None if cidr is None else usable_ipv4(cidr)
    ends = _pool_ends(findings, pool, "allocation_pool", parse_ipv4, usable)
    return None if ends is None else IPv4Range(start=ends[0], end=ends[1])


def _read_pool6(
    findings: Findings, pool: PoolWire | None, net6: IPv6Network | None
) -> IPv6Range | None:
    usable = None if net6 is None else usable_ipv6(net6)
    ends = _pool_ends(findings, pool, "allocation_pool6", parse_ipv6, usable)
    return None if ends is None else IPv6Range(start=ends[0], end=ends[1])


def _pool_ends(
    findings: Findings,
    pool: PoolWire | None,
    option: str,
    parse: Callable[[str], T],
    usable: _Range[T] | None,
) -> tuple[T, T] | None:
    # Empty ends stand for missing ones: the old program exported manifests with such.
    if pool is None or not (pool.start or pool.end):
        return None
    if usable is None and not (pool.start and pool.end):
        message = "stands without its subnet and lacks an end; set the subnet, or remove the pool"
        findings.add(field=f"{_OPTIONS}.{option}", rule="N1", message=message)
        return None
    low, high = (None, None) if usable is None else (usable.start, usable.end)
    start = _pool_end(findings, pool.start, f"{option}.start", parse, low)
    end = _pool_end(findings, pool.end, f"{option}.end", parse, high)
    return None if start is None or end is None else (start, end)


def _pool_end(
    findings: Findings,
    text: str | None,
    option: str,
    parse: Callable[[str], T],
    default: T | None,
) -> T | None:
    if not text:
        return default
    return findings.read(parse, text, field=f"{_OPTIONS}.{option}", rule="N1")


def _read_exclude(findings: Findings, options: OptionsWire) -> tuple[IPNetwork, ...]:
    read = [
        findings.read(parse_exclusion, text, field=f"{_OPTIONS}.exclude[{index}]", rule="A7")
        for index, text in enumerate(options.exclude or [])
    ]
    return tuple(network for network in read if network is not None)


def encode_spec(spec: NetworkSpec) -> dict[str, Any]:
    """Return the wire form of a spec without ``Validation``, as ``status.applied`` has it."""
    options: dict[str, Any] = {
        "host_device": spec.host_device,
        "cidr": _text(spec.cidr),
        "allocation_pool": _encode_pool(spec.pool),
        "net6": _text(spec.net6),
        "allocation_pool6": _encode_pool(spec.pool6),
        "exclude": [_encode_exclusion(network) for network in spec.exclude] or None,
        "container_prefix": spec.container_prefix,
        "rt_tables": spec.routing_table,
        "routes": encode_routes(spec.routes) or None,
        "routes6": encode_routes(spec.routes6) or None,
        "mtu": spec.mtu,
        "cooldown": spec.cooldown_s or None,
        "dpdk": spec.dpdk or None,
        "device_pool": spec.device_pool,
        "fakeipam": spec.fakeipam or None,
    }
    match spec.segment:
        case Vlan(vid=vid):
            options["vlan"] = vid
        case Vxlan(vni=vni):
            options["vxlan"] = vni
        case Untagged():
            pass
    return {
        "NetworkID": spec.network_id,
        "NetworkType": encode_network_type(spec.network_type),
        "Options": {key: value for key, value in options.items() if value is not None},
    }


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _encode_pool(pool: IPv4Range | IPv6Range | None) -> dict[str, str] | None:
    return None if pool is None else {"start": str(pool.start), "end": str(pool.end)}


def _encode_exclusion(network: IPNetwork) -> str:
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def _decode_status(raw: object, metadata: Metadata) -> NetworkStatus:
    if not isinstance(raw, dict):
        return NetworkStatus()
    applied = _decode_spec(raw["applied"]) if raw.get("applied") is not None else None
    where = f"DanmNet {metadata.namespace}/{metadata.name}"

    def part(decode: _Decode[T], key: str, otherwise: T) -> T:
        try:
            return decode(raw.get(key), where=where)
        except InvalidObjectError:
            return otherwise

    return NetworkStatus(
        # Only the validator writes it. What a later release wrote there and this one cannot read
        # is not in force here: the network counts as not validated yet.
        applied=applied if isinstance(applied, NetworkSpec) else None,
        conditions=part(decode_conditions, "conditions", ()),
        ipv4=part(decode_usage, "ipv4", None),
        ipv6=part(decode_usage, "ipv6", None),
        nodes=part(decode_node_sum, "nodes", None),
        observed_generation=part(_decode_generation, "observedGeneration", 0),
    )


def _decode_generation(raw: object, *, where: str) -> int:
    try:
        return msgspec.convert(raw or 0, int)
    except msgspec.ValidationError as error:
        reason = f"{where} has an unreadable observedGeneration: {error}"
        raise InvalidObjectError(reason) from error


def encode_status(status: NetworkStatus) -> dict[str, Any]:
    """Return the wire form of a whole status; what is None is left out."""
    wire: dict[str, Any] = {
        "observedGeneration": status.observed_generation,
        "conditions": [encode_condition(condition) for condition in status.conditions],
    }
    if status.applied is not None:
        wire["applied"] = encode_spec(status.applied)
    if status.ipv4 is not None:
        wire["ipv4"] = encode_usage(status.ipv4)
    if status.ipv6 is not None:
        wire["ipv6"] = encode_usage6(status.ipv6)
    if status.nodes is not None:
        wire["nodes"] = encode_node_sum(status.nodes)
    return wire
