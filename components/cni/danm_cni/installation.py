"""Putting DANM onto a node and taking it off again (DESIGN, "Parts"; SPEC B2).

Executables come first and the CNI configuration last; on the way out it is the other way round. So
the runtime never sees a configuration whose plugin is missing. All of it is atomic.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from danm_api.errors import InvalidNetworkError
from danm_api.model.cni import CniVersion
from danm_api.telemetry import get_logger
from danm_cni.capabilities import OWN_CAPABILITIES
from danm_cni.config import HostPaths
from danm_cni.durable import remove_durably, try_writing, write_atomically
from danm_cni.fallback_choice import FallbackChoice
from danm_cni.netns import resolve_in_root
from danm_cni.plugin_files import declared_capabilities, first_configuration
from danm_cni.plugin_loading import ConfigDirectory, ConfigFile, load_chain, paths_of

log = get_logger(__name__)

# Runtimes take the first configuration in the order of names.
CONFIG_NAME: Final = "00-danm.conflist"
NETWORK_NAME: Final = "danm"
EXECUTABLES: Final = ("danm", "fakeipam")
# With --ipam-only.
FAKEIPAM_ALONE: Final = ("fakeipam",)
# A runtime takes the newest of ``cniVersions`` that it knows. One whose libcni is older than that
# key looks at ``cniVersion`` alone, and refuses results of a version that it does not know
# (containerd 1.7).
_OLDEST: Final = CniVersion.V1_0_0
_VERSIONS: Final = (_OLDEST, CniVersion.V1_1_0)

# Path, inode, size in bytes and time of the last change in nanoseconds.
_FileState = tuple[str, int, int, int]


class Installation:
    """What DANM puts outside of its own directories.

    Attributes:
        fallback: Which configuration is that of Pods that ask for nothing.
    """

    def __init__(
        self,
        paths: HostPaths,
        *,
        fallback: str | None,
        cni_version: str | None = None,
        pod_uid: str = "",
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Work below the host's root.

        Args:
            paths: Where what is.
            fallback: The administrator's choice, if any: a file as the host names it, or "none".
            cni_version: The administrator's choice; None for what the runtime knows.
            pod_uid: The Pod that this is for, which installs nothing any more once it has taken
                DANM off the node; empty outside of one.
            now: Seconds since any time.
        """
        self._paths = paths
        self._pod_uid = pod_uid
        self._directory = ConfigDirectory(
            root=paths.root, host_path=paths.cni_config, own=CONFIG_NAME
        )
        self.fallback = FallbackChoice(
            self._directory, named=fallback, memory=paths.fallback_memory, now=now
        )
        self._cni_version = cni_version
        # What the configuration that this process wrote was made of; None before.
        self._made_of: frozenset[_FileState] | None = None

    @property
    def config_directory(self) -> Path:
        """Return the runtime's configuration directory as danmd reaches it."""
        return self._directory.path

    @property
    def bin_directory(self) -> Path:
        """Return the runtime's plugin directory as danmd reaches it."""
        return resolve_in_root(self._paths.root, self._paths.cni_bin)

    @property
    def has_configuration(self) -> bool:
        """Say whether the runtime of this node has DANM's configuration."""
        return (self.config_directory / CONFIG_NAME).exists()

    def install_executables(self, names: Sequence[str] = EXECUTABLES) -> None:
        """Copy the executables; one that is there already, byte for byte, is left alone.

        Raises:
            OSError: The image lacks one, or the host's directory cannot be written.
        """
        directory = self.bin_directory
        with self._installing_in(directory) as installs:
            for name in names if installs else ():
                target, data = directory / name, (self._paths.executables / name).read_bytes()
                if not _has(target, data):
                    write_atomically(target, data, mode=0o755)
                    log.info("Installed executable", path=str(target))

    def rehearse(self, names: Sequence[str] = EXECUTABLES, *, configuration: bool) -> None:
        """Find out whether what is to be installed can be, beside a danmd that goes on serving.

        Directories are made; files are tried and not left.

        Args:
            names: The executables.
            configuration: The CNI configuration is to be written as well.

        Raises:
            OSError: As ``install_executables`` and ``write_configuration``.
        """
        directory = self.bin_directory
        with self._installing_in(directory) as installs:
            for name in names if installs else ():
                _try(directory / name, (self._paths.executables / name).read_bytes())
        if configuration:
            with self._installing_in(self.config_directory) as installs:
                if installs:
                    data = self._encoded_configuration()
                    _try(self.config_directory / CONFIG_NAME, data)

    def write_configuration(self) -> None:
        """Write the CNI configuration, last of all.

        Raises:
            OSError: The host's directory cannot be written.
        """
        with self._installing_in(self.config_directory) as installs:
            if installs:
                # What is the node's first now is its fallback from now on.
                self.fallback.find()
                self._write_configuration()

    def refresh_configuration(self) -> None:
        """Write the CNI configuration again if the files that it speaks of have changed.

        Not before this process has written it, nor once somebody has taken it off the node. When
        the fallback's file goes and comes back is seen here, and no other is chosen.

        Raises:
            OSError: The host's directory cannot be read or written.
        """
        self.fallback.look_after()
        if self._made_of is None or not self.config_directory.is_dir():
            return
        with _alone_in(self.config_directory):
            if self.has_configuration and self._made_of != self._files_now():
                self._write_configuration()

    def _write_configuration(self) -> None:
        directory = self.config_directory
        # Looked at first: what changes while it is read is found the next time.
        self._made_of = self._files_now()
        data = self._encoded_configuration()
        target = directory / CONFIG_NAME
        if not _has(target, data):
            write_atomically(target, data, mode=0o644)
            log.info("Installed CNI configuration", path=str(target))
        first = min((each.name for each in directory.iterdir()), default=CONFIG_NAME)
        if first_configuration([first], own=CONFIG_NAME) is not None:
            log.warning("Another CNI configuration comes before DANM's", name=first)
        self.fallback.tell_earlier()

    def _encoded_configuration(self) -> bytes:
        plugin: dict[str, Any] = {"type": "danm"}
        # Or the runtime would keep host ports and the like from these plugins.
        capabilities = dict(OWN_CAPABILITIES)
        for file in self._files():
            capabilities |= self._capabilities(file)
        plugin["capabilities"] = dict(sorted(capabilities.items()))
        versions: dict[str, Any] = {"cniVersion": self._cni_version}
        if self._cni_version is None:
            versions = {"cniVersion": _OLDEST, "cniVersions": _VERSIONS}
        configuration = {**versions, "name": NETWORK_NAME, "plugins": [plugin]}
        return msgspec.json.format(msgspec.json.encode(configuration))

    def _files(self) -> list[ConfigFile]:
        """Return all configurations that may be a static type's or the fallback."""
        beside = [self._directory.file(name) for name in self._directory.names()]
        named = self.fallback.named
        return beside if named is None else [named, *beside]

    def _files_now(self) -> frozenset[_FileState]:
        """Return what tells whether a configuration has changed."""
        states = set()
        for file in self._files():
            try:
                paths = paths_of(file)
            except InvalidNetworkError:
                paths = [file.path]
            for path in paths:
                with suppress(OSError):
                    found = path.stat()
                    states.add((str(path), found.st_ino, found.st_size, found.st_mtime_ns))
        return frozenset(states)

    def _capabilities(self, file: ConfigFile) -> dict[str, bool]:
        try:
            return declared_capabilities(load_chain(file))
        except InvalidNetworkError as error:
            log.warning("CNI configuration is not usable", path=str(file.path), error=error.reason)
            return {}

    @contextmanager
    def _installing_in(self, directory: Path) -> Iterator[bool]:
        """Be alone in a directory, which is made if it is missing.

        It gives False when this Pod has taken DANM off the node: then nothing is to be installed.
        """
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        with _alone_in(directory):
            yield not self.was_uninstalled()

    def was_uninstalled(self) -> bool:
        """Say whether this Pod has taken DANM off the node: then it never installs it again."""
        try:
            return self._pod_uid in self._uninstalled_mark.read_text().split()
        except FileNotFoundError:
            return False

    @property
    def _uninstalled_mark(self) -> Path:
        return self._paths.run / "uninstalled-by"

    def uninstall(self) -> None:
        """Take everything off the node: configuration, executables, own state.

        The danmd of this Pod, still running or about to, does not undo this.

        Raises:
            OSError: Something cannot be removed.
        """
        self._paths.run.mkdir(mode=0o700, parents=True, exist_ok=True)
        # During an update a node has two Pods, which may both be told.
        with _alone_in(self._paths.run):
            if self._pod_uid:
                # Before anything is removed, which a danmd that begins just now would put back.
                self._mark()
            with suppress(FileNotFoundError), _alone_in(self.config_directory):
                remove_durably(self.config_directory / CONFIG_NAME)
            with suppress(FileNotFoundError), _alone_in(self.bin_directory):
                for name in EXECUTABLES:
                    remove_durably(self.bin_directory / name)
            with suppress(FileNotFoundError):
                _empty(self._paths.state)
            _empty(self._paths.run, but=self._uninstalled_mark)
        log.info("Uninstalled from node")

    def _mark(self) -> None:
        """Remember this Pod, beside others; until the next boot, since it is in memory."""
        with self._uninstalled_mark.open("a") as file:
            file.write(f"\n{self._pod_uid}\n")


@contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    """Be the only process that writes or removes DANM's files in a directory.

    Who takes DANM off a node does it beside a danmd that runs, and must have the last word.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _has(target: Path, data: bytes) -> bool:
    """Say whether a file is there with that content."""
    return target.exists() and target.read_bytes() == data


def _try(target: Path, data: bytes) -> None:
    """Find out whether a file can be written, if it has to be."""
    if not _has(target, data):
        try_writing(target, data)


def _empty(directory: Path, *, but: Path | None = None) -> None:
    """Remove what a directory holds; the directory itself may be a mount."""
    for path in directory.iterdir():
        if path == but:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            # A danmd that still runs may write.
            path.unlink(missing_ok=True)
