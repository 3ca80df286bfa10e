"""Damage to host links, done and watched by a process of its own.

The process that is measured must not share its interpreter with who measures it. It shares the
processor, though, and in a guest there is one: so all damage is one message to the kernel, and what
was mended is learned from its events.
"""

import errno
import os
import socket
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from select import select
from typing import Any, Final

from pyroute2 import IPBatch, IPRoute, netns

from netwatcher.kernel import LinkChanged, LinkEvent, LinkGone
from netwatcher.rtnetlink import RECEIVE_BUFFER_BYTES, open_event_socket, read_events
from tests.lab.errors import LabError

_POLL_S: Final = 0.001
_MANY_POLL_S: Final = 0.02
_TIMEOUT_S: Final = 60.0
_IFF_UP: Final = 0x1
# linux/netlink.h: an answer's header, and the error number that is an acknowledgement's beginning.
_ANSWER: Final = struct.Struct("=IHHIIi")
_DATAGRAM_BYTES: Final = 64 * 1024
# linux/socket.h; Python has no name for it.
_SO_RCVBUFFORCE: Final = 33


def enter(namespace: str) -> None:
    """Work in a network namespace from now on; in the process's own one if it is empty."""
    if namespace:
        netns.setns(namespace, flags=0)


def _delete(batch: IPBatch, index: int) -> None:
    batch.link("del", index=index)


def _down(batch: IPBatch, index: int) -> None:
    batch.link("set", index=index, state="down")


def _rename(batch: IPBatch, index: int) -> None:
    # Older kernels rename only what is down.
    batch.link("set", index=index, state="down")
    batch.link("set", index=index, ifname=f"oops{index}")


def _shrink(batch: IPBatch, index: int) -> None:
    batch.link("set", index=index, mtu=1300)


DAMAGES: Final[dict[str, Callable[[IPBatch, int], None]]] = {
    "deleted": _delete,
    "set down": _down,
    "renamed": _rename,
    "of another MTU": _shrink,
}


def repair_s(damage: str, names: list[str], mtu: dict[str, int]) -> float:
    """Damage links, and return the seconds from the first of it until all are as before.

    Raises:
        LabError: They are not repaired.
    """
    with IPRoute() as route, closing(open_event_socket()) as events:
        links = _Links(route, mtu)
        indices = [links.index_of(name) for name in names]
        began = time.monotonic()
        _do(DAMAGES[damage], indices)
        while True:
            ended = links.wait_whole(events, names, deadline=began + _TIMEOUT_S)
            # Events tell when; whether nothing else is wrong is read then.
            links = _Links(route, mtu)
            if links.are_whole(names):
                return ended - began


def _do(damage: Callable[[IPBatch, int], None], indices: Sequence[int]) -> None:
    """Damage links at once.

    Raises:
        LabError: The kernel refuses it.
    """
    left = list(indices)
    with closing(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
        sock.settimeout(_TIMEOUT_S)
        while left:
            batch = IPBatch()
            ends = []
            for index in left:
                damage(batch, index)
                ends.append(len(batch.batch))
            left = [left[number] for number in _refused(sock, bytes(batch.batch), ends)]


def _refused(sock: socket.socket, batch: bytes, ends: Sequence[int]) -> set[int]:
    """Send messages, and return the numbers of the links for which they came too late.

    netwatcher may set a link up between the two messages that rename it.

    Args:
        sock: To the kernel.
        batch: All messages.
        ends: Where those of each link end.

    Raises:
        LabError: The kernel refuses one.
    """
    sock.send(batch)
    late = set()
    sent = 0
    for number, end in enumerate(ends):
        while sent < end:
            # Answers come in the messages' order, each in a datagram of its own.
            code = -_ANSWER.unpack_from(sock.recv(_DATAGRAM_BYTES))[-1]
            if code == errno.EBUSY:
                late.add(number)
            elif code:
                raise LabError(f"The kernel refused to damage a link: {os.strerror(code)}.")
            (length,) = struct.unpack_from("=I", batch, sent)
            sent += (length + 3) & ~3
    return late


class _Links:
    """The links of the node, and whether each is as it was."""

    def __init__(self, route: IPRoute, mtu: dict[str, int]) -> None:
        """Read them all.

        Args:
            route: Where from.
            mtu: Of each link by its name.
        """
        self._mtu = mtu
        self._rows: dict[int, tuple[str, bool]] = {}
        for link in route.link("dump"):
            name = link.get("ifname")
            whole = _is_up(link) and link.get("mtu") == mtu.get(name)
            self._rows[link["index"]] = (name, whole)

    def index_of(self, name: str) -> int:
        """Return the number of a link."""
        return next(index for index, (found, _) in self._rows.items() if found == name)

    def are_whole(self, names: Sequence[str]) -> bool:
        """Say whether links of these names are there, and as they were."""
        return {name for name, whole in self._rows.values() if whole}.issuperset(names)

    def wait_whole(self, events: socket.socket, names: Sequence[str], *, deadline: float) -> float:
        """Follow the kernel's events until all are whole; return when that was.

        Raises:
            LabError: They are not in time.
        """
        while True:
            read_events(events, self._follow)
            now = time.monotonic()
            if self.are_whole(names):
                return now
            if not select([events], [], [], max(0.0, deadline - now))[0]:
                raise LabError("Damaged links were not repaired.")
            if len(names) > 1:
                # To wake for each event would take a guest's one processor from who mends.
                time.sleep(_MANY_POLL_S)

    def _follow(self, event: LinkEvent) -> None:
        match event:
            case LinkChanged(index=index, name=name, alias=alias, up=up, mtu=mtu):
                self._rows[index] = (name, up and bool(alias) and mtu == self._mtu.get(name))
            case LinkGone(index=index):
                self._rows.pop(index, None)
            case _:
                pass


def until_whole(names: list[str]) -> dict[str, int]:
    """Wait until links are there and up, and return their MTUs.

    Raises:
        LabError: They do not come.
    """
    with IPRoute() as route:
        began = time.monotonic()
        while True:
            found = {link.get("ifname"): link for link in route.link("dump")}
            if all(name in found and _is_up(found[name]) for name in names):
                return {name: found[name].get("mtu") for name in names}
            if time.monotonic() - began > _TIMEOUT_S:
                raise LabError("The links were not made.")
            time.sleep(_POLL_S)


# pyroute2's messages carry no types.
def _is_up(link: Any) -> bool:  # noqa: ANN401
    return bool(link["flags"] & _IFF_UP) and link.get("ifalias") is not None
