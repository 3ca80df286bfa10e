"""A conversation with the kernel about links, addresses, routes and rules.

Blocking: for threads. What is said is up to others; here is only who speaks when.

Source: RFC 3549 section 2; include/uapi/linux/netlink.h.
"""

import errno
import os
import socket
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from danm_api.netlink_wire import Acknowledged, Data, Flag, Refused, message, read_answers

# The kernel fills datagrams up to this size.
_DATAGRAM: Final = 1 << 16
# A dump that is interrupted by changes begins anew; a namespace does not change for ever.
_MAX_DUMPS: Final = 10
# include/uapi/linux/netlink.h
_SOL_NETLINK: Final = 270
_CAPPED_ERRORS, _ERROR_TEXTS, _STRICT_CHECKS = 10, 11, 12


class KernelRefusedError(Exception):
    """The kernel refused a request."""

    def __init__(self, number: int, text: str = "") -> None:
        """Keep the number, and say what it means and what the kernel says more."""
        more = f" ({text})" if text else ""
        super().__init__(f"{os.strerror(number)}{more}")
        self.number = number


class NetlinkSocket:
    """One conversation, in the network namespace in which it was opened.

    Every request raises KernelRefusedError, and OSError where the socket itself fails.
    """

    def __init__(self, *, strict: bool = False) -> None:
        """Open it.

        Args:
            strict: The kernel judges all fields of a dump's request, and selects by them.
        """
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        )
        options = (_CAPPED_ERRORS, _ERROR_TEXTS, *((_STRICT_CHECKS,) if strict else ()))
        for option in options:
            self._socket.setsockopt(_SOL_NETLINK, option, 1)
        self._number = 0

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """End it."""
        self._socket.close()

    def add(self, kind: int, body: bytes) -> None:
        """Create what must not be there yet."""
        self.ask(kind, Flag.ACK | Flag.CREATE | Flag.EXCL, body)

    def change(self, kind: int, body: bytes) -> None:
        """Change or delete what is there."""
        self.ask(kind, Flag.ACK, body)

    def dump(self, kind: int, body: bytes) -> Sequence[Data]:
        """Return all of a kind, as it was at one moment."""
        for _ in range(_MAX_DUMPS):
            found = self.ask(kind, Flag.DUMP, body)
            if not any(each.interrupted for each in found):
                return found
        raise KernelRefusedError(errno.EBUSY)

    def ask(self, kind: int, flags: Flag, body: bytes) -> Sequence[Data]:
        """Send a request and return all that comes until it is acknowledged.

        Args:
            kind: Such as RTM_NEWLINK.
            flags: With ACK or DUMP, or nothing acknowledges it.
            body: The kind's own header, and attributes.
        """
        self._number += 1
        self._socket.send(message(kind, flags, number=self._number, body=body))
        found: list[Data] = []
        while True:
            for answer in read_answers(self._socket.recv(_DATAGRAM), number=self._number):
                match answer:
                    case Data():
                        found.append(answer)
                    case Refused(number=number, text=text):
                        raise KernelRefusedError(number, text)
                    case Acknowledged():
                        return found
