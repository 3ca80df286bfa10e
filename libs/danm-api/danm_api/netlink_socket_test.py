"""A conversation with the kernel of whoever runs the test: it asks, and changes nothing."""

import errno
import socket
import struct
from collections.abc import Sequence

import pytest

from danm_api.netlink_socket import KernelRefusedError, NetlinkSocket
from danm_api.netlink_wire import Data, Flag, read_attributes, read_text, text_attribute

GET_LINK, NAME = 18, 3
LINK = struct.Struct("=BxHiII")
ANY = LINK.pack(0, 0, 0, 0, 0)


def _name(link: Data) -> str:
    return read_text(read_attributes(link.body[LINK.size :])[NAME])


def test_one_is_asked_for() -> None:
    """The answer is what comes before the acknowledgement."""
    with NetlinkSocket() as kernel:
        (found,) = kernel.ask(GET_LINK, Flag.ACK, ANY + text_attribute(NAME, "lo"))
    assert _name(found) == "lo"
    assert LINK.unpack_from(found.body)[2] == socket.if_nametoindex("lo")


def test_all_are_asked_for() -> None:
    """A dump has what one datagram holds, and what the next ones do."""
    with NetlinkSocket(strict=True) as kernel:
        found = kernel.dump(GET_LINK, ANY)
    assert "lo" in {_name(link) for link in found}


def test_a_refusal_has_its_number_and_the_conversation_goes_on() -> None:
    """What is asked next gets its own answer."""
    with NetlinkSocket() as kernel:
        with pytest.raises(KernelRefusedError, match="No such device") as refused:
            kernel.ask(GET_LINK, Flag.ACK, ANY + text_attribute(NAME, "not-there"))
        assert refused.value.number == errno.ENODEV
        (found,) = kernel.ask(GET_LINK, Flag.ACK, ANY + text_attribute(NAME, "lo"))
    assert _name(found) == "lo"


def test_strict_checks_are_the_kernels() -> None:
    """Without them it takes no notice of what it does not know."""
    of_loopback = LINK.pack(0, socket.if_nametoindex("lo"), 0, 0, 0)
    with NetlinkSocket() as kernel:
        assert kernel.dump(GET_LINK, of_loopback)
    with (
        NetlinkSocket(strict=True) as kernel,
        pytest.raises(KernelRefusedError) as refused,
    ):
        kernel.dump(GET_LINK, of_loopback)
    assert refused.value.number == errno.EINVAL


class _Changing(NetlinkSocket):
    """A kernel whose links change while they are read, some times."""

    def __init__(self, interrupted: int) -> None:
        super().__init__()
        self.left = interrupted

    def ask(self, kind: int, flags: Flag, body: bytes) -> Sequence[Data]:
        """Answer with one link."""
        self.left -= 1
        return [Data(type=kind, body=body, interrupted=self.left >= 0)]


def test_a_dump_that_changes_interrupted_begins_anew() -> None:
    """Not for ever."""
    with _Changing(9) as kernel:
        assert kernel.dump(GET_LINK, ANY) == [Data(type=GET_LINK, body=ANY, interrupted=False)]
    with (
        _Changing(10) as kernel,
        pytest.raises(KernelRefusedError, match="busy") as refused,
    ):
        kernel.dump(GET_LINK, ANY)
    assert refused.value.number == errno.EBUSY
