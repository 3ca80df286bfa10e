"""Look names up in a name server of one's own choice, which the system's resolver does not do."""

import secrets
import socket
import struct
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import ip_address
from typing import Final

# RFC 1035, section 4.1.1; RFC 6891 is not needed for answers this small.
_HEAD: Final = struct.Struct("!HHHHHH")
_RECORD: Final = struct.Struct("!HHIH")
_RECURSION_DESIRED: Final = 0x0100
_CODE: Final = 0x000F
_CLASS_IN: Final = 1
_POINTER: Final = 0xC0
_MAX_BYTES: Final = 4096
_TIMEOUT_S: Final = 5.0


class RecordType(IntEnum):
    """What is asked for."""

    A = 1
    AAAA = 28


class ResponseCode(IntEnum):
    """How the name server answers."""

    NO_ERROR = 0
    SERVER_FAILURE = 2
    NO_SUCH_NAME = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a name server says.

    Attributes:
        addresses: Sorted as text.
    """

    code: ResponseCode
    addresses: tuple[str, ...] = ()


def look_up(name: str, kind: RecordType, *, server: tuple[str, int]) -> Answer:
    """Ask a name server once, over UDP.

    Raises:
        OSError: It does not answer.
    """
    number = secrets.randbelow(1 << 16)
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.rstrip(".").split("."))
    question = labels + b"\0" + struct.pack("!HH", kind, _CLASS_IN)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(_TIMEOUT_S)
        asking.connect(server)
        asking.send(_HEAD.pack(number, _RECURSION_DESIRED, 1, 0, 0, 0) + question)
        while True:
            answer = asking.recv(_MAX_BYTES)
            answered, flags, _, count, _, _ = _HEAD.unpack_from(answer)
            if answered == number:
                break
    offset = _HEAD.size + len(question)
    addresses = []
    for _ in range(count):
        offset = _after_name(answer, offset)
        found, _, _, length = _RECORD.unpack_from(answer, offset)
        offset += _RECORD.size
        if found == kind:
            addresses.append(str(ip_address(answer[offset : offset + length])))
        offset += length
    return Answer(code=ResponseCode(flags & _CODE), addresses=tuple(sorted(addresses)))


def _after_name(answer: bytes, offset: int) -> int:
    """Return where a name ends: with a pointer or with the root."""
    while (length := answer[offset]) != 0:
        if length & _POINTER == _POINTER:
            return offset + 2
        offset += 1 + length
    return offset + 1
