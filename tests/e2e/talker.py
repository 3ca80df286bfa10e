"""Sends numbered packets to peers, counts those that come, and looks a name up: in a Pod.

It needs the standard library alone. Its argument is a JSON object:

    port      where packets come and go
    peers     addresses that it sends to; each source address is counted by itself
    name      what it looks up
    expected  the addresses that the name must have
    state     the file with what it has seen so far, as JSON
    stop      as long as there is no such file, it sends
"""

import asyncio
import json
import os
import socket
import struct
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

_NUMBER: Final = struct.Struct("!Q")
_SEND_EVERY_S: Final = 0.1
_LOOK_UP_EVERY_S: Final = 0.5
_TELL_EVERY_S: Final = 0.5
# As much as a kernel gives: a process that waits for its processor loses nothing.
_RECEIVE_BYTES: Final = 1 << 20
_EXAMPLES: Final = 5
_GAPS: Final = 20


def overruns() -> int:
    """Return how many packets this network namespace had whose program was too slow to take them.

    Source: proc(5), /proc/net/snmp.
    """
    lines = Path("/proc/self/net/snmp").read_text().splitlines()
    names, values = (line.split() for line in lines if line.startswith("Udp: "))
    return int(values[names.index("RcvbufErrors")])


class Packets(asyncio.DatagramProtocol):
    """The numbers that came, by source address."""

    def __init__(self) -> None:
        """Begin with none."""
        self.numbers: dict[str, set[int]] = {}
        self.again = 0
        # When the next one came (Unix time), how many had not come until then, and from whom.
        self.gaps: list[tuple[float, int, str]] = []
        self._last: dict[str, int] = {}

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ANN401 - asyncio's
        """Note a packet's number."""
        (number,) = _NUMBER.unpack(data)
        seen = self.numbers.setdefault(addr[0], set())
        self.again += number in seen
        seen.add(number)
        missing = number - self._last.get(addr[0], number) - 1
        if missing > 0:
            self.gaps = [*self.gaps, (time.time(), missing, addr[0])][:_GAPS]
        self._last[addr[0]] = max(number, self._last.get(addr[0], 0))


class Talker:
    """What one Pod does, and what it has seen of it."""

    def __init__(self, config: dict[str, Any]) -> None:
        """Take the argument."""
        self._config = config
        self._packets = Packets()
        self._overruns_before = overruns()
        self._sent = dict.fromkeys(config["peers"], 0)
        self._refused = 0
        self._looked_up = 0
        self._unanswered = 0
        self._wrong = 0
        self._examples: list[list[str]] = []

    async def run(self) -> None:
        """Go on until the process is ended."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            # A Pod's own networks, all of them.
            lambda: self._packets,
            local_addr=("0.0.0.0", self._config["port"]),  # noqa: S104
        )
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES
        )
        await asyncio.gather(self._send(transport), self._look_up(), self._tell())

    async def _send(self, transport: asyncio.DatagramTransport) -> None:
        stop = Path(self._config["stop"])
        while not stop.exists():
            for peer in self._sent:
                # A packet that the kernel refuses has its number, and is missed there.
                self._sent[peer] += 1
                try:
                    transport.sendto(_NUMBER.pack(self._sent[peer]), (peer, self._config["port"]))
                except OSError:
                    self._refused += 1
            await asyncio.sleep(_SEND_EVERY_S)

    async def _look_up(self) -> None:
        loop = asyncio.get_running_loop()
        expected = sorted(self._config["expected"])
        while True:
            try:
                answers = await loop.getaddrinfo(
                    self._config["name"], None, family=socket.AF_INET, type=socket.SOCK_DGRAM
                )
                found = sorted({str(each[4][0]) for each in answers})
            except socket.gaierror as error:
                found = []
                if error.errno not in (socket.EAI_NONAME, socket.EAI_NODATA):
                    self._unanswered += 1
                    await asyncio.sleep(_LOOK_UP_EVERY_S)
                    continue
            # Before the first right answer the name is still in the making.
            if found == expected or self._looked_up:
                self._looked_up += 1
                if found != expected:
                    self._wrong += 1
                    self._examples = [*self._examples, found][:_EXAMPLES]
            await asyncio.sleep(_LOOK_UP_EVERY_S)

    async def _tell(self) -> None:
        state = Path(self._config["state"])
        partial = state.with_suffix(".partial")
        while True:
            partial.write_text(json.dumps(self.state()))
            partial.rename(state)
            await asyncio.sleep(_TELL_EVERY_S)

    def state(self) -> dict[str, Any]:
        """Return what has been seen."""
        return {
            "sent": self._sent,
            "refused": self._refused,
            "again": self._packets.again,
            "gaps": self._packets.gaps,
            "overruns": overruns() - self._overruns_before,
            "received": {
                source: {"first": min(seen), "last": max(seen), "count": len(seen)}
                for source, seen in self._packets.numbers.items()
            },
            "looked_up": self._looked_up,
            "unanswered": self._unanswered,
            "wrong": self._wrong,
            "examples": self._examples,
        }


def main() -> None:
    """Run with the argument."""
    # A query that got lost is asked again after a second.
    os.environ.setdefault("RES_OPTIONS", "timeout:1 attempts:5")
    with suppress(KeyboardInterrupt):
        asyncio.run(Talker(json.loads(sys.argv[1])).run())


if __name__ == "__main__":
    main()
