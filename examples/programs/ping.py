"""Ping an address from one interface, without any tool installed and without privileges.

Needs the Pod's ``net.ipv4.ping_group_range`` to admit it, which container runtimes set by default.
"""

import argparse
import socket
import struct
import sys
import time

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


def main() -> int:
    """Ping until an answer comes or the tries are used up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("--source", required=True, help="an address of this Pod")
    parser.add_argument("--tries", type=int, default=5)
    parser.add_argument("--timeout", type=float, default=1.0, help="seconds for each try")
    arguments = parser.parse_args()
    failure: OSError | None = None
    for _ in range(arguments.tries):
        try:
            duration = ping(arguments.address, arguments.source, arguments.timeout)
        except OSError as error:
            failure = error
            continue
        print(f"{arguments.address} answered after {duration * 1e3:.2f} ms")
        return 0
    print(f"{arguments.address} does not answer {arguments.source}: {failure}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
