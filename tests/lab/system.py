"""Where programs are found, and how missing ones are installed."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from tests.lab.errors import MissingToolError
from tests.lab.progress import Progress

# Where Debian and the usual installers put programs: PATH may be short (in a test's sandbox).
_USUAL_DIRECTORIES: Final = (
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
    "/usr/local/go/bin",
)

# Programs that the lab calls; build-support/system-packages knows their packages.
_PROGRAMS: Final = (
    "buildah",
    "gcc",
    "ip",
    "linux.uml",
    "mmdebstrap",
    "modprobe",
    "nsenter",
    "ping",
    "podman",
    "runc",
    "xtables-legacy-multi",
)


def search_path() -> str:
    """Return PATH with the usual directories behind it."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), *_USUAL_DIRECTORIES])


def find_program(name: str) -> str | None:
    """Return the path of a program, None when the machine has none of that name."""
    return shutil.which(name, path=search_path())


def program(name: str) -> str:
    """Return the path of a program.

    Raises:
        MissingToolError: The machine has none of that name.
    """
    if found := find_program(name):
        return found
    raise MissingToolError(
        f"The program {name} is missing. build-support/system-packages installs what is needed on "
        "Debian."
    )


def install_missing_packages(repository: Path, progress: Progress, *, log: Path) -> None:
    """Install the Debian packages of the programs that the machine lacks.

    Raises:
        MissingToolError: They could not be installed.
    """
    missing = [name for name in _PROGRAMS if find_program(name) is None]
    if not missing:
        return
    script = repository / "build-support" / "system-packages"
    what = f"Debian packages with {', '.join(missing)} (once; log {log})"
    with progress.step(what), log.open("ab") as output:
        done = subprocess.run(
            [str(script)],
            env=dict(os.environ, PATH=search_path()),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
        )
    missing = [name for name in _PROGRAMS if find_program(name) is None]
    if done.returncode != 0 or missing:
        raise MissingToolError(
            f"These programs are missing: {', '.join(missing)}. {script} did not install them; "
            f"see {log}"
        )
