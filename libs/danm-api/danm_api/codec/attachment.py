"""The Pod annotation ``danm.k8s.io/interfaces`` and requests for addresses (SPEC B1). Pure."""

from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from danm_api.codec.json_text import decode_foreign
from danm_api.codec.values import (
    Findings,
    UnreadableValueError,
    parse_ipv4_interface,
    parse_ipv6_interface,
    read_routes,
    read_routes6,
)
from danm_api.errors import InvalidAttachmentError
from danm_api.model.attachment import (
    Attachment,
    Dynamic,
    IPv4Request,
    IPv6Request,
    NoAddress,
    StaticIPv4,
    StaticIPv6,
)
from danm_api.names import INTERFACES_ANNOTATION, NetworkName

DYNAMIC: Final = "dynamic"
NONE: Final = "none"

_EXAMPLE: Final = '[{"network": "external", "ip": "dynamic"}]'

T = TypeVar("T")


class AttachmentWire(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the annotation."""

    network: str
    ip: str | None = None
    ip6: str | None = None
    proutes: dict[str, str] | None = None
    proutes6: dict[str, str] | None = None


_KEYS: Final = AttachmentWire.__struct_encode_fields__


def decode_annotation(text: str | None, *, pod: str) -> tuple[Attachment, ...]:
    """Read a Pod's annotation; nothing there is no attachment (SPEC B2).

    Args:
        text: The annotation's value.
        pod: The Pod's namespace and name, for the error.

    Raises:
        InvalidAttachmentError: Its reason names the Pod and every entry at fault by its index.
    """
    if text is None or not text.strip():
        return ()
    findings = Findings()
    attachments = [
        _read_attachment(findings, index, entry)
        for index, entry in enumerate(_read_list(findings, text))
    ]
    if findings.violations:
        what = "; ".join(map(str, findings.violations))
        reason = f"Pod {pod}: annotation {INTERFACES_ANNOTATION}: {what}"
        raise InvalidAttachmentError(reason, violations=findings.violations)
    return tuple(attachment for attachment in attachments if attachment is not None)


def _read_list(findings: Findings, text: str) -> list[object]:
    try:
        entries = decode_foreign(text, object)
    except msgspec.DecodeError as error:
        message = f"is not JSON: {error}; write a list such as {_EXAMPLE}"
        findings.add(field="", rule="B3", message=message)
        return []
    if not isinstance(entries, list):
        message = f"is not a list; write [...] around the entries, such as {_EXAMPLE}"
        findings.add(field="", rule="B3", message=message)
        return []
    return entries


def _read_attachment(findings: Findings, index: int, entry: object) -> Attachment | None:
    where = f"[{index}]"
    if isinstance(entry, dict):
        unknown = sorted(set(entry) - set(_KEYS))
        if unknown:
            message = f"has unknown keys {', '.join(unknown)}; known are {', '.join(_KEYS)}"
            findings.add(field=where, rule="B3", message=message)
    wire = findings.read_struct(entry, AttachmentWire, field=where, rule="B3")
    if wire is None:
        return None
    if not wire.network:
        message = "is empty; name a DanmNet of the Pod's namespace"
        findings.add(field=f"{where}.network", rule="B3", message=message)
    ip = findings.read(_parse_request4, wire.ip or NONE, field=f"{where}.ip", rule="B1")
    ip6 = findings.read(_parse_request6, wire.ip6 or NONE, field=f"{where}.ip6", rule="B1")
    routes = read_routes(findings, wire.proutes, field=f"{where}.proutes", rule="B3")
    routes6 = read_routes6(findings, wire.proutes6, field=f"{where}.proutes6", rule="B3")
    if ip is None or ip6 is None:
        return None
    return Attachment(
        index=index,
        network=NetworkName(wire.network),
        ip=ip,
        ip6=ip6,
        policy_routes=routes,
        policy_routes6=routes6,
    )


def _parse_request(text: str, parse: Callable[[str], T]) -> Dynamic | NoAddress | T:
    if text == DYNAMIC:
        return Dynamic()
    if text == NONE:
        return NoAddress()
    try:
        return parse(text)
    except UnreadableValueError as error:
        raise UnreadableValueError(f'{error}, or "{DYNAMIC}" or "{NONE}"') from error


def _parse_request4(text: str) -> IPv4Request:
    return _parse_request(text, lambda given: StaticIPv4(interface=parse_ipv4_interface(given)))


def _parse_request6(text: str) -> IPv6Request:
    return _parse_request(text, lambda given: StaticIPv6(interface=parse_ipv6_interface(given)))


def decode_ipv4_request(text: str, *, field: str) -> IPv4Request:
    """Read "dynamic", "none" or an address with prefix length.

    Raises:
        InvalidAttachmentError: It is something else; the violation names ``field``.
    """
    return _request_or_raise(_parse_request4, text, field)


def decode_ipv6_request(text: str, *, field: str) -> IPv6Request:
    """Read "dynamic", "none" or an address with prefix length.

    Raises:
        InvalidAttachmentError: It is something else; the violation names ``field``.
    """
    return _request_or_raise(_parse_request6, text, field)


def _request_or_raise(parse: Callable[[str], T], text: str, field: str) -> T:
    findings = Findings()
    request = findings.read(parse, text, field=field, rule="B1")
    if request is None:
        reason = "; ".join(map(str, findings.violations))
        raise InvalidAttachmentError(reason, violations=findings.violations)
    return request


def encode_ip_request(request: IPv4Request | IPv6Request) -> str:
    """Return the text form of a request."""
    match request:
        case Dynamic():
            return DYNAMIC
        case NoAddress():
            return NONE
        case StaticIPv4() | StaticIPv6():
            return str(request.interface)
