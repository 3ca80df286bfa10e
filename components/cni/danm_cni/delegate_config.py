"""The configurations that delegate plugins are called with. Pure.

An sriov network's is made from the DanmNet (SPEC E1). Static types and the fallback get the
administrator's file (SPEC E2, B2). Either way the answer is a chain of plugins, each rendered with
the result of the one before it (CNI specification 1.1.0, section 4).
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv6Interface
from typing import Any, Final

import msgspec

from danm_api.codec.cni import VersionedWire, decode_result, encode_result, stated_version
from danm_api.codec.json_text import decode_foreign
from danm_api.errors import InvalidNetworkError, InvalidRequestError
from danm_api.model.cni import CniResult, CniVersion
from danm_api.model.danmnet import BuiltInType, NetworkSpec, Untagged, Vlan, Vxlan
from danm_api.names import InterfaceName
from danm_cni.plan import PlannedRoute

# What a generated configuration speaks: the reference plugins of the last five years know it.
GENERATED_VERSION: Final = CniVersion.V0_4_0
# The plugin that must never be called by itself (SPEC E2).
OWN_TYPE: Final = "danm"

_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginConfig:
    """One plugin of a chain.

    Attributes:
        type: The plugin's executable.
        exact: The bytes to send as they are; None when they must be rendered.
        keys: The configuration as read.
    """

    type: str
    keys: Mapping[str, Any]
    exact: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginChain:
    """The plugins of one network, in the order of ADD.

    Attributes:
        source: What errors name: the file, or the DanmNet.
        checks: CHECK may be asked of its plugins (``disableCheck``).
        collects: GC may be asked of its plugins (``disableGC``).
    """

    source: str
    version: str
    plugins: tuple[PluginConfig, ...]
    checks: bool = True
    collects: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DpdkSettings:
    """Names for SR-IOV with a user-space driver, from danmd's environment (SPEC E1)."""

    kernel_driver: str = ""
    dpdk_driver: str = ""
    dpdk_tool: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamicAddresses:
    """What ipam-svc reserved for one interface."""

    ip: IPv4Interface | None = None
    ip6: IPv6Interface | None = None
    mac: str | None = None

    @property
    def delegated(self) -> IPv4Interface | IPv6Interface | None:
        """Return the one that the delegate is given; the node adds the other itself."""
        return self.ip if self.ip is not None else self.ip6

    @property
    def both(self) -> tuple[IPv4Interface | IPv6Interface, ...]:
        """Return those that there are, IPv4 first."""
        return tuple(each for each in (self.ip, self.ip6) if each is not None)


_NO_DPDK: Final = DpdkSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class SriovRequest:
    """What an sriov delegate's configuration is made of.

    Attributes:
        routes: Of all tables.
        device: The id, as its device plugin names it, of the one that the Pod was given.
    """

    spec: NetworkSpec
    interface: InterfaceName
    addresses: DynamicAddresses
    routes: tuple[PlannedRoute, ...] = ()
    device: str = ""
    dpdk: DpdkSettings = field(default=_NO_DPDK)


def sriov_chain(request: SriovRequest) -> PluginChain:
    """Return the chain of an sriov network (SPEC E1)."""
    spec = request.spec
    keys: dict[str, Any] = {
        "cniVersion": str(GENERATED_VERSION),
        "name": spec.network_id,
        "type": BuiltInType.SRIOV.value,
        **_device(request),
        "ipam": _ipam(request),
    }
    if request.addresses.mac is not None:
        keys["runtimeConfig"] = {"mac": request.addresses.mac}
    plugin = PluginConfig(type=BuiltInType.SRIOV.value, keys=keys, exact=msgspec.json.encode(keys))
    return PluginChain(
        source=f"DanmNet {spec.network_id}", version=str(GENERATED_VERSION), plugins=(plugin,)
    )


def _device(request: SriovRequest) -> dict[str, Any]:
    spec = request.spec
    keys: dict[str, Any] = {
        "if0name": request.interface,
        "l2enable": request.addresses.delegated is None,
    }
    if request.device:
        keys["deviceID"] = request.device
    else:
        keys["if0"] = spec.host_device
    match spec.segment:
        case Vlan(vid=vid):
            keys["vlan"] = vid
        case Untagged() | Vxlan():
            pass
    if spec.dpdk:
        keys["dpdk"] = {
            "kernel_driver": request.dpdk.kernel_driver,
            "dpdk_driver": request.dpdk.dpdk_driver,
            "dpdk_tool": request.dpdk.dpdk_tool,
        }
    return keys


def _ipam(request: SriovRequest) -> dict[str, Any]:
    address = request.addresses.delegated
    if address is None:
        return {}
    spec = request.spec
    routes = plugin_routes(request.routes, address)
    of_family = spec.routes if isinstance(address, IPv4Interface) else spec.routes6
    keys: dict[str, Any] = {
        "type": "fakeipam",
        "ip": str(address.ip),
        "subnet": str(address.network),
    }
    if routes:
        keys["routes"] = [
            {"dst": str(each.destination), "gw": str(each.gateway)} for each in routes
        ]
    default = next((each for each in of_family if each.destination.prefixlen == 0), None)
    if default is not None:
        keys["gateway"] = str(default.gateway)
    return keys


def plugin_routes(
    routes: Sequence[PlannedRoute], address: IPv4Interface | IPv6Interface | None
) -> tuple[PlannedRoute, ...]:
    """Return the routes that a plugin adds itself: it knows neither tables nor metrics.

    Args:
        routes: All of an interface.
        address: The one that the plugin is given.
    """
    return tuple(
        each
        for each in routes
        if address is not None
        and each.destination.version == address.version
        and each.table is None
        and each.metric is None
    )


def is_plain_name(name: str) -> bool:
    """Say whether a name could not reach another directory."""
    return _PLAIN_NAME.fullmatch(name) is not None and ".." not in name


def require_plain_name(name: str) -> None:
    """Refuse a name that could reach another directory.

    Source: SPEC E2: a DanmNet's author must not run or read arbitrary files.

    Raises:
        InvalidNetworkError: It is no plain file name.
    """
    if not is_plain_name(name):
        raise InvalidNetworkError(
            f"NetworkType or plugin {name!r} is not a plain file name: letters, digits, '.', '_' "
            "and '-' are allowed"
        )


def render(
    plugin: PluginConfig,
    *,
    previous: bytes | None,
    runtime_config: Mapping[str, Any],
) -> bytes:
    """Return the bytes for a plugin's standard input.

    Args:
        plugin: One of a chain.
        previous: The result of the plugin before it.
        runtime_config: What the runtime gave; only declared capabilities are passed on.
    """
    offered = _capabilities(plugin, runtime_config)
    if plugin.exact is not None and not offered and "capabilities" not in plugin.keys:
        return plugin.exact
    keys = {key: value for key, value in plugin.keys.items() if key != "capabilities"}
    if offered:
        keys["runtimeConfig"] = offered
    if previous is not None:
        keys["prevResult"] = msgspec.Raw(previous)
    return msgspec.json.encode(keys)


def knows(config: bytes, since: CniVersion) -> bool:
    """Say whether a rendered configuration's version has what came with ``since``."""
    version = stated_version(config)
    return version is not None and version.has(since)


def result_for(config: bytes, output: bytes) -> bytes:
    """Return a result in the version of a configuration, whose plugin is to read it.

    Plugins refuse a previous result of a version that is not theirs, or of none; libcni sees to it
    in the same way. What has the version already, or is no result, stays as it is.

    Args:
        config: Rendered.
        output: What a plugin printed, or a runtime kept.
    """
    try:
        wanted = stated_version(config)
        keys = decode_foreign(output, dict[str, msgspec.Raw])
        if wanted is None or ("cniVersion" in keys and stated_version(output) is wanted):
            return output
        if decode_foreign(output, VersionedWire).cni_version:
            return encode_result(decode_result(output), wanted)
    except (InvalidRequestError, msgspec.DecodeError):
        return output
    return msgspec.json.encode({**keys, "cniVersion": wanted.value})


def with_previous(config: bytes, output: bytes) -> bytes:
    """Return a rendered configuration with its chain's result; all else stays as it is.

    Source: CNI specification 1.1.0, section 4: CHECK gets it, and DEL where it is known.
    """
    keys = msgspec.json.decode(config, type=dict[str, msgspec.Raw])
    return msgspec.json.encode({**keys, "prevResult": msgspec.Raw(output)})


def with_later_changes(output: bytes, final: CniResult) -> bytes:
    """Return a delegate's result with what plugins after danm in its list have changed since.

    Source: CNI specification 1.1.0, section 2: CHECK bears with that. Such plugins (tuning) set
    the MAC and the MTU of an interface that is there.

    Args:
        output: What the delegate printed.
        final: The result of danm's whole list.
    """
    keys = msgspec.json.decode(output, type=dict[str, Any])
    changes = {(each.name, each.sandbox): each for each in final.interfaces}
    interfaces = keys.get("interfaces") or []
    for interface in interfaces:
        now = changes.get((interface.get("name"), interface.get("sandbox") or None))
        if now is not None:
            told = {"mac": now.mac, "mtu": now.mtu}
            interface.update({key: told[key] for key in told if told[key] and key in interface})
    return msgspec.json.encode(keys) if interfaces else output


def with_valid_attachments(config: bytes, valid: Collection[tuple[str, str]]) -> bytes:
    """Return a rendered configuration for GC.

    CNI 1.1.0 was published with ``cni.dev/attachments`` for the list, and was corrected to
    ``cni.dev/valid-attachments``, which libcni reads: plugins get it under both.

    Args:
        config: Of one plugin.
        valid: (container id, interface) of everything that is to stay.
    """
    keys = msgspec.json.decode(config, type=dict[str, msgspec.Raw])
    listed = [{"containerID": container, "ifname": name} for container, name in sorted(valid)]
    raw = msgspec.Raw(msgspec.json.encode(listed))
    return msgspec.json.encode(
        {**keys, "cni.dev/attachments": raw, "cni.dev/valid-attachments": raw}
    )


def _capabilities(plugin: PluginConfig, runtime_config: Mapping[str, Any]) -> dict[str, Any]:
    declared = plugin.keys.get("capabilities")
    if not isinstance(declared, dict):
        return {}
    return {key: value for key, value in runtime_config.items() if declared.get(key) is True}
