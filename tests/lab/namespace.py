"""The network namespace of a lab: its wires, and the processes in it."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.lab.errors import LabError, StartError
from tests.lab.process import Background, start_detached
from tests.lab.system import program
from tests.lab.topology import CONTROL_ADDRESS, NODES

_DIRECTORY: Final = Path("/run/netns")
_CLONE_NEWNET: Final = 0x40000000
_CONNECT_TIMEOUT_S: Final = 3.0
_KILL_S: Final = 10.0
_POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Namespace:
    """A network namespace by name (as `ip netns` lists it)."""

    name: str

    @property
    def path(self) -> Path:
        """The file that stands for it."""
        return _DIRECTORY / self.name

    def exists(self) -> bool:
        """Tell whether it is there."""
        return self.path.exists()

    def create(self) -> None:
        """Make it, with its wires.

        Raises:
            StartError: The machine refuses.
        """
        _ip("netns", "add", self.name)
        self._ip("link", "set", "lo", "up")
        for bridge in sorted({nic.bridge for node in NODES for nic in node.nics}):
            # No snooping: multicast of VXLAN passes like every other frame.
            self._ip("link", "add", bridge, "type", "bridge", "mcast_snooping", "0")
            self._ip("link", "set", bridge, "up")
        for node in NODES:
            for nic in node.nics:
                self._ip("tuntap", "add", nic.tap, "mode", "tap")
                self._ip("link", "set", nic.tap, "master", nic.bridge)
                self._ip("link", "set", nic.tap, "up")
        self._ip("address", "add", f"{CONTROL_ADDRESS}/24", "dev", NODES[0].nics[0].bridge)
        for node in NODES:
            self._ip("route", "add", node.pod_subnet, "via", node.address)
        # Frames on a wire are nobody's packets, whatever filters the machine has.
        script = (
            "for f in /proc/sys/net/bridge/bridge-nf-call-*; do [ ! -w $f ] || echo 0 > $f; done"
        )
        self.run(["/bin/sh", "-c", script])

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the command line that runs a command line in this namespace."""
        return [program("nsenter"), f"--net={self.path}", "--", *argv]

    def run(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in this namespace to its end and return what it printed."""
        return subprocess.run(
            self.command(argv), env=env, capture_output=True, text=True, check=False
        )

    def start(
        self, name: str, argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None
    ) -> Background:
        """Start a program in this namespace that outlives this process."""
        return start_detached(name, self.command(argv), log=log, env=env)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Be in this namespace, with the calling thread.

        Use it in a thread that ends right afterwards: sockets that it opens meanwhile belong to
        the namespace for ever, for whoever uses them.
        """
        libc = ctypes.CDLL(None, use_errno=True)
        with self.path.open("rb") as there, Path("/proc/thread-self/ns/net").open("rb") as here:
            if libc.setns(there.fileno(), _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"setns({self.path}) failed")
            try:
                yield
            finally:
                libc.setns(here.fileno(), _CLONE_NEWNET)

    def connect(self, host: str, port: int) -> socket.socket:
        """Open a TCP connection from within this namespace.

        Raises:
            OSError: Nobody answers.
        """
        outcome: list[socket.socket | OSError] = []

        def attempt() -> None:
            try:
                with self.entered():
                    outcome.append(socket.create_connection((host, port), _CONNECT_TIMEOUT_S))
            except OSError as error:
                outcome.append(error)

        thread = threading.Thread(target=attempt, name="connect")
        thread.start()
        thread.join()
        match outcome[0]:
            case socket.socket() as connection:
                return connection
            case error:
                raise error

    def process_ids(self) -> list[int]:
        """Return the processes in this namespace."""
        if not self.exists():
            return []
        return [int(line) for line in _ip("netns", "pids", self.name).split()]

    def kill_processes(self) -> None:
        """Kill all processes in this namespace but the caller: these and no others.

        Raises:
            LabError: One of them does not die.
        """
        deadline = time.monotonic() + _KILL_S
        # Again and again, since a process may have started another one meanwhile.
        while others := [each for each in self.process_ids() if each != os.getpid()]:
            if time.monotonic() > deadline:
                raise LabError(f"Processes {others} of {self.name} do not end.")
            for process_id in others:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process_id, signal.SIGKILL)
            time.sleep(_POLL_S)

    def delete(self) -> None:
        """Remove the namespace with all its links. One that is not there is no error."""
        if self.exists():
            _ip("netns", "delete", self.name)

    def _ip(self, *arguments: str) -> str:
        return _ip("-netns", self.name, *arguments)


def namespaces(prefix: str) -> list[str]:
    """Return the names of the network namespaces with this prefix."""
    if not _DIRECTORY.exists():
        return []
    return [path.name for path in _DIRECTORY.iterdir() if path.name.startswith(prefix)]


def _ip(*arguments: str) -> str:
    done = subprocess.run([program("ip"), *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StartError(f"`ip {' '.join(arguments)}` failed: {done.stderr.strip()}")
    return done.stdout
