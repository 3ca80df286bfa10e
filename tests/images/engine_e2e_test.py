"""The command that builds images, on a store of its own."""

import subprocess
import tempfile
from collections.abc import Iterator
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

    def docker(self, *arguments: str, stdin: str = "") -> str:
        """Run a command, which succeeds, and return what it printed."""
        done = subprocess.run(
            [str(_ENGINE), *arguments],
            env={"DANM_CONTAINER_STORAGE": str(self._store)},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
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
        subprocess.run(
            [
                "buildah", "--root", str(root), "--runroot", str(run),
                "--storage-driver", driver, "from", base,
            ],
            check=True,
            capture_output=True,
        )  # fmt: skip

    def unnamed(self) -> list[str]:
        """Return the ids of the images that no name points to."""
        return self.docker("images", "--all", "--quiet", "--filter", "dangling=true").split()


@pytest.fixture()
def engine() -> Iterator[Engine]:
    """Return an engine with an empty store."""
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
    """Also those that a build that was cut off began with."""
    engine.build("localhost/kept:1", "scratch", "one")
    engine.leave_build("localhost/kept:1")

    engine.docker("image", "prune", "--force")

    assert engine.docker("images", "--format", "{{.Repository}}:{{.Tag}}") == "localhost/kept:1\n"
