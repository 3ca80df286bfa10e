"""`danm` and `fakeipam` as the image has them: static executables, built from this tree.

The script is the one that Pants runs, on the same files.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.lab.cache import Cache, recipe_key
from tests.lab.errors import BuildError
from tests.lab.progress import Progress
from tests.lab.system import search_path

NAMES: Final = ("danm", "fakeipam")
_COMPONENT: Final = "static-executables"
_SCRIPTS: Final = "build-support/frozen"
_API: Final = "libs/danm-api"
# As build-support/frozen/BUILD has them: source roots and main module.
_PROGRAMS: Final = {
    "danm": ("components/cni", "danm_cni.shim.__main__"),
    "fakeipam": ("components/fakeipam", "fakeipam.__main__"),
}
_SOURCES: Final = (
    f"{_SCRIPTS}/build.sh",
    f"{_SCRIPTS}/freeze.py",
    f"{_SCRIPTS}/linked.py",
    f"{_API}/danm_api/__init__.py",
    *(f"{_API}/danm_api/node_{name}.py" for name in ("call", "frame", "tombstone")),
    "components/cni/danm_cni/__init__.py",
    "components/cni/danm_cni/version.py",
    "components/cni/danm_cni/shim/*.py",
    "components/fakeipam/fakeipam/*.py",
)


def executables(repository: Path, cache: Cache, progress: Progress) -> Path:
    """Return the directory with both; they are built where these sources were not built yet (20 s).

    Raises:
        BuildError: They did not build.
    """
    sources = sorted(_sources(repository))
    contents = [(repository / each).read_bytes() for each in sources]
    key = recipe_key("1", *(str(each).encode() for each in sources), *contents)

    def build(target: Path) -> None:
        with (
            progress.step("Static executables danm and fakeipam (once)"),
            tempfile.TemporaryDirectory(prefix="danm-lab-frozen-") as directory,
        ):
            # Nothing but these files, as in Pants' sandbox: what more a program imports is missed.
            for each in sources:
                (Path(directory) / each).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(repository / each, Path(directory) / each)
            for name, (root, main_module) in _PROGRAMS.items():
                _build(Path(directory), target / name, f"{_API} {root}", main_module)

    return cache.obtain(_COMPONENT, key, build)


def _sources(repository: Path) -> Iterator[Path]:
    for pattern in _SOURCES:
        for path in repository.glob(pattern):
            if not path.name.endswith("_test.py"):
                yield path.relative_to(repository)


def _build(directory: Path, target: Path, source_roots: str, main_module: str) -> None:
    done = subprocess.run(
        [str(directory / _SCRIPTS / "build.sh"), str(target), target.name, main_module],
        cwd=directory,
        env=dict(os.environ, SOURCE_ROOTS=source_roots, PATH=search_path()),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BuildError(f"{_SCRIPTS}/build.sh {target.name} failed: {done.stderr.strip()}")
