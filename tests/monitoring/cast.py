"""All parts as processes, and how Prometheus scrapes them."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from monitoring.scrape import NODE_LABEL
from tests.lab.apiserver import LOOPBACK, free_ports
from tests.monitoring.stages.__main__ import PARTS

_STOP_S: Final = 20.0
_NODE: Final = "node-1"


@dataclass(slots=True, kw_only=True)
class Actor:
    """One part, which may be ended and started again on its port."""

    job: str
    port: int
    log: Path
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start it."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.monitoring.stages", self.job, str(self.port)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                # A test's own paths, however its runner has made them known.
                env=dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path))),
            )

    def tell(self, fault: str) -> None:
        """Have a fault made, or mended if it is there."""
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write(f"{fault}\n".encode())
        self.process.stdin.flush()

    def stop(self) -> None:
        """End it, as it would end by itself when its test dies."""
        if self.process is None:
            return
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def scrape(self) -> Mapping[str, Any]:
        """Return how Prometheus finds it; deploy/monitoring/scrape.yaml does it by Pods."""
        target = {"targets": [f"{LOOPBACK}:{self.port}"], "labels": {NODE_LABEL: _NODE}}
        return {"job_name": self.job, "static_configs": [target]}


@contextmanager
def playing(directory: Path) -> Iterator[Mapping[str, Actor]]:
    """Run all parts for the time of the block; their jobs are their names."""
    ports = free_ports(len(PARTS))
    actors = {
        job: Actor(job=job, port=port, log=directory / f"{job}.log")
        for job, port in zip(PARTS, ports, strict=True)
    }
    with ExitStack() as stack:
        for actor in actors.values():
            stack.callback(actor.stop)
            actor.start()
        yield actors
