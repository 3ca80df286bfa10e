"""Boots guests: user-mode Linux kernels, which are ordinary processes of this machine."""

import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from tests.lab.cache import Cache
from tests.lab.errors import StartError
from tests.lab.images import ptrace_preload
from tests.lab.process import log_tail, start_leashed
from tests.lab.system import program
from tests.lab.topology import Nic

_SCRIPTS: Final = Path(__file__).parent / "guest"
_START: Final = "kernel.sh"
_PROGRAMS: Final = (_START, "init.sh", "node.sh")
_POLL_S: Final = 0.05
# A bare guest needs little; tests make a few namespaces and links.
_BARE_MEMORY: Final = "1G"


def write_scripts(directory: Path, environment: Mapping[str, str]) -> None:
    """Put into a guest's directory what its kernel and its first process need.

    Everything must lie there before the guest boots: its view of this machine's files remembers
    that a file did not exist.

    Args:
        directory: The guest's directory.
        environment: Variables for its scripts.
    """
    (directory / "log").mkdir(parents=True, exist_ok=True)
    for script in _PROGRAMS:
        shutil.copy(_SCRIPTS / script, directory / script)
        (directory / script).chmod(0o755)
    variables = {"LAB_KERNEL": program("linux.uml"), **environment}
    lines = [f"{name}={shlex.quote(value)}\n" for name, value in variables.items()]
    (directory / "guest.env").write_text("".join(lines))


def kernel_command(directory: Path, *, name: str, memory: str, nics: Sequence[Nic]) -> list[str]:
    """Return the command line that boots a guest.

    Args:
        directory: The guest's directory (`write_scripts`).
        name: Of the guest.
        memory: For example `3G`.
        nics: Its Ethernet interfaces.
    """
    wires = [
        f"{nic.kernel_name}:transport=tap,ifname={nic.tap},depth=128,mac={nic.mac}" for nic in nics
    ]
    return [
        str(directory / _START),
        f"mem={memory}",
        # The machine's files, never to be written.
        "root=/dev/root",
        "rootfstype=hostfs",
        "rootflags=/",
        "ro",
        "quiet",
        f"init={directory}/init.sh",
        f"labdir={directory}",
        "con=null",
        "con0=fd:0,fd:1",
        *wires,
        f"umid={name}",
        f"uml_dir={directory}/uml/",
    ]


def kernel_environment(preload: Path) -> dict[str, str]:
    """Return the environment in which a guest's kernel runs, with the library to preload."""
    return {
        "LD_PRELOAD": str(preload),
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
    }


def run_bare(
    cache: Cache, argv: Sequence[str], *, stdout: IO[bytes], stderr: IO[bytes], timeout_s: float
) -> int:
    """Run one command in a guest without network, made for it, and return its exit status.

    The guest has the kernel's IPVLAN, VLAN and VXLAN, sees this machine's files (this
    repository among them) and may write everywhere: nothing of it remains.

    Args:
        cache: Of built things.
        argv: The command; runs in the current directory as root.
        stdout: Where its output goes, as it comes.
        stderr: Where its errors go.
        timeout_s: How long boot and command may take.

    Raises:
        StartError: The guest did not boot, or the time is over.
    """
    with tempfile.TemporaryDirectory(prefix="danm-lab-guest-") as name:
        directory = Path(name)
        # Variables that make Python and tests find their way.
        exports = _exports(("PATH", "PYTHONPATH", "HOME", "DANM_LAB_CACHE"))
        (directory / "command.sh").write_text(f"{exports}exec {shlex.join(argv)}\n")
        write_scripts(
            directory,
            {"LAB_MODE": "bare", "LAB_NICS": "", "LAB_DIRECTORY": str(Path.cwd())},
        )
        log = directory / "log"
        for output in ("stdout", "stderr"):
            (log / output).touch()
        kernel = start_leashed(
            "guest",
            kernel_command(directory, name="bare", memory=_BARE_MEMORY, nics=()),
            log=directory / "console.log",
            env=kernel_environment(ptrace_preload(cache)),
        )
        deadline = time.monotonic() + timeout_s
        try:
            with (log / "stdout").open("rb") as out, (log / "stderr").open("rb") as err:
                while True:
                    ended = (log / "status").exists() or kernel.process.poll() is not None
                    for source, target in ((out, stdout), (err, stderr)):
                        shutil.copyfileobj(source, target)
                        target.flush()
                    if ended:
                        break
                    if time.monotonic() > deadline:
                        raise StartError(f"The guest did not end within {timeout_s:.0f} s.")
                    time.sleep(_POLL_S)
            if not (log / "status").exists():
                raise StartError(
                    f"The guest died. Its console closes with:\n{log_tail(kernel.log)}"
                )
            return int((log / "status").read_text())
        finally:
            kernel.stop()


def guest_python() -> str:
    """Return a Python that a guest can run: it sees the same files as this machine."""
    return str(Path(sys.executable).resolve())


def _exports(names: Sequence[str]) -> str:
    pairs = [(name, os.environ[name]) for name in names if name in os.environ]
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in pairs)
