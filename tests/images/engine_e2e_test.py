"""The command that builds images, on a store of its own."""

import fcntl
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

_ENGINE: Final = Path(__file__).parents[2] / "build-support" / "container" / "docker"


class Engine:
    """The engine, with a store of its own."""

    def __init__(self, directory: Path) -> None:
        """Keep all below a directory, which is the store's alone."""
        self._store = directory / "store"
        self._context = directory / "context"
        self._context.mkdir()

    def run(self, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        """Run a command."""
        return subprocess.run(
            [str(_ENGINE), *arguments],
            env={"DANM_CONTAINER_STORAGE": str(self._store)},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )

    def docker(self, *arguments: str, stdin: str = "") -> str:
        """Run a command, which succeeds, and return what it printed."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def build(self, name: str, base: str, content: str) -> None:
        """Build an image of one file on another one."""
        (self._context / "file").write_text(content)
        dockerfile = f"FROM {base}\nCOPY file /{content}\n"
        words = ("build", "--quiet", "--tag", name, "--file", "-", str(self._context))
        self.docker(*words, stdin=dockerfile)

    def leave_build(self, base: str) -> None:
        """Leave what a build on an image works in, as one that is killed does."""
        root, run = self._store / "root", self._store / "run"
        driver = self.docker("info", "--format", "{{.Store.GraphDriverName}}").strip()
        buildah = ["buildah", "--root", str(root), "--runroot", str(run)]
        for words in (["from", "--name", "left", base], ["mount", "left"]):
            command = [*buildah, "--storage-driver", driver, *words]
            subprocess.run(command, check=True, capture_output=True)

    @contextmanager
    def building(self) -> Iterator[None]:
        """Hold up builds, as one that runs does."""
        with (self._store / "build.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def unnamed(self) -> list[str]:
        """Return the ids of the images that no name points to."""
        return self.docker("images", "--all", "--quiet", "--filter", "dangling=true").split()


@pytest.fixture()
def engine() -> Iterator[Engine]:
    """Return an engine with an empty store."""
    if shutil.which("podman") is None:
        pytest.skip("Docker's store is the machine's: a test has none of its own")
    # podman takes no path beyond 50 characters, which a test's usual directory has.
    with tempfile.TemporaryDirectory(prefix="engine-", dir="/tmp") as directory:
        yield Engine(Path(directory))


def test_a_build_that_was_cut_off_holds_no_images(engine: Engine) -> None:
    """What it worked in goes, and all old images with it."""
    engine.build("localhost/below:1", "scratch", "one")
    engine.build("localhost/above:1", "localhost/below:1", "two")
    engine.leave_build("localhost/below:1")
    engine.docker("untag", "localhost/above:1")
    engine.docker("untag", "localhost/below:1")
    assert engine.unnamed()

    engine.docker("image", "prune", "--force")

    assert engine.unnamed() == []
    assert engine.docker("ps", "--all", "--external", "--quiet") == ""


def test_images_with_names_stay(engine: Engine) -> None:
    """Also those that a build that was cut off began with; what it worked in goes."""
    engine.build("localhost/kept:1", "scratch", "one")
    engine.leave_build("localhost/kept:1")

    engine.docker("image", "prune", "--force")

    assert engine.docker("images", "--format", "{{.Repository}}:{{.Tag}}") == "localhost/kept:1\n"
    assert engine.docker("ps", "--all", "--external", "--quiet") == ""


def test_nothing_is_removed_beside_a_build(engine: Engine) -> None:
    """It may work in what looks as if it were left, and nobody waits for its end."""
    engine.build("localhost/below:1", "scratch", "one")
    engine.docker("untag", "localhost/below:1")

    with engine.building():
        refused = engine.run("image", "prune", "--force")

    assert (refused.returncode, "nothing was removed" in refused.stderr) == (1, True)
    assert len(engine.unnamed()) == 1
