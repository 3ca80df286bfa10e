"""Ping an address from one interface, without any tool installed and without privileges.

Needs the Pod's ``net.ipv4.ping_group_range`` to admit it, which container runtimes set by default.
"""

import argparse
import socket
import struct
import sys
import time
from collections.abc import Callable

_ECHO_REQUEST = 8
_PAYLOAD = b"danm" * 14


def ping(address: str, source: str, timeout_s: float) -> float:
    """Return the round trip in seconds.

    Raises:
        OSError: No answer in time, no route, or no permission.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as icmp:
        icmp.bind((source, 0))
        icmp.settimeout(timeout_s)
        start = time.monotonic()
        # The kernel fills in checksum and identifier of such a socket.
        icmp.sendto(struct.pack("!BBHHH", _ECHO_REQUEST, 0, 0, 0, 1) + _PAYLOAD, (address, 0))
        while icmp.recv(1 << 12)[8:] != _PAYLOAD:
            pass
        return time.monotonic() - start


def first_answer(
    attempt: Callable[[], float],
    *,
    within_s: float,
    every_s: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> float:
    """Return what the first attempt returns that does not fail.

    Raises:
        OSError: None did for so long; how the last one failed.
    """
    end = clock() + within_s
    while True:
        began = clock()
        try:
            return attempt()
        except OSError:
            if clock() >= end:
                raise
        # Without a route, say, an attempt fails at once.
        sleep(max(0.0, began + every_s - clock()))


def main() -> int:
    """Ping until an answer comes or the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("--source", required=True, help="an address of this Pod")
    # A busy node may stand still for half of it.
    parser.add_argument("--within", type=float, default=60.0, help="seconds for all tries")
    parser.add_argument("--timeout", type=float, default=1.0, help="seconds for each try")
    arguments = parser.parse_args()
    try:
        duration = first_answer(
            lambda: ping(arguments.address, arguments.source, arguments.timeout),
            within_s=arguments.within,
            every_s=arguments.timeout,
        )
    except OSError as error:
        print(f"{arguments.address} does not answer {arguments.source}: {error}", file=sys.stderr)
        return 1
    print(f"{arguments.address} answered after {duration * 1e3:.2f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
