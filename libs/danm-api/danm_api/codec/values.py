"""Addresses, networks, routes and times in the text forms that people write. Pure.

A parser raises ``UnreadableValueError`` with what is wrong and what to do; ``Findings`` turns that
into a Violation and lets the reading go on, so that a user sees all that is wrong with an object at
once.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    NetmaskValueError,
)
from typing import Final, TypeVar

import msgspec

from danm_api.errors import Violation
from danm_api.model.addresses import IPAddress, IPNetwork, IPv4Route, IPv6Route

# Short, since Python refuses to make a number of thousands of digits.
_PREFIX_LENGTH: Final = re.compile(r"[0-9]{1,3}")

T = TypeVar("T")
V = TypeVar("V")


class UnreadableValueError(ValueError):
    """A text is not what it should be; the message says what to write instead."""


class Findings:
    """What is wrong with one object, found while it is read."""

    def __init__(self) -> None:
        """Start without any."""
        self._violations: list[Violation] = []

    @property
    def violations(self) -> tuple[Violation, ...]:
        """Return what was found, in the order of the reading."""
        return tuple(self._violations)

    def add(self, *, field: str, rule: str, message: str) -> None:
        """Note a broken rule."""
        self._violations.append(Violation(field=field, rule=rule, message=message))

    def read(self, parse: Callable[[V], T], value: V, *, field: str, rule: str) -> T | None:
        """Parse a value; note why when it cannot be parsed, and return None then."""
        try:
            return parse(value)
        except UnreadableValueError as error:
            self.add(field=field, rule=rule, message=str(error))
            return None

    def read_struct(self, value: object, kind: type[T], *, field: str, rule: str) -> T | None:
        """Convert JSON to a wire struct; note the first wrong type, and return None then."""
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            what, _, path = str(error).partition(" - at `$")
            message = what[:1].lower() + what[1:].replace("`", "")
            self.add(field=field + path.rstrip("`"), rule=rule, message=message)
            return None


def parse_time(text: str) -> datetime:
    """Parse a time of RFC 3339, into UTC."""
    try:
        moment = msgspec.convert(text, datetime)
    except msgspec.ValidationError as error:
        message = f'"{text}" is not a time; write one such as 2026-01-31T12:00:00Z'
        raise UnreadableValueError(message) from error
    return in_utc(moment)


def in_utc(moment: datetime) -> datetime:
    """Return a time as UTC has it.

    Raises:
        UnreadableValueError: It has no zone; or, in UTC, another year than 1 to 9999.
    """
    text = moment.isoformat()
    if moment.tzinfo is None:
        raise UnreadableValueError(f'"{text}" lacks its zone; end it with "Z" for UTC')
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        message = f'"{text}" lies outside of the years 1 to 9999 of UTC; write another time'
        raise UnreadableValueError(message) from error


def parse_ipv4(text: str) -> IPv4Address:
    """Parse an IPv4 address without prefix length."""
    try:
        return IPv4Address(text)
    except AddressValueError as error:
        message = f'"{text}" is not an IPv4 address; write one such as 10.0.0.7'
        raise UnreadableValueError(message) from error


def parse_ipv6(text: str) -> IPv6Address:
    """Parse an IPv6 address without prefix length and without zone."""
    try:
        address = IPv6Address(text)
    except AddressValueError as error:
        message = f'"{text}" is not an IPv6 address; write one such as 2001:db8::7'
        raise UnreadableValueError(message) from error
    if address.scope_id is not None:
        raise UnreadableValueError(f'"{text}" names a zone; write the address without "%"')
    return address


def _split_prefix(text: str, *, example: str) -> tuple[str, int]:
    address, slash, length = text.partition("/")
    if not slash:
        raise UnreadableValueError(f'"{text}" lacks its prefix length; write it like {example}')
    if not _PREFIX_LENGTH.fullmatch(length):
        message = f'"{text}" has no number of bits after its "/"; write it like {example}'
        raise UnreadableValueError(message)
    return address, int(length)


def parse_ipv4_interface(text: str) -> IPv4Interface:
    """Parse an IPv4 address with its prefix length, such as ``10.0.0.7/24``."""
    address, length = _split_prefix(text, example="10.0.0.7/24")
    try:
        return IPv4Interface((parse_ipv4(address), length))
    except NetmaskValueError as error:
        message = f'"{text}" has a prefix length beyond 32; write it like 10.0.0.7/24'
        raise UnreadableValueError(message) from error


def parse_ipv6_interface(text: str) -> IPv6Interface:
    """Parse an IPv6 address with its prefix length, such as ``2001:db8::7/64``."""
    address, length = _split_prefix(text, example="2001:db8::7/64")
    try:
        return IPv6Interface((parse_ipv6(address), length))
    except NetmaskValueError as error:
        message = f'"{text}" has a prefix length beyond 128; write it like 2001:db8::7/64'
        raise UnreadableValueError(message) from error


def parse_ipv4_network(text: str) -> IPv4Network:
    """Parse an IPv4 subnet. Host bits are cleared: the old program took such manifests too."""
    return parse_ipv4_interface(text).network


def parse_ipv6_network(text: str) -> IPv6Network:
    """Parse an IPv6 subnet. Host bits are cleared: the old program took such manifests too."""
    return parse_ipv6_interface(text).network


def parse_ip(text: str) -> IPAddress:
    """Parse an address of either family."""
    return parse_ipv6(text) if ":" in text else parse_ipv4(text)


def parse_ip_interface(text: str) -> IPv4Interface | IPv6Interface:
    """Parse an address with prefix length, of either family."""
    return parse_ipv6_interface(text) if ":" in text else parse_ipv4_interface(text)


def parse_ip_network(text: str) -> IPNetwork:
    """Parse a subnet of either family; host bits are cleared."""
    return parse_ip_interface(text).network


def parse_exclusion(text: str) -> IPNetwork:
    """Parse an address, or a subnet without host bits: one address must not exclude its subnet."""
    if "/" not in text:
        address = parse_ip(text)
        return IPv6Network(address) if isinstance(address, IPv6Address) else IPv4Network(address)
    interface = parse_ip_interface(text)
    if interface.ip != interface.network.network_address:
        message = (
            f'"{text}" has host bits; write {interface.ip} for the one address '
            f"or {interface.network} for all"
        )
        raise UnreadableValueError(message)
    return interface.network


def read_routes(
    findings: Findings, wire: Mapping[str, str] | None, *, field: str, rule: str
) -> tuple[IPv4Route, ...]:
    """Read a map from destination to gateway, in the order of destinations."""
    routes: list[IPv4Route] = []
    for to, via in (wire or {}).items():
        destination = findings.read(parse_ipv4_network, to, field=f"{field}[{to}]", rule=rule)
        gateway = findings.read(parse_ipv4, via, field=f"{field}[{to}]", rule=rule)
        if destination is not None and gateway is not None:
            routes.append(IPv4Route(destination=destination, gateway=gateway))
    return _once_each(findings, routes, field=field, rule=rule)


def read_routes6(
    findings: Findings, wire: Mapping[str, str] | None, *, field: str, rule: str
) -> tuple[IPv6Route, ...]:
    """Read a map from destination to gateway, in the order of destinations."""
    routes: list[IPv6Route] = []
    for to, via in (wire or {}).items():
        destination = findings.read(parse_ipv6_network, to, field=f"{field}[{to}]", rule=rule)
        gateway = findings.read(parse_ipv6, via, field=f"{field}[{to}]", rule=rule)
        if destination is not None and gateway is not None:
            routes.append(IPv6Route(destination=destination, gateway=gateway))
    return _once_each(findings, routes, field=field, rule=rule)


R = TypeVar("R", IPv4Route, IPv6Route)


def _once_each(findings: Findings, routes: list[R], *, field: str, rule: str) -> tuple[R, ...]:
    by_destination: dict[IPNetwork, R] = {}
    for route in routes:
        other = by_destination.setdefault(route.destination, route)
        if other.gateway != route.gateway:
            message = (
                f"leads to {route.destination} both by {other.gateway} and by {route.gateway}; "
                "keep one gateway for a destination"
            )
            findings.add(field=field, rule=rule, message=message)
    return tuple(by_destination[to] for to in sorted(by_destination, key=_network_order))


def _network_order(network: IPNetwork) -> tuple[int, int]:
    return int(network.network_address), network.prefixlen


def encode_routes(routes: tuple[IPv4Route, ...] | tuple[IPv6Route, ...]) -> dict[str, str]:
    """Return the map from destination to gateway."""
    return {str(route.destination): str(route.gateway) for route in routes}
