"""The one place that says what the suite calls: the static executables, else their modules here."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Final

import danm_api
import danm_cni.shim.main
import fakeipam.main
from tests.cni.strict import Outcome

# A directory with the static executables (build-support/frozen/README.md).
_BUILT: Final = "DANM_EXECUTABLES"
_MODULES: Final[dict[str, ModuleType]] = {
    "danm": danm_cni.shim.main,
    "fakeipam": fakeipam.main,
}


def install_executables(directory: Path) -> None:
    """Put `danm` and `fakeipam` into a directory of plugins.

    Raises:
        FileNotFoundError: The directory that the environment names has them not.
    """
    for name, module in _MODULES.items():
        target = directory / name
        if built := os.environ.get(_BUILT):
            shutil.copy(Path(built) / name, target)
            continue
        target.write_text(_script(module))
        target.chmod(0o755)


def call_executable(executable: Path, variables: Mapping[str, str], stdin: bytes) -> Outcome:
    """Start an executable with exactly these variables, empty ones left out; wait for its end."""
    done = subprocess.run(
        [executable],
        input=stdin,
        env={key: value for key, value in variables.items() if value},
        capture_output=True,
        check=False,
    )
    return Outcome(status=done.returncode, output=done.stdout)


def source_roots(module: ModuleType) -> list[str]:
    """Return where an executable's modules are, those of danm_api among them."""
    return sorted({_root(each) for each in (danm_api, module)})


def _script(module: ModuleType) -> str:
    """Return a program that starts about as the static one does: no site, nothing unneeded."""
    return (
        f"#!{sys.executable} -IS\n"
        f"import posix, sys\nsys.path[:0] = {source_roots(module)!r}\n"
        f"from {module.__name__} import main\nposix._exit(main())\n"
    )


def _root(module: ModuleType) -> str:
    """Return the source root of a module."""
    file = module.__file__
    assert file is not None
    depth = module.__name__.count(".") + (Path(file).name == "__init__.py")
    return str(Path(file).parents[depth])
