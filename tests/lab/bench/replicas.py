"""Replicas of ipam-svc as processes of their own, configured as in a Pod."""

import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

# Run as `python -m`: the import says that it is needed.
import ipam_svc.__main__ as _program
from tests.lab.apiserver import LOOPBACK, ApiServer, free_ports
from tests.lab.bench.launch import USUAL, Launch
from tests.lab.bench.pod_place import account_directory, in_pod_place, pod_environment
from tests.lab.process import Background, start_leashed, wait_until

_READY_TIMEOUT_S: Final = 60.0
_PROBE_TIMEOUT_S: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """A running replica.

    Attributes:
        endpoint: ``host:port`` of its API.
    """

    endpoint: str
    background: Background

    @property
    def pid(self) -> int:
        """The process that all of the replica descends from."""
        return self.background.process.pid


@contextmanager
def running_replicas(
    count: int,
    server: ApiServer,
    directory: Path,
    *,
    token: str,
    launch: Launch = USUAL,
    address: str = LOOPBACK,
) -> Iterator[list[Replica]]:
    """Run replicas, ready.

    Args:
        count: How many.
        server: Their API server.
        directory: For their service account and logs.
        token: Of the service account danm-ipam.
        launch: How they are started.
        address: Where they serve.

    Raises:
        StartError: One did not become ready.
    """
    account = account_directory(directory, server, token)
    replicas: list[Replica] = []
    try:
        # One by one into the list, so that those which run are stopped when one does not start.
        replicas.extend(
            _start(
                number,
                server,
                directory,
                account,
                launch=launch,
                address=address,
            )
            for number in range(count)
        )
        yield replicas
    finally:
        for replica in replicas:
            replica.background.stop()


def _start(
    number: int,
    server: ApiServer,
    directory: Path,
    account: Path,
    *,
    launch: Launch,
    address: str,
) -> Replica:
    port, health_port = free_ports(2)
    command = [sys.executable, *launch.wrapper, "-m", str(_program.__package__)]
    command += [f"--pod-name=bench-{number}", f"--pod-ip={address}"]
    command += [f"--host={address}", f"--port={port}"]
    command += [f"--health-host={LOOPBACK}", f"--health-port={health_port}"]
    # One tool's token stands for hundreds of callers here.
    command += ["--caller-rate=100000", "--caller-burst=100000", "--max-caller-requests=2048"]
    background = start_leashed(
        f"ipam-svc-{number}",
        in_pod_place(command, account),
        log=directory / f"ipam-svc-{number}.log",
        env={**pod_environment(server), **launch.environment},
    )
    try:
        wait_until(
            lambda: _answers(f"http://{LOOPBACK}:{health_port}/readyz"),
            what="ipam-svc is ready",
            timeout_s=_READY_TIMEOUT_S,
            alive=(background,),
        )
    except BaseException:
        background.stop()
        raise
    return Replica(endpoint=f"{address}:{port}", background=background)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=_PROBE_TIMEOUT_S) as answer:  # noqa: S310
            return bool(answer.status == HTTPStatus.OK)
    except (OSError, urllib.error.HTTPError):
        return False
