"""Reading the kernel's events."""

import errno
import socket
import struct
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from danm_api.names import InterfaceName
from netwatcher.kernel import AddressesChanged, EventsLost, LinkChanged, LinkEvent, LinkGone
from netwatcher.rtnetlink import decode_events, read_events

NEWLINK, DELLINK, NEWADDR, NEWROUTE = 16, 17, 20, 24


def an_attribute(kind: int, value: bytes) -> bytes:
    """Encode one attribute, padded to four bytes."""
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def a_message(kind: int, body: bytes) -> bytes:
    """Encode one message."""
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


def a_link_message(
    kind: int = NEWLINK,
    *,
    name: str = "external.300",
    alias: str = "",
    altnames: Sequence[str] = (),
    family: int = 0,
) -> bytes:
    """Encode an event of a link that is up."""
    body = struct.pack("=BxHiII", family, 1, 7, 0x1, 0)
    body += an_attribute(3, name.encode() + b"\0") + an_attribute(4, struct.pack("=I", 1450))
    # The state of its carrier: part of the fingerprint.
    body += an_attribute(16, b"\6")
    if alias:
        body += an_attribute(20, alias.encode())
    if altnames:
        names = b"".join(an_attribute(53, each.encode() + b"\0") for each in altnames)
        body += an_attribute(52 | 0x8000, names)
    return a_message(kind, body)


def test_all_events_of_a_datagram_are_read() -> None:
    """Links and addresses, in order; what else comes is skipped."""
    data = (
        a_link_message(alias="danm:external.300", altnames=["lan", "uplink-of-rack-7"])
        + a_message(NEWROUTE, b"\0" * 12)
        + a_message(NEWADDR, struct.pack("=BBBBI", 2, 24, 0, 0, 9))
        + a_link_message(DELLINK)
    )
    name = InterfaceName("external.300")
    assert list(decode_events(data)) == [
        LinkChanged(
            index=7,
            name=name,
            alias="danm:external.300",
            up=True,
            mtu=1450,
            fingerprint=an_attribute(16, b"\6")[:5],
            altnames=frozenset(map(InterfaceName, ("lan", "uplink-of-rack-7"))),
        ),
        AddressesChanged(index=9),
        LinkGone(index=7, name=name),
    ]


def test_a_bridges_news_about_its_ports_is_no_news_of_links() -> None:
    """A port that leaves a bridge sends the message of a removed link, in another family."""
    assert list(decode_events(a_link_message(DELLINK, family=socket.AF_BRIDGE))) == []


@given(st.binary(max_size=200))
def test_nothing_that_arrives_stops_the_reader(data: bytes) -> None:
    """Cut and garbled messages end the datagram, and nothing else."""
    assert all(
        isinstance(event, LinkChanged | LinkGone | AddressesChanged)
        for event in decode_events(data)
    )


@given(st.integers(0, 120))
def test_a_message_that_was_cut_is_survived(length: int) -> None:
    """Whatever the kernel could not fit is not made up."""
    list(decode_events(a_link_message(alias="danm:external.300")[:length]))


class ScriptedSocket:
    """A socket that returns or raises what a test says, and then would block."""

    def __init__(self, *script: tuple[bytes, int] | OSError) -> None:
        self._script = list(script)

    def recvfrom(self, size: int) -> tuple[bytes, tuple[int, int]]:
        """Play the next entry."""
        if not self._script:
            raise BlockingIOError
        entry = self._script.pop(0)
        if isinstance(entry, OSError):
            raise entry
        data, sender = entry
        return data[:size], (sender, 1)


def test_an_overrun_is_told_and_reading_goes_on() -> None:
    """After lost messages everything is compared."""  # SPEC N4
    events: list[LinkEvent] = []
    overrun = OSError(errno.ENOBUFS, "No buffer space available")
    read_events(ScriptedSocket(overrun, (a_link_message(), 0)), events.append)
    assert [type(event) for event in events] == [EventsLost, LinkChanged]


def test_only_the_kernel_is_believed() -> None:
    """Another process may write to the socket, and is not heard."""
    events: list[LinkEvent] = []
    read_events(ScriptedSocket((a_link_message(), 4711)), events.append)
    assert events == []
