"""Damage to host links, done and watched by a process of its own.

The process that is measured must not share its interpreter with who measures it. It shares the
processor, though, and in a guest there is one: so all damage is one message to the kernel, and only
when the last link is whole the others are asked for.
"""

import errno
import os
import socket
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, Final

from pyroute2 import IPBatch, IPRoute, netns
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from danm_api.netlink_socket import KernelRefusedError, NetlinkSocket
from danm_api.netlink_wire import Data, Flag, Refused, message, read_answers
from netwatcher.link_messages import GET_LINK, query_body
from tests.lab.errors import LabError

_POLL_S: Final = 0.001
_MANY_POLL_S: Final = 0.01
_TIMEOUT_S: Final = 60.0
_IFF_UP: Final = 0x1
# linux/netlink.h: a message's length, and the number that its answer carries.
_BEGINNING: Final = struct.Struct("=I4xI")
_DATAGRAM_BYTES: Final = 64 * 1024
# linux/socket.h; Python has no name for it.
_SO_RCVBUFFORCE: Final = 33
# Room for the answers to some hundred messages.
_ANSWERS_BYTES: Final = 4 * 1024 * 1024


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
    *others, last = names
    with NetlinkSocket() as kernel:
        indices = {link.get("ifname"): link["index"] for link in map(_read, _all(kernel))}
        began = time.monotonic()
        _do(DAMAGES[damage], [indices[name] for name in names])
        while time.monotonic() < began + _TIMEOUT_S:
            ended = time.monotonic()
            if _are_whole(_one(kernel, last), [last], mtu):
                if not others:
                    return ended - began
                found = _all(kernel)
                ended = time.monotonic()
                if _are_whole(found, names, mtu):
                    return ended - began
            time.sleep(_MANY_POLL_S if others else _POLL_S)
    raise LabError(f"Links that were {damage} were not repaired.")


def _do(damage: Callable[[IPBatch, int], None], indices: Sequence[int]) -> None:
    """Damage links at once.

    Raises:
        LabError: The kernel refuses it.
    """
    left = list(indices)
    with closing(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _ANSWERS_BYTES)
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
            length, own_number = _BEGINNING.unpack_from(batch, sent)
            (answer,) = read_answers(sock.recv(_DATAGRAM_BYTES), number=own_number)
            if isinstance(answer, Refused):
                if answer.number != errno.EBUSY:
                    why = os.strerror(answer.number)
                    raise LabError(f"The kernel refused to damage a link: {why}.")
                late.add(number)
            sent += (length + 3) & ~3
    return late


def _all(kernel: NetlinkSocket) -> Sequence[Data]:
    return kernel.dump(GET_LINK, query_body())


def _one(kernel: NetlinkSocket, name: str) -> Sequence[Data]:
    try:
        return kernel.ask(GET_LINK, Flag.ACK, query_body(("IFLA_IFNAME", name)))
    except KernelRefusedError as error:
        if error.number != errno.ENODEV:
            raise
        return []


def _are_whole(answers: Sequence[Data], names: Sequence[str], mtu: dict[str, int]) -> bool:
    found = {link.get("ifname"): link for link in map(_read, answers)}
    return all(
        name in found and _is_up(found[name]) and found[name].get("mtu") == mtu[name]
        for name in names
    )


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


# Not netwatcher's own reader: it is what is measured. pyroute2's messages carry no types.
def _read(answer: Data) -> Any:  # noqa: ANN401
    link = ifinfmsg(message(answer.type, Flag(0), number=0, body=answer.body))
    link.decode()
    return link


def _is_up(link: Any) -> bool:  # noqa: ANN401
    return bool(link["flags"] & _IFF_UP) and link.get("ifalias") is not None
