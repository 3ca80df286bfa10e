"""A strict reader of what plugins print, written from the CNI specification's texts. Pure.

Source: SPEC.md of the tags spec-v0.1.0 to spec-v1.1.0. 0.3.0 names the addresses ``ip`` where
0.3.1 says ``ips`` and calls that a correction of a typing error, so ``ips`` it is.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any, Final, TypeGuard

from tests.cni.table import NEWEST, VERSIONS, at_least

# 0 to 99 are reserved in every version; the meanings are 1.1.0's, where all of them are written.
# Earlier texts list fewer, and libcni's plugins answer the same ones in every version.
CODES: Final = frozenset({1, 2, 3, 4, 5, 6, 7, 11})
# "in the context of STATUS"
STATUS_CODES: Final = frozenset({50, 51})
_FIRST_FREE_CODE: Final = 100

_MAC: Final = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}")
_PCI: Final = re.compile(r"[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_SCOPES: Final = frozenset({0, 253, 254})
_MAX_NAME: Final = 15


class NotConformError(AssertionError):
    """What was printed is not what the specification says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a plugin ended, and what it printed on standard output."""

    status: int
    output: bytes


def read_result(
    outcome: Outcome, version: str, *, netns: str, interface: str = "eth0"
) -> dict[str, Any]:
    """Return the result of an ADD.

    Args:
        outcome: Of the plugin.
        version: The one asked for.
        netns: CNI_NETNS.
        interface: CNI_IFNAME.

    Raises:
        NotConformError: It is none of that version.
    """
    return _Reader(version=version, netns=netns, interface=interface).result(_success(outcome))


def read_ipam_result(outcome: Outcome, version: str) -> dict[str, Any]:
    """Return the result of an IPAM plugin's ADD, which knows no interfaces.

    Raises:
        NotConformError: It is none of that version.
    """
    return _Reader(version=version, netns=None, interface="").result(_success(outcome))


def read_nothing(outcome: Outcome) -> None:
    """Require what DEL, CHECK, GC and STATUS print when they succeed: nothing.

    Raises:
        NotConformError: It failed, or printed something.
    """
    if outcome.status != 0 or outcome.output:
        raise NotConformError(f"status {outcome.status} and {outcome.output!r}, not 0 and nothing")


def read_versions(outcome: Outcome, version: str) -> dict[str, Any]:
    """Return the answer to VERSION.

    Raises:
        NotConformError: It is none, or lacks a version.
    """
    answer = _object(_success(outcome), "answer")
    _keys(answer, "answer", required=("cniVersion", "supportedVersions"))
    _same("cniVersion", answer["cniVersion"], version)
    _same("supportedVersions", answer["supportedVersions"], list(VERSIONS))
    return answer


def read_error(
    outcome: Outcome, version: str, *, code: int, names: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the error object of a plugin that failed.

    Args:
        outcome: Of the plugin.
        version: The one asked for; one that does not exist is answered in the newest.
        code: The one to expect.
        names: What its sentence must name.

    Raises:
        NotConformError: It succeeded, or told something else.
    """
    if outcome.status == 0:
        raise NotConformError(f"success with {outcome.output!r}, not an error {code}")
    error = _object(_json(outcome.output), "error")
    _keys(error, "error", required=("cniVersion", "code", "msg"), optional=("details",))
    _same("cniVersion", error["cniVersion"], version if version in VERSIONS else NEWEST)
    told = error["code"]
    if not _is_whole(told) or (told < _FIRST_FREE_CODE and told not in CODES | STATUS_CODES):
        raise NotConformError(f"code {told!r} is reserved and has no meaning")
    for key in ("msg", "details"):
        _text(error.get(key, "-"), key)
    _same("code", told, code)
    if missing := [name for name in names if name not in error["msg"]]:
        raise NotConformError(f"the message must name {missing}: {error['msg']}")
    return error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    """Reads results of one version.

    Attributes:
        netns: CNI_NETNS; None of an IPAM plugin.
    """

    version: str
    netns: str | None
    interface: str

    def result(self, value: object) -> dict[str, Any]:
        result = _object(value, "result")
        # Marked optional from 0.4.0 on.
        dns = ("required", "optional")[at_least(self.version, "0.4.0")]
        if not at_least(self.version, "0.3.0"):
            keys = {"ip4": "optional", "ip6": "optional", "dns": dns}
        else:
            keys = {"ips": "required", "routes": "optional", "dns": dns}
            if self.netns is not None:
                keys["interfaces"] = "required"
        _keys(
            result,
            "result",
            required=("cniVersion", *(key for key, what in keys.items() if what == "required")),
            optional=tuple(key for key, what in keys.items() if what == "optional"),
        )
        _same("cniVersion", result["cniVersion"], self.version)
        for family, key in ((4, "ip4"), (6, "ip6")):
            if key in result:
                self._flat(result[key], key, family)
        _each(result, "interfaces", self._interface)
        _each(result, "ips", lambda ip, where: self._ip(ip, where, result.get("interfaces", [])))
        _each(result, "routes", self._route)
        _dns(result.get("dns", {}))
        if self.netns is not None and at_least(self.version, "0.3.0"):
            self._own_interface(result["interfaces"])
        return result

    def _flat(self, value: object, where: str, family: int) -> None:
        ip = _object(value, where)
        _keys(ip, where, required=("ip",), optional=("gateway", "routes"))
        _family(_address(ip["ip"], f"{where}.ip"), family, f"{where}.ip")
        if "gateway" in ip:
            _family(_host(ip["gateway"], f"{where}.gateway"), family, f"{where}.gateway")
        for route in _each(ip, "routes", self._route):
            _family(ip_network(route["dst"]).version, family, f"{where}.routes")

    def _interface(self, interface: dict[str, Any], where: str) -> None:
        texts = {"mac": _mac}
        numbers: dict[str, Callable[[object, str], object]] = {}
        if at_least(self.version, "1.1.0"):
            texts |= {"socketPath": _path, "pciID": _pci}
            numbers = {"mtu": _uint}
        _keys(interface, where, required=("name",), optional=("sandbox", *texts, *numbers))
        _text(interface["name"], f"{where}.name")
        if len(interface["name"]) > _MAX_NAME:
            raise NotConformError(f"{where}.name {interface['name']!r} is no interface's name")
        for key, read in {**texts, **numbers}.items():
            if key in interface:
                read(interface[key], f"{where}.{key}")
        # "empty/omitted for host interfaces"
        if interface.get("sandbox", "") not in ("", self.netns):
            raise NotConformError(f"{where}.sandbox is not CNI_NETNS ({self.netns})")

    def _own_interface(self, interfaces: Sequence[Mapping[str, Any]]) -> None:
        inside = [each["name"] for each in interfaces if each.get("sandbox")]
        if inside.count(self.interface) != 1:
            raise NotConformError(
                f"CNI_IFNAME is {self.interface}, and the interfaces with a sandbox are {inside}"
            )

    def _ip(self, ip: dict[str, Any], where: str, interfaces: Sequence[object]) -> None:
        required = ["address"]
        if not at_least(self.version, "1.0.0"):
            required.append("version")
        if self.netns is not None:
            required.append("interface")
        _keys(ip, where, required=required, optional=("gateway",))
        family = _address(ip["address"], f"{where}.address")
        if "version" in ip:
            _same(f"{where}.version", ip["version"], str(family))
        if "gateway" in ip:
            _family(_host(ip["gateway"], f"{where}.gateway"), family, f"{where}.gateway")
        if "interface" in ip and _uint(ip["interface"], where) >= len(interfaces):
            raise NotConformError(f"{where}.interface {ip['interface']} is no index of interfaces")

    def _route(self, route: dict[str, Any], where: str) -> None:
        numbers: tuple[str, ...] = ()
        if at_least(self.version, "1.1.0"):
            numbers = ("mtu", "advmss", "priority", "table", "scope")
        _keys(route, where, required=("dst",), optional=("gw", *numbers))
        family = _subnet(route["dst"], f"{where}.dst")
        if "gw" in route:
            _family(_host(route["gw"], f"{where}.gw"), family, f"{where}.gw")
        for key in numbers:
            _uint(route.get(key, 0), f"{where}.{key}")
        if route.get("scope", 0) not in _SCOPES:
            raise NotConformError(f"{where}.scope is none of {sorted(_SCOPES)}")


def _success(outcome: Outcome) -> object:
    if outcome.status != 0:
        raise NotConformError(f"status {outcome.status}: {outcome.output!r}")
    return _json(outcome.output)


def _json(output: bytes) -> object:
    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        keys = [key for key, _ in pairs]
        if len(set(keys)) != len(keys):
            raise NotConformError(f"a key comes twice: {keys}")
        return dict(pairs)

    def refuse(constant: str) -> None:
        raise NotConformError(f"{constant} is no JSON")

    try:
        return json.loads(output.decode(), object_pairs_hook=unique, parse_constant=refuse)
    except ValueError as error:
        raise NotConformError(f"no JSON: {error}: {output[:200]!r}") from error


def _object(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise NotConformError(f"{where} is no object: {value!r}")
    return value


def _keys(
    value: Mapping[str, Any], where: str, *, required: Sequence[str], optional: Sequence[str] = ()
) -> None:
    if missing := [key for key in required if key not in value]:
        raise NotConformError(f"{where} lacks {missing}: {value!r}")
    if unknown := sorted(set(value) - {*required, *optional}):
        raise NotConformError(f"{where} has {unknown}, which this version does not know")


def _each(
    value: Mapping[str, Any], key: str, read: Callable[[dict[str, Any], str], None]
) -> list[dict[str, Any]]:
    entries = value.get(key, [])
    if not isinstance(entries, list):
        raise NotConformError(f"{key} is no list: {entries!r}")
    for number, entry in enumerate(entries):
        read(_object(entry, f"{key}[{number}]"), f"{key}[{number}]")
    return entries


def _same(where: str, value: object, expected: object) -> None:
    if value != expected or type(value) is not type(expected):
        raise NotConformError(f"{where} is {value!r}, not {expected!r}")


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise NotConformError(f"{where} is no text: {value!r}")
    return value


def _uint(value: object, where: str) -> int:
    if not _is_whole(value) or value < 0:
        raise NotConformError(f"{where} is no uint: {value!r}")
    return value


def _is_whole(value: object) -> TypeGuard[int]:
    """Say whether a JSON value is a whole number: Python counts truths among them."""
    return isinstance(value, int) and not isinstance(value, bool)


def _family(found: int, expected: int, where: str) -> None:
    if found != expected:
        raise NotConformError(f"{where} is of IPv{found}, not of IPv{expected}")


def _address(value: object, where: str) -> int:
    """Return the family of an address in CIDR notation."""
    text = _text(value, where)
    try:
        if "/" in text:
            return ip_interface(text).version
    except ValueError as error:
        raise NotConformError(f"{where}: {error}") from error
    raise NotConformError(f"{where} has no prefix length: {text}")


def _subnet(value: object, where: str) -> int:
    family = _address(value, where)
    try:
        ip_network(str(value))
    except ValueError as error:
        raise NotConformError(f"{where}: {error}") from error
    return family


def _host(value: object, where: str) -> int:
    try:
        return ip_address(_text(value, where)).version
    except ValueError as error:
        raise NotConformError(f"{where}: {error}") from error


def _mac(value: object, where: str) -> str:
    return _form(_MAC, value, where)


def _pci(value: object, where: str) -> str:
    return _form(_PCI, value, where)


def _form(form: re.Pattern[str], value: object, where: str) -> str:
    if not form.fullmatch(_text(value, where)):
        raise NotConformError(f"{where} has another form: {value!r}")
    return str(value)


def _path(value: object, where: str) -> str:
    if not _text(value, where).startswith("/"):
        raise NotConformError(f"{where} is no absolute path: {value!r}")
    return str(value)


def _dns(value: object) -> None:
    dns = _object(value, "dns")
    lists = ("nameservers", "search", "options")
    _keys(dns, "dns", required=(), optional=("domain", *lists))
    _text(dns.get("domain", "-"), "dns.domain")
    for key in lists:
        if not isinstance(dns.get(key, []), list):
            raise NotConformError(f"dns.{key} is no list")
        for entry in dns.get(key, []):
            _text(entry, f"dns.{key}")
    for entry in dns.get("nameservers", []):
        _host(entry, "dns.nameservers")
