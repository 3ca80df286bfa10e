"""helm and kubectl on the chart and on deploy/, and what they make, object by object."""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import msgspec
import yaml

from danm_api.names import SYSTEM_NAMESPACE
from tests.lab.binaries import API_SERVER, HELM, Binaries
from tests.lab.cache import Cache, default_cache_directory
from tests.lab.progress import Progress

REPOSITORY: Final = Path(__file__).parents[2]
CHART: Final = REPOSITORY / "charts" / "danm"
RELEASE: Final = "danm"
_TIMEOUT_S: Final = 300

Objects = Mapping[tuple[str, str], dict[str, Any]]
"""By kind and name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """The programs.

    Attributes:
        helm: Path of helm.
        kubectl: Path of kubectl.
        home: Where helm keeps what it remembers.
        kubeconfig: The cluster's; None without one.
        prefix: Words before each command, such as those that enter a network namespace.
    """

    helm: str
    kubectl: str
    home: Path
    kubeconfig: Path | None = None
    prefix: tuple[str, ...] = ()

    @classmethod
    def obtain(cls, home: Path, kubeconfig: Path | None = None, prefix: Sequence[str] = ()) -> Self:
        """Find the programs in the cache; build them where they are missing (minutes, once)."""
        binaries = Binaries(Cache(directory=default_cache_directory()), Progress())
        return cls(
            helm=binaries.program(HELM, "helm"),
            kubectl=binaries.program(API_SERVER, "kubectl"),
            home=home,
            kubeconfig=kubeconfig,
            prefix=tuple(prefix),
        )

    def run(self, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command and return its output, whatever its exit status."""
        homes = ("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME", "HOME")
        return subprocess.run(
            [*self.prefix, *command],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_S,
            env={
                **os.environ,
                **dict.fromkeys(homes, str(self.home)),
                "KUBECONFIG": str(self.kubeconfig or self.home / "no-kubeconfig"),
            },
        )

    def call(self, *command: str, stdin: str = "") -> str:
        """Run a command that must not fail, and return its output."""
        done = self.run(*command, stdin=stdin)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def with_values(
        self, command: str, values: object = None, *arguments: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of helm on the chart in DANM's namespace, with values."""
        given = msgspec.json.encode({} if values is None else values).decode()
        return self.run(
            self.helm,
            command,
            *(() if command == "lint" else (RELEASE,)),
            str(CHART),
            f"--namespace={SYSTEM_NAMESPACE}",
            "--values=-",
            *arguments,
            stdin=given,
        )

    def template(self, values: object = None) -> str:
        """Return the manifests that the chart gives with values."""
        done = self.with_values("template", values)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def objects(self, values: object = None) -> Objects:
        """Return the objects that the chart gives with values."""
        return objects_of(self.template(values))

    def kustomized(self, directory: Path) -> Objects:
        """Return the objects of a kustomization."""
        return objects_of(self.call(self.kubectl, "kustomize", str(directory)))


def objects_of(text: str) -> Objects:
    """Return the objects of manifests; no two of a kind have one name."""
    raws = [raw for raw in yaml.safe_load_all(text) if raw is not None]
    objects = {(raw["kind"], raw["metadata"]["name"]): raw for raw in raws}
    assert len(objects) == len(raws)
    return objects


def leaves(tree: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Yield what in an object is no mapping or list, or an empty one, by its JSON pointer."""
    match tree:
        case dict() if tree:
            pairs = [(str(key).replace("/", "~1"), value) for key, value in tree.items()]
        case list() if tree:
            pairs = [(str(index), value) for index, value in enumerate(tree)]
        case _:
            yield path, tree
            return
    for key, value in pairs:
        yield from leaves(value, f"{path}/{key}")
