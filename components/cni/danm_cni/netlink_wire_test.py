"""Netlink's bytes, compared with those of a library that knows all of netlink."""

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from danm_cni.netlink_wire import (
    Acknowledged,
    Data,
    Flag,
    Refused,
    attribute,
    message,
    read_answers,
    read_attributes,
    read_text,
    read_u32,
    text_attribute,
    u32_attribute,
)

# RTM_NEWLINK, IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU.
NEW_LINK, MAC, NAME, MTU = 16, 1, 3, 4
LINK = struct.Struct("=BxHiII")


def _link_message(number: int) -> bytes:
    body = LINK.pack(0, 1, 7, 1, 1) + text_attribute(NAME, "ext0") + u32_attribute(MTU, 1400)
    body += attribute(MAC, bytes.fromhex("fa163e000007"))
    return message(NEW_LINK, Flag.ACK | Flag.CREATE, number=number, body=body)


def test_a_request_is_read_by_others() -> None:
    """Header, the kind's own header and attributes of three forms are where they belong."""
    read = ifinfmsg(_link_message(9))
    read.decode()
    header = read["header"]
    assert (header["type"], header["sequence_number"]) == (NEW_LINK, 9)
    assert header["flags"] == 0x1 | 0x4 | 0x400
    assert (read["index"], read["flags"], read["change"]) == (7, 1, 1)
    assert read.get("ifname") == "ext0"
    assert read.get("mtu") == 1400
    assert read.get("address") == "fa:16:3e:00:00:07"


def test_others_answers_are_read() -> None:
    """Attributes come by their types, whatever else stands between them."""
    other = ifinfmsg()
    other["index"] = 7
    other["attrs"] = [("IFLA_IFNAME", "ext0"), ("IFLA_TXQLEN", 5), ("IFLA_MTU", 1400)]
    other["header"]["sequence_number"] = 3
    other["header"]["type"] = NEW_LINK
    other.encode()
    (answer,) = read_answers(bytes(other.data), number=3)
    assert isinstance(answer, Data)
    assert (answer.type, answer.interrupted) == (NEW_LINK, False)
    found = read_attributes(answer.body[LINK.size :])
    assert (read_text(found[NAME]), read_u32(found[MTU])) == ("ext0", 1400)


def test_answers_to_other_requests_are_no_answers() -> None:
    """One datagram may hold several messages; only those with the request's number count."""
    datagram = _link_message(1) + _link_message(2) + _link_message(1)
    assert len(list(read_answers(datagram, number=1))) == 2
    assert list(read_answers(datagram, number=3)) == []


def _error(number: int, flags: int, more: bytes = b"", request: bytes = b"") -> bytes:
    header = struct.pack("=IHHII", 16 + len(request), NEW_LINK, 0, 1, 0)
    body = struct.pack("=i", number) + header + request + more
    return struct.pack("=IHHII", 16 + len(body), 2, flags, 1, 0) + body


@pytest.mark.parametrize(
    ("datagram", "expected"),
    [
        pytest.param(_error(0, 0x100), Acknowledged(), id="done"),
        pytest.param(
            _error(-errno.EBUSY, 0x100), Refused(number=errno.EBUSY, text=""), id="refused"
        ),
        pytest.param(
            _error(-errno.EINVAL, 0x300, text_attribute(1, "bad mode")),
            Refused(number=errno.EINVAL, text="bad mode"),
            id="refused with a text",
        ),
        pytest.param(
            _error(
                -errno.EINVAL, 0x200, text_attribute(1, "bad mode"), request=bytes(9) + bytes(3)
            ),
            Refused(number=errno.EINVAL, text="bad mode"),
            id="with the whole request before the text",
        ),
        pytest.param(
            struct.pack("=IHHIIi", 20, 3, 2, 1, 0, 0), Acknowledged(), id="the end of a dump"
        ),
        pytest.param(
            struct.pack("=IHHIIi", 20, 3, 2, 1, 0, -errno.ENOMEM),
            Refused(number=errno.ENOMEM, text=""),
            id="a dump that failed",
        ),
    ],
)
def test_the_end_of_a_conversation(datagram: bytes, expected: object) -> None:
    """Acknowledgements and refusals are told apart, with the kernel's own words."""
    assert list(read_answers(datagram, number=1)) == [expected]


@given(st.dictionaries(st.integers(1, 0x3FFF), st.binary(max_size=40), max_size=8))
def test_attributes_come_back(values: dict[int, bytes]) -> None:
    """Whatever their lengths, attributes are found where they were put."""
    data = b"".join(attribute(kind, value) for kind, value in values.items())
    assert values == read_attributes(data)


@given(st.binary(max_size=200))
def test_rubbish_ends(data: bytes) -> None:
    """No length of an attribute keeps the reader from its end."""
    read_attributes(data)
