"""Debian's packages that the lab needs, and where programs are found."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tests.lab.cache import file_lock
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

# A program that proves that the package is there -> the package.
PACKAGES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "linux.uml": "user-mode-linux",
        "modprobe": "kmod",
        "runc": "runc",
        "xtables-legacy-multi": "iptables",
        "ip": "iproute2",
        "ping": "iputils-ping",
        "conntrack": "conntrack",
        "nsenter": "util-linux",
        "mmdebstrap": "mmdebstrap",
        "podman": "podman",
        "buildah": "buildah",
        "gcc": "gcc",
    }
)
# Programs do not tell whether these are there.
_DEVELOPMENT_FILES: Final[Mapping[str, str]] = MappingProxyType(
    {"/usr/include/x86_64-linux-gnu/sys/ptrace.h": "libc6-dev"}
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
    package = PACKAGES.get(name, name)
    raise MissingToolError(f"The program {name} is missing. Install it: apt-get install {package}")


def missing_packages() -> list[str]:
    """Return the Debian packages that the lab needs and the machine lacks."""
    missing = {package for name, package in PACKAGES.items() if find_program(name) is None}
    missing |= {package for path, package in _DEVELOPMENT_FILES.items() if not Path(path).exists()}
    return sorted(missing)


def install_missing_packages(progress: Progress, *, log: Path) -> None:
    """Install what the machine lacks, from Debian.

    Raises:
        MissingToolError: apt-get is not there or failed.
    """
    if not missing_packages():
        return
    with file_lock(log.with_suffix(".lock")):
        if not (missing := missing_packages()):
            return
        if os.geteuid() != 0 or find_program("apt-get") is None:
            raise MissingToolError(
                "The lab needs these Debian packages: " + " ".join(missing) + ". Install them "
                "with apt-get, as root."
            )
        environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive", PATH=search_path())
        install = ["install", "--yes", "--no-install-recommends", *missing]
        with progress.step(f"Debian packages {' '.join(missing)}"), log.open("ab") as output:
            for arguments in (["update"], install):
                command = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=600", *arguments]
                status = subprocess.run(
                    command,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    check=False,
                ).returncode
                if status != 0:
                    raise MissingToolError(f"`{' '.join(command)}` failed; see {log}")
