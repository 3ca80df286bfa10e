"""The controllers that are measured, as processes of their own."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# Run as `python -m`: the import says that it is needed.
import svcwatcher.__main__ as _svcwatcher
from danm_api.kube.api import RawObject
from tests.lab.apiserver import LOOPBACK, ApiServer, free_ports
from tests.lab.bench.controllers.endpoints.cases import KUBERNETES_FLAGS
from tests.lab.bench.controllers.endpoints.objects import service_of_danm, service_of_kubernetes
from tests.lab.bench.controllers.results import KUBERNETES, SVCWATCHER
from tests.lab.bench.pod_place import account_directory, in_pod_place, pod_environment
from tests.lab.binaries import KUBERNETES as KUBERNETES_PROGRAMS
from tests.lab.binaries import Binaries
from tests.lab.pki import write_kubeconfig
from tests.lab.process import Background, start_leashed


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """A controller that can be started again and again.

    Attributes:
        name: In results.
        service: Returns a Service that it looks after, by name.
        start: Starts it; its readiness is not waited for.
    """

    name: str
    service: Callable[[str], RawObject]
    start: Callable[[], Background]


def controllers(
    server: ApiServer, directory: Path, binaries: Binaries, *, token: str
) -> tuple[Controller, ...]:
    """Return svcwatcher and Kubernetes' own.

    Args:
        server: The API server.
        directory: For logs and credentials.
        binaries: Where Kubernetes' programs come from.
        token: Of svcwatcher's service account.
    """
    account = account_directory(directory, server, token)
    program = binaries.program(KUBERNETES_PROGRAMS, "kube-controller-manager")

    def start_svcwatcher() -> Background:
        (port,) = free_ports(1)
        # As in its Deployment.
        command = [sys.executable, "-m", str(_svcwatcher.__package__), "--pod-name=bench"]
        command += [f"--health-host={LOOPBACK}", f"--health-port={port}"]
        return start_leashed(
            SVCWATCHER,
            in_pod_place(command, account),
            log=directory / f"{SVCWATCHER}.log",
            env=pod_environment(server),
        )

    def start_kubernetes() -> Background:
        (port,) = free_ports(1)
        kubeconfig = write_kubeconfig(
            directory / f"{KUBERNETES}.kubeconfig",
            server=server.url,
            authority=server.authority,
            credential=server.trust.authority.client(KUBERNETES, f"system:{KUBERNETES}"),
        )
        flags = [
            f"--{purpose}kubeconfig={kubeconfig}"
            for purpose in ("", "authentication-", "authorization-")
        ]
        return start_leashed(
            KUBERNETES,
            [
                program,
                *KUBERNETES_FLAGS,
                *flags,
                f"--bind-address={LOOPBACK}",
                f"--secure-port={port}",
            ],
            log=directory / f"{KUBERNETES}.log",
        )

    return (
        Controller(name=SVCWATCHER, service=service_of_danm, start=start_svcwatcher),
        Controller(name=KUBERNETES, service=service_of_kubernetes, start=start_kubernetes),
    )
