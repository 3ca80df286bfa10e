"""kubectl on an API server of a test's or a bench's own.

kubectl = Kubectl.on(server)
done = kubectl("apply", "-f", "-", stdin=raw)
"""

import subprocess
from dataclasses import dataclass
from typing import Self

import msgspec

from tests.lab.apiserver import ApiServer
from tests.lab.binaries import API_SERVER, Binaries
from tests.lab.cache import Cache, default_cache_directory
from tests.lab.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubectl:
    """kubectl with the rights of an administrator.

    Attributes:
        command: The program, and how it reaches the server.
    """

    command: tuple[str, ...]

    @classmethod
    def on(cls, server: ApiServer, binaries: Binaries | None = None) -> Self:
        """Return the one of a server.

        Args:
            server: It runs.
            binaries: Where the program comes from; by default the usual cache.

        Raises:
            BuildError: It could not be built.
        """
        if binaries is None:
            binaries = Binaries(Cache(directory=default_cache_directory()), Progress())
        program = binaries.program(API_SERVER, "kubectl")
        return cls(command=(program, f"--kubeconfig={server.kubeconfig}"))

    def __call__(self, *arguments: str, stdin: object = None) -> "subprocess.CompletedProcess[str]":
        """Run it, and return what came of it, whatever its exit status.

        Args:
            arguments: Of kubectl.
            stdin: An object that it gets as JSON; None for nothing.
        """
        return subprocess.run(
            [*self.command, *arguments],
            capture_output=True,
            text=True,
            check=False,
            input=None if stdin is None else msgspec.json.encode(stdin).decode(),
        )
