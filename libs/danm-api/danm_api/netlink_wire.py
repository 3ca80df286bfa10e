"""Netlink messages as bytes. Pure.

Only what danmd needs of it: requests with attributes, and what comes back. A library that knows all
of netlink takes ten times the processor time for the same few messages (docs/decisions/0017).

Source: RFC 3549 section 2.3; include/uapi/linux/netlink.h.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntFlag
from typing import Final

_ERROR: Final = 2
_DONE: Final = 3
# A message's length, type, flags, number and sender.
_HEADER: Final = struct.Struct("=IHHII")
_ATTRIBUTE: Final = struct.Struct("=HH")
_ERRNO: Final = struct.Struct("=i")
# NLA_F_NESTED and NLA_F_NET_BYTEORDER are no part of an attribute's type.
_TYPE_MASK: Final = 0x3FFF
# The kernel's own words (NLMSGERR_ATTR_MSG).
_ERROR_TEXT: Final = 1


class Flag(IntFlag):
    """Of requests, and of answers from CAPPED on, whose bits mean other things."""

    REQUEST = 0x1
    ACK = 0x4
    DUMP = 0x300
    EXCL = 0x200
    CREATE = 0x400


_INTERRUPTED: Final = 0x10
_CAPPED: Final = 0x100
_WITH_TEXT: Final = 0x200


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """A message of the kernel that holds what was asked for."""

    type: int
    body: bytes
    interrupted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """The request is done, or all of a dump has come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The kernel refused.

    Attributes:
        number: As in errno.h.
        text: What the kernel says more; often nothing.
    """

    number: int
    text: str


Answer = Data | Acknowledged | Refused


def message(kind: int, flags: Flag, *, number: int, body: bytes) -> bytes:
    """Return a request.

    Args:
        kind: Such as RTM_NEWLINK.
        flags: REQUEST is set anyway.
        number: The answers carry it, too.
        body: The kind's own header, and attributes.
    """
    return _HEADER.pack(_HEADER.size + len(body), kind, flags | Flag.REQUEST, number, 0) + body


def attribute(kind: int, value: bytes) -> bytes:
    """Return an attribute, padded to four bytes."""
    padding = bytes(-len(value) % 4)
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + padding


def text_attribute(kind: int, value: str) -> bytes:
    """Return an attribute that is a text."""
    return attribute(kind, value.encode() + b"\0")


def u32_attribute(kind: int, value: int) -> bytes:
    """Return an attribute that is a number of 32 bits."""
    return attribute(kind, struct.pack("=I", value))


def read_attributes(data: bytes) -> Mapping[int, bytes]:
    """Return attributes by their types; of several of a type, the last."""
    return dict(each_attribute(data))


def each_attribute(data: bytes, position: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield the types and values of attributes, from a position on."""
    while position + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, position)
        if length < _ATTRIBUTE.size:
            break
        yield kind & _TYPE_MASK, data[position + _ATTRIBUTE.size : position + length]
        position += (length + 3) & ~3


def read_text(value: bytes) -> str:
    """Return the text of an attribute."""
    return value.rstrip(b"\0").decode(errors="replace")


def read_u32(value: bytes) -> int:
    """Return the number of an attribute."""
    return int.from_bytes(value, "little" if struct.pack("=H", 1)[0] else "big")


def read_answers(datagram: bytes, *, number: int) -> Iterator[Answer]:
    """Yield the messages of a datagram that answer a request."""
    position = 0
    while position + _HEADER.size <= len(datagram):
        length, kind, flags, answered, _ = _HEADER.unpack_from(datagram, position)
        if length < _HEADER.size:
            break
        body = datagram[position + _HEADER.size : position + length]
        position += (length + 3) & ~3
        if answered == number:
            yield _answer(kind, flags, body)


def _answer(kind: int, flags: int, body: bytes) -> Answer:
    if kind == _DONE:
        # It may tell that a dump has failed.
        number = _ERRNO.unpack_from(body)[0] if len(body) >= _ERRNO.size else 0
        return Refused(number=-number, text="") if number < 0 else Acknowledged()
    if kind == _ERROR:
        (number,) = _ERRNO.unpack_from(body)
        return (
            Refused(number=-number, text=_refusal_text(flags, body)) if number else Acknowledged()
        )
    return Data(type=kind, body=body, interrupted=bool(flags & _INTERRUPTED))


def _refusal_text(flags: int, body: bytes) -> str:
    """Return what stands behind the request, or its header, that an error repeats."""
    if not flags & _WITH_TEXT:
        return ""
    (length,) = struct.unpack_from("=I", body, _ERRNO.size)
    repeated = _HEADER.size if flags & _CAPPED else (length + 3) & ~3
    more = read_attributes(body[_ERRNO.size + repeated :])
    return read_text(more.get(_ERROR_TEXT, b""))
