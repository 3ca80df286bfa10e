"""Netlink's bytes, compared with those of a library that knows all of netlink."""

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from danm_api.netlink_wire import (
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


@pytest.mark.parametrize(
    ("flags", "interrupted"),
    [
        pytest.param(0, False, id="a whole dump"),
        pytest.param(0x2, False, id="of several messages"),
        pytest.param(0x12, True, id="changed meanwhile"),
    ],
)
def test_a_dump_that_changed_meanwhile_is_told(flags: int, *, interrupted: bool) -> None:
    """Whoever asks begins anew (NLM_F_DUMP_INTR)."""
    datagram = struct.pack("=IHHII", 16 + 4, NEW_LINK, flags, 1, 0) + b"body"
    assert list(read_answers(datagram, number=1)) == [
        Data(type=NEW_LINK, body=b"body", interrupted=interrupted)
    ]


def test_messages_begin_at_four_bytes() -> None:
    """A length does not count what fills up to the next message."""
    first = struct.pack("=IHHII", 16 + 5, NEW_LINK, 0, 1, 0) + b"12345" + bytes(3)
    last = struct.pack("=IHHII", 16, NEW_LINK, 0, 1, 0)
    found = [each for each in read_answers(first + last, number=1) if isinstance(each, Data)]
    assert [each.body for each in found] == [b"12345", b""]


@pytest.mark.parametrize("kind", [MAC, MAC | 0x8000, MAC | 0x4000])
def test_an_attributes_type_is_what_it_is_besides_its_form(kind: int) -> None:
    """Nested ones and those in network byte order are marked (NLA_TYPE_MASK)."""
    assert read_attributes(attribute(kind, b"12345") + u32_attribute(MTU, 7)) == {
        MAC: b"12345",
        MTU: struct.pack("=I", 7),
    }


def test_an_attribute_is_filled_up_and_a_text_ends() -> None:
    """As the kernel wants them; a length does not count what fills up."""
    assert attribute(MAC, b"12345") == struct.pack("=HH", 9, MAC) + b"12345" + bytes(3)
    assert text_attribute(NAME, "ext") == struct.pack("=HH", 8, NAME) + b"ext\0"


@pytest.mark.parametrize("flags", [Flag.ACK, Flag.DUMP, Flag.ACK | Flag.CREATE | Flag.EXCL])
def test_what_is_sent_is_a_request(flags: Flag) -> None:
    """Whether that flag is named or not (NLM_F_REQUEST); the kernel answers nothing else."""
    header = struct.pack("=IHHII", 16 + 4, NEW_LINK, int(flags) | 1, 5, 0)
    assert message(NEW_LINK, flags, number=5, body=b"body") == header + b"body"


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
            struct.pack("=IHHII", 16, 3, 2, 1, 0), Acknowledged(), id="the end of an old dump"
        ),
        pytest.param(
            struct.pack("=IHHIIi", 20, 3, 2, 1, 0, 5), Acknowledged(), id="a dump with a count"
        ),
        pytest.param(
            _error(-errno.EINVAL, 0x100, text_attribute(1, "bad mode")),
            Refused(number=errno.EINVAL, text=""),
            id="what is no text",
        ),
        pytest.param(
            _error(
                -errno.EINVAL, 0x200, text_attribute(1, "bad mode"), request=bytes(5) + bytes(3)
            ),
            Refused(number=errno.EINVAL, text="bad mode"),
            id="behind a request that was filled up",
        ),
        pytest.param(
            _error(-errno.EINVAL, 0x300, u32_attribute(2, 8)),
            Refused(number=errno.EINVAL, text=""),
            id="another hint than a text",
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
    """No length of an attribute or a message keeps the reader from its end."""
    read_attributes(data)
    # Of a number that no request has, so that none is looked into.
    assert list(read_answers(data, number=-1)) == []
