"""The result that fakeipam prints for an address that its configuration names (SPEC F1). Pure."""

from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)

SUPPORTED_VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
# Versions whose result has "ip4" and "ip6" objects.
_TWO_ADDRESS_VERSIONS = ("0.1.0", "0.2.0")
# Versions in which an entry of "ips" says its IP version.
_TAGGED_VERSIONS = ("0.3.0", "0.3.1", "0.4.0")

# The first version that has a verb; the others are in all of them.
_SINCE = {"CHECK": "0.4.0", "GC": "1.1.0", "STATUS": "1.1.0"}

# Codes of the CNI specification 1.1.0, "Error".
INCOMPATIBLE_VERSION = 1
INVALID_CONFIGURATION = 7


class RefusedError(Exception):
    """The configuration cannot be answered.

    Attributes:
        code: A CNI error code.
    """

    def __init__(self, code: int, reason: str) -> None:
        """Keep code and reason."""
        super().__init__(reason)
        self.code = code
        self.reason = reason


def requested_version(config: dict[str, object]) -> str:
    """Return the configuration's version; 0.1.0 where it names none (CNI specification, "Version").

    Raises:
        RefusedError: A version that is not supported.
    """
    version = config.get("cniVersion") or "0.1.0"
    if version not in SUPPORTED_VERSIONS:
        supported = ", ".join(SUPPORTED_VERSIONS)
        raise RefusedError(INCOMPATIBLE_VERSION, f"cniVersion {version!r} is none of {supported}")
    return str(version)


def require_verb(verb: str, version: str) -> None:
    """Refuse a verb that a version does not have yet.

    Raises:
        RefusedError: It came later.
    """
    since = _SINCE.get(verb, SUPPORTED_VERSIONS[0])
    if SUPPORTED_VERSIONS.index(version) < SUPPORTED_VERSIONS.index(since):
        reason = (
            f"{verb} does not exist in version {version} of the CNI specification, which the "
            f"configuration has; it came with {since}"
        )
        raise RefusedError(INCOMPATIBLE_VERSION, reason)


def _text(section: dict[str, object], key: str) -> str | None:
    value = section.get(key)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise RefusedError(INVALID_CONFIGURATION, f"ipam.{key} must be a string, not {value!r}")
    return value


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text, strict=False)
    except ValueError as error:
        raise RefusedError(INVALID_CONFIGURATION, f"ipam.subnet: {error}") from error


def _address(key: str, text: str) -> IPv4Address | IPv6Address:
    try:
        # The prefix length comes from the subnet; one that is written here too is harmless.
        return ip_interface(text).ip if "/" in text else ip_address(text)
    except ValueError as error:
        raise RefusedError(INVALID_CONFIGURATION, f"ipam.{key}: {error}") from error


def _routes(section: dict[str, object]) -> list[dict[str, str]]:
    routes = section.get("routes") or []
    if not isinstance(routes, list):
        raise RefusedError(INVALID_CONFIGURATION, "ipam.routes must be a list of {dst, gw}")
    answer = []
    for number, route in enumerate(routes):
        if not isinstance(route, dict) or not isinstance(route.get("dst"), str):
            reason = f"ipam.routes[{number}] must be an object with dst and, if wanted, gw"
            raise RefusedError(INVALID_CONFIGURATION, reason)
        entry = {"dst": str(_network(route["dst"]))}
        if route.get("gw"):
            entry["gw"] = str(_address(f"routes[{number}].gw", str(route["gw"])))
        answer.append(entry)
    return answer


def add_answer(config: dict[str, object]) -> dict[str, object]:
    """Return the result of ADD, in the version that the configuration asks for.

    ``ipam`` holds ``ip`` (an address of either family), ``subnet`` (whose prefix length counts),
    and optionally ``gateway`` and ``routes``.

    Raises:
        RefusedError: An unknown version, no address, or values that are no addresses.
    """
    version = requested_version(config)
    section = config.get("ipam")
    if not isinstance(section, dict):
        raise RefusedError(INVALID_CONFIGURATION, "the configuration has no ipam section")
    address_text, subnet_text = _text(section, "ip"), _text(section, "subnet")
    if address_text is None or subnet_text is None:
        reason = (
            "ipam.ip and ipam.subnet are needed, to print the address that is given, or "
            "ipam.network, to get one of a DanmNet"
        )
        raise RefusedError(INVALID_CONFIGURATION, reason)
    address, subnet = _address("ip", address_text), _network(subnet_text)
    if address.version != subnet.version or address not in subnet:
        raise RefusedError(
            INVALID_CONFIGURATION, f"ipam.ip {address} is not in ipam.subnet {subnet}"
        )
    gateway_text = _text(section, "gateway")
    gateway = _address("gateway", gateway_text) if gateway_text else None
    routes = _routes(section)
    with_prefix = f"{address}/{subnet.prefixlen}"
    if version in _TWO_ADDRESS_VERSIONS:
        family: dict[str, object] = {"ip": with_prefix}
        if gateway:
            family["gateway"] = str(gateway)
        if routes:
            family["routes"] = routes
        return {"cniVersion": version, f"ip{address.version}": family, "dns": {}}
    entry: dict[str, object] = {"address": with_prefix}
    if gateway:
        entry["gateway"] = str(gateway)
    if version in _TAGGED_VERSIONS:
        entry["version"] = str(address.version)
    answer: dict[str, object] = {"cniVersion": version, "ips": [entry]}
    if routes:
        answer["routes"] = routes
    # Optional only from 0.4.0 on.
    answer["dns"] = {}
    return answer


def version_answer(version: str) -> dict[str, object]:
    """Return the result of VERSION."""
    return {"cniVersion": version, "supportedVersions": list(SUPPORTED_VERSIONS)}


def error_answer(version: str, code: int, reason: str, *, details: str = "") -> dict[str, object]:
    """Return an error object of the CNI specification."""
    answer: dict[str, object] = {"cniVersion": version, "code": code, "msg": reason}
    return answer | {"details": details} if details else answer
