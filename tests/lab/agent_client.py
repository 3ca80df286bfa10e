"""Runs commands in a guest, through its agent."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from tests.lab.errors import LabError
from tests.lab.guest import agent

_CHUNK_BYTES: Final = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """What a command in a guest did. A signal counts as in shells: 128 plus its number."""

    status: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output as text."""
        return self.stdout.decode(errors="replace")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentClient:
    """Talks to one guest's agent.

    Attributes:
        connect: Opens a connection to it.
        token: What it wants to see first.
        name: The guest's name, for messages.
    """

    connect: Callable[[], socket.socket]
    token: str = field(repr=False)
    name: str

    def answers(self) -> bool:
        """Tell whether the agent runs commands."""
        try:
            return self.run(["true"]).status == 0
        except (OSError, LabError):
            return False

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> Completed:
        """Run a command to its end and return what it printed.

        Raises:
            LabError: The guest does not answer, or not within `timeout_s`.
        """
        parts: dict[bytes, list[bytes]] = {agent.STDOUT: [], agent.STDERR: []}

        def feed(connection: socket.socket) -> None:
            for start in range(0, len(stdin), _CHUNK_BYTES):
                agent.send_frame(connection, agent.STDIN, stdin[start : start + _CHUNK_BYTES])
            agent.send_frame(connection, agent.STDIN_END)

        status = self._exchange(
            argv, environment or {}, feed, lambda kind, data: parts[kind].append(data), timeout_s
        )
        return Completed(
            status=status,
            stdout=b"".join(parts[agent.STDOUT]),
            stderr=b"".join(parts[agent.STDERR]),
        )

    def stream(
        self, argv: Sequence[str], *, stdin: IO[bytes], stdout: IO[bytes], stderr: IO[bytes]
    ) -> int:
        """Run a command with these streams and return its exit status.

        Raises:
            LabError: The guest does not answer.
        """
        outputs = {agent.STDOUT: stdout, agent.STDERR: stderr}

        def feed(connection: socket.socket) -> None:
            while chunk := _read_some(stdin):
                agent.send_frame(connection, agent.STDIN, chunk)
            agent.send_frame(connection, agent.STDIN_END)

        def write(kind: bytes, data: bytes) -> None:
            outputs[kind].write(data)
            outputs[kind].flush()

        return self._exchange(argv, {}, feed, write, None)

    def _exchange(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        feed: Callable[[socket.socket], None],
        receive: Callable[[bytes, bytes], None],
        timeout_s: float | None,
    ) -> int:
        request = {"token": self.token, "argv": list(argv), "environment": dict(environment)}
        try:
            with self.connect() as connection, connection.makefile("rb") as stream:
                connection.settimeout(timeout_s)
                connection.sendall(json.dumps(request).encode() + b"\n")
                threading.Thread(
                    target=_feed_quietly, args=(feed, connection), name="stdin", daemon=True
                ).start()
                while (frame := agent.read_frame(stream)) is not None:
                    kind, payload = frame
                    if kind == agent.EXIT:
                        return int(payload)
                    receive(kind, payload)
        except OSError as error:
            raise LabError(f"{self.name} does not answer ({error}). Is the lab up?") from error
        raise LabError(f"{self.name} broke off while it ran `{' '.join(argv)}`.")


def _feed_quietly(feed: Callable[[socket.socket], None], connection: socket.socket) -> None:
    # A command may end before it has read all its input; its exit status tells the rest.
    with contextlib.suppress(OSError):
        feed(connection)


def _read_some(stream: IO[bytes]) -> bytes:
    read_one = getattr(stream, "read1", None)
    return bytes(read_one(_CHUNK_BYTES) if read_one is not None else stream.read(_CHUNK_BYTES))


def agent_source() -> Path:
    """Return the file of the agent's program."""
    return Path(agent.__file__)
