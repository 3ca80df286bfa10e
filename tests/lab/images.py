"""The images that the lab itself needs, and those that others built."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.lab import versions
from tests.lab.binaries import COREDNS, Binaries
from tests.lab.cache import Cache, file_lock, recipe_key
from tests.lab.errors import BuildError
from tests.lab.oci import write_archive, write_program_image
from tests.lab.progress import Progress
from tests.lab.system import program

PAUSE: Final = "localhost/lab/pause:1"
COREDNS_IMAGE: Final = f"localhost/lab/coredns:{versions.COREDNS.removeprefix('v')}"
PYTHON_BASE: Final = "localhost/lab/python-base:3.11"

_SOURCES: Final = Path(__file__).parent / "image"
_ARCHIVE: Final = "image.tar"
_BASE_PACKAGES: Final = (
    "python3",
    "python3-venv",
    "iproute2",
    "iputils-ping",
    "ca-certificates",
)
_BASE_OPTIONS: Final = (
    "--variant=minbase",
    "--aptopt=Apt::Install-Recommends false",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    # What may be shipped, and how, is told by these.
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--customize-hook=rm -rf $1/var/lib/apt/lists/* $1/var/cache/apt/* $1/var/log/*",
    # Where the official Python images have it: Dockerfiles work on both.
    "--customize-hook=ln -s /usr/bin/python3.11 $1/usr/local/bin/python3.11",
    "--customize-hook=ln -s python3.11 $1/usr/local/bin/python3",
    "--customize-hook=ln -s python3.11 $1/usr/local/bin/python",
)


def full_name(name: str) -> str:
    """Return an image's name as a container runtime takes it: nothing is added to it.

    What is built here under a name without registry gets `localhost/` in front, so that no
    runtime takes it for an image of a public registry.
    """
    first, _, rest = name.partition("/")
    has_registry = rest and (first == "localhost" or "." in first or ":" in first)
    return name if has_registry else f"localhost/{name}"


class Images:
    """Builds the lab's own images into the cache, as archives."""

    def __init__(self, cache: Cache, binaries: Binaries, progress: Progress, engine: Path) -> None:
        """Take what is needed.

        Args:
            cache: Where archives are kept.
            binaries: The programs of some images.
            progress: Tells what goes on.
            engine: The `docker` command of this repository.
        """
        self._cache = cache
        self._binaries = binaries
        self._progress = progress
        self._engine = engine

    def pause(self) -> Path:
        """Return the archive of the image that holds a Pod's namespaces."""
        key = recipe_key("1", (_SOURCES / "pause.c").read_bytes())
        return self._cache.obtain("image-pause", key, self._build_pause) / _ARCHIVE

    def coredns(self) -> Path:
        """Return the archive of the cluster's DNS server."""

        def build(target: Path) -> None:
            binary = Path(self._binaries.program(COREDNS, "coredns"))
            write_program_image(target / _ARCHIVE, name=COREDNS_IMAGE, program=binary)

        return self._cache.obtain("image-coredns", COREDNS.key, build) / _ARCHIVE

    def python_base(self) -> Path:
        """Return the archive of the image that Dockerfiles build on (`BASE_IMAGE`)."""
        recipe = repr((_BASE_OPTIONS, _BASE_PACKAGES)).encode()
        key = recipe_key(versions.DEBIAN, recipe)
        return self._cache.obtain("image-python-base", key, self._build_python_base) / _ARCHIVE

    def offer_python_base(self) -> None:
        """Make the base image known to the engine that builds images."""
        archive = self.python_base()
        mark = archive.parent / "digest"
        with file_lock(self._cache.directory / "engine.lock"):
            if mark.exists() and mark.read_text() == self.engine_id(PYTHON_BASE):
                return
            with self._progress.step(f"Base image {PYTHON_BASE}"):
                self._run_engine("load", "--quiet", "--input", str(archive))
            mark.write_text(self.engine_id(PYTHON_BASE) or "")

    def prune(self) -> None:
        """Remove what the engine's builds of the last days left and no name points to.

        What cannot be removed stays for another time: no lab needs it away.
        """
        try:
            self._run_engine("image", "prune", "--force", "--filter", "until=24h")
        except BuildError as error:
            self._progress.say(f"Not all old images are removed: {error}")

    def identities(self, names: Sequence[str]) -> dict[str, str]:
        """Return, for images that the engine has, name -> a word that tells their content.

        Raises:
            BuildError: The engine lacks one of them.
        """
        found = {name: self.engine_id(name) for name in names}
        if lacking := [name for name, identity in found.items() if identity is None]:
            raise BuildError(
                f"These images are not built: {', '.join(lacking)}. Build all: ./pants package ::"
            )
        return {name: str(identity) for name, identity in found.items()}

    def engine_id(self, name: str) -> str | None:
        """Return the id of an image that the engine has, None where it has none of that name."""
        command = [str(self._engine), "image", "inspect", "--format", "{{.Id}}", name]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        return answer.stdout.strip() if answer.returncode == 0 else None

    def export(self, names: Sequence[str], archive: Path) -> None:
        """Write images that the engine has into one archive.

        Raises:
            BuildError: The engine lacks one of them.
        """
        self._run_engine(
            "save", "--format", "docker-archive", "--multi-image-archive", "--quiet",
            "--output", str(archive), *names,
        )  # fmt: skip

    def build(self, name: str, *, dockerfile: str, context: Path) -> None:
        """Build an image from a Dockerfile's text and a directory.

        Raises:
            BuildError: The engine refused.
        """
        words = ("build", "--quiet", "--tag", name, "--file", "-", str(context))
        self._run_engine(*words, stdin=dockerfile)

    def _run_engine(self, *arguments: str, stdin: str = "") -> None:
        done = subprocess.run(
            [str(self._engine), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise BuildError(f"`docker {' '.join(arguments)}` failed: {done.stderr.strip()}")

    def _build_pause(self, target: Path) -> None:
        binary = target / "pause"
        compile_c(_SOURCES / "pause.c", binary, "-Os", "-static", "-s")
        write_program_image(target / _ARCHIVE, name=PAUSE, program=binary)
        binary.unlink()

    def _build_python_base(self, target: Path) -> None:
        layer = target / "layer.tar"
        log = self._binaries.logs / "image-python-base.log"
        command = [program("mmdebstrap"), *_BASE_OPTIONS, "--include=" + ",".join(_BASE_PACKAGES)]
        what = f"Base image {PYTHON_BASE} (once; log {log})"
        with self._progress.step(what), log.open("wb") as output:
            done = subprocess.run(
                [*command, versions.DEBIAN, str(layer)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
            )
            if done.returncode != 0:
                raise BuildError(f"The base image was not built; see {log}")
            write_archive(
                target / _ARCHIVE, name=PYTHON_BASE, layer=layer, command=["/usr/bin/python3"]
            )
        layer.unlink()


def compile_c(source: Path, target: Path, *options: str) -> None:
    """Compile one C file.

    Raises:
        BuildError: The compiler refused.
    """
    command = [program("gcc"), "-O2", "-Wall", "-o", str(target), str(source), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(f"{source.name} did not compile:\n{done.stderr}")


def ptrace_preload(cache: Cache) -> Path:
    """Return the library to preload into a guest's kernel; image/xstate.c says why."""
    source = _SOURCES / "xstate.c"

    def build(target: Path) -> None:
        compile_c(source, target / "xstate.so", "-shared", "-fPIC")

    return cache.obtain("xstate", recipe_key("1", source.read_bytes()), build) / "xstate.so"
