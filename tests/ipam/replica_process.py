"""Replicas of ipam-svc as processes of their own, which can be stopped, killed and replaced."""

import asyncio
import os
import re
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

from ipam_svc import __main__ as program
from tests.lab.apiserver import LOOPBACK, ApiServer, free_ports
from tests.lab.bench.usage import process_tree
from tests.lab.deployed import ipam_kubeconfig
from tests.lab.process import Background, start_leashed, wait_until

_READY_S: Final = 60.0
_PROBE_S: Final = 2.0
# What kubelet would wait for is shorter here: only the order of things is tried.
_LINGER: Final = "1"
_RESIDENT: Final = re.compile(r"VmRSS:\s+(\d+) kB")


def source_paths(tree: Path, root: str = "services/ipam-svc") -> list[str]:
    """Return where Python finds a part in a source tree of this repository."""
    return [str(tree / "libs" / "danm-api"), str(tree / root)]


@dataclass(slots=True, kw_only=True)
class ReplicaProcess:
    """One replica; started again it has the same ports, as on one node.

    Attributes:
        name: Its name in the Lease.
        paths: Where Python finds another release of ipam-svc; empty for this one.
        flags: Beside those that name and place it.
    """

    name: str
    server: ApiServer
    directory: Path
    port: int
    health_port: int
    paths: Sequence[str] = ()
    flags: Sequence[str] = ()
    background: Background | None = None

    @classmethod
    def on_free_ports(cls, name: str, server: ApiServer, directory: Path) -> "ReplicaProcess":
        """Return one that is not started yet."""
        port, health_port = free_ports(2)
        return cls(
            name=name, server=server, directory=directory, port=port, health_port=health_port
        )

    @property
    def endpoint(self) -> str:
        """Where its API is."""
        return f"{LOOPBACK}:{self.port}"

    def memory_mb(self) -> float:
        """Return what is resident of it."""
        assert self.background is not None
        pages = [
            int(found[1])
            for pid in process_tree(self.background.process.pid)
            if (found := _RESIDENT.search(Path(f"/proc/{pid}/status").read_text())) is not None
        ]
        return max(pages) / 1024

    async def start(self) -> None:
        """Start it and wait until it is ready.

        Raises:
            StartError: It did not become ready.
        """
        kubeconfig = await ipam_kubeconfig(self.server)
        await asyncio.to_thread(self._start, kubeconfig)

    async def stop(self) -> None:
        """Tell it to stop, as kubelet does, and wait for its end."""
        assert self.background is not None
        await asyncio.to_thread(self.background.stop)

    def freeze(self) -> None:
        """Let it accept connections, as the kernel does for it, and do nothing."""
        assert self.background is not None
        os.killpg(self.background.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on where it was."""
        assert self.background is not None
        os.killpg(self.background.process.pid, signal.SIGCONT)

    async def kill(self) -> None:
        """End it at once, in whatever it does."""
        assert self.background is not None
        os.killpg(self.background.process.pid, signal.SIGKILL)
        await asyncio.to_thread(self.background.stop)

    def _start(self, kubeconfig: Path) -> None:
        self.background = start_leashed(
            self.name,
            [
                sys.executable, "-m", program.__name__,
                f"--kubeconfig={kubeconfig}", f"--pod-name={self.name}",
                f"--pod-ip={LOOPBACK}", f"--host={LOOPBACK}", f"--port={self.port}",
                f"--health-host={LOOPBACK}", f"--health-port={self.health_port}",
                *self.flags,
            ],
            log=self.directory / f"{self.name}.log",
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([*self.paths, *filter(None, sys.path)]),
                # A release that does not know the flag takes no notice of the variable.
                "DANM_LINGER": _LINGER,
            },
        )  # fmt: skip
        wait_until(
            self._is_ready,
            what=f"{self.name} is ready",
            timeout_s=_READY_S,
            alive=(self.background,),
        )

    def _is_ready(self) -> bool:
        url = f"http://{LOOPBACK}:{self.health_port}/readyz"
        try:
            with urllib.request.urlopen(url, timeout=_PROBE_S) as answer:  # noqa: S310
                return bool(answer.status == HTTPStatus.OK)
        except (OSError, urllib.error.HTTPError):
            return False
