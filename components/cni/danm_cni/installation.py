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
from pathlib import Path, PurePath
from typing import Any, Final

import msgspec

from danm_api.codec.json_text import decode_foreign
from danm_api.errors import InvalidNetworkError
from danm_api.model.cni import CniVersion
from danm_api.telemetry import get_logger
from danm_cni.capabilities import OWN_CAPABILITIES
from danm_cni.config import HostPaths
from danm_cni.durable import remove_durably, try_writing, write_atomically
from danm_cni.netns import resolve_in_root
from danm_cni.plugin_files import declared_capabilities, first_configuration
from danm_cni.plugin_loading import ConfigFile, load_chain, paths_of

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
# What an administrator writes to have no fallback.
NO_FALLBACK: Final = "none"
# What log lines name to who wants another one.
_SETTING: Final = "--fallback-config (DANM_FALLBACK_CONFIG)"
# A plugin's DaemonSet that starts anew may remove its file and write it again. Pods wait so long
# for it: one that got another network would keep that for its life.
_RETURN_S: Final = 60.0
# A plugin's image may have to be pulled before it writes its file again. After this the file is
# gone for good, as when a cluster has changed its plugin.
_GONE_S: Final = 1800.0


# Path, inode, size in bytes and time of the last change in nanoseconds.
_FileState = tuple[str, int, int, int]


class _Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """The file that was the node's first when DANM came."""

    file: str


class Installation:
    """What DANM puts outside of its own directories."""

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
            fallback: The administrator's choice, if any.
            cni_version: The administrator's choice; None for what the runtime knows.
            pod_uid: The Pod that this is for, which installs nothing any more once it has taken
                DANM off the node; empty outside of one.
            now: Seconds since any time.
        """
        self._paths = paths
        self._pod_uid = pod_uid
        self._fallback = fallback
        self._cni_version = cni_version
        self._now = now
        # Since when the remembered fallback's file is missing; None while it is there.
        self._missing_since_s: float | None = None
        # What the configuration that this process wrote was made of; None before.
        self._made_of: frozenset[_FileState] | None = None

    @property
    def config_directory(self) -> Path:
        """Return the runtime's configuration directory as danmd reaches it."""
        return resolve_in_root(self._paths.root, self._paths.cni_config)

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
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        with _alone_in(directory):
            if self.was_uninstalled():
                return
            for name in names:
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
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        with _alone_in(directory):
            for name in () if self.was_uninstalled() else names:
                _try(directory / name, (self._paths.executables / name).read_bytes())
        if configuration:
            self.config_directory.mkdir(mode=0o755, parents=True, exist_ok=True)
            with _alone_in(self.config_directory):
                if not self.was_uninstalled():
                    data = self._encoded_configuration()
                    _try(self.config_directory / CONFIG_NAME, data)

    def write_configuration(self) -> None:
        """Write the CNI configuration, last of all.

        Raises:
            OSError: The host's directory cannot be written.
        """
        self.config_directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        with _alone_in(self.config_directory):
            if not self.was_uninstalled():
                # What is the node's first now is its fallback from now on.
                self.fallback()
                self._write_configuration()

    def refresh_configuration(self) -> None:
        """Write the CNI configuration again if the files that it speaks of have changed.

        Not before this process has written it, nor once somebody has taken it off the node. When
        the fallback's file goes and comes back is seen here, and no other is chosen.

        Raises:
            OSError: The host's directory cannot be read or written.
        """
        self._look_after_fallback()
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
        self._tell_earlier()

    def _tell_earlier(self) -> None:
        """Tell of a configuration that would have been the fallback if it had been there before.

        That of the cluster's plugin, say, on a node that got DANM first.
        """
        fallback = None if self._fallback else self._remembered()
        first = next(iter(self._configurations()), None)
        if fallback is not None and first is not None and first < fallback:
            log.info(
                "A CNI configuration that came later would be the first",
                name=first,
                fallback=fallback,
                setting=_SETTING,
            )

    def _encoded_configuration(self) -> bytes:
        plugin: dict[str, Any] = {"type": "danm"}
        # Or the runtime would keep host ports and the like from these plugins.
        capabilities = dict(OWN_CAPABILITIES)
        if self._fallback and self._fallback != NO_FALLBACK:
            capabilities |= self._capabilities(self._chosen(self._fallback))
        for name in self._configurations():
            # Any of them may be a static type's, or the fallback.
            capabilities |= self._capabilities(self._file(name))
        plugin["capabilities"] = dict(sorted(capabilities.items()))
        versions: dict[str, Any] = {"cniVersion": self._cni_version}
        if self._cni_version is None:
            versions = {"cniVersion": _OLDEST, "cniVersions": _VERSIONS}
        configuration = {**versions, "name": NETWORK_NAME, "plugins": [plugin]}
        return msgspec.json.format(msgspec.json.encode(configuration))

    def _files_now(self) -> frozenset[_FileState]:
        """Return what tells whether a configuration has changed."""
        files = [self._file(name) for name in self._configurations()]
        if self._fallback and self._fallback != NO_FALLBACK:
            files.append(self._chosen(self._fallback))
        states = set()
        for file in files:
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

    def _configurations(self) -> list[str]:
        """Return the names of the CNI configurations beside DANM's own."""
        try:
            names = sorted(each.name for each in self.config_directory.iterdir())
        except FileNotFoundError:
            return []
        return [each for each in names if first_configuration([each], own=CONFIG_NAME)]

    def _file(self, name: str) -> ConfigFile:
        """Return a configuration's file; a link leads on in the host's root."""
        try:
            path = resolve_in_root(self._paths.root, f"{self._paths.cni_config}/{name}")
        except OSError:
            # A link that leads nowhere: whoever reads it says so.
            path = self.config_directory / name
        return ConfigFile(path=path, beside=self.config_directory, root=self._paths.root)

    def _chosen(self, host_path: str) -> ConfigFile:
        return ConfigFile(
            path=resolve_in_root(self._paths.root, host_path),
            beside=resolve_in_root(self._paths.root, str(PurePath(host_path).parent)),
            root=self._paths.root,
        )

    def fallback(self) -> ConfigFile | None:
        """Return the configuration of Pods that ask for nothing, or None when there is none.

        Without the administrator's choice it is the one that was the node's first, which is
        remembered: what appears later does not take over running nodes by its name. While its
        file is missing for a moment, it is returned all the same, and whoever reads it says so.
        """
        if self._fallback == NO_FALLBACK:
            return None
        if self._fallback:
            return self._chosen(self._fallback)
        remembered = self._remembered()
        missing_s = self._look_after_fallback()
        if remembered is not None and missing_s < _RETURN_S:
            return self._file(remembered)
        chosen = next(iter(self._configurations()), None)
        if chosen is None:
            return None
        if remembered is not None and missing_s < _GONE_S:
            log.warning(
                "Fallback network is missing, and another one is used until it is back",
                name=remembered,
                instead=chosen,
                missing_s=round(missing_s),
                setting=_SETTING,
            )
            return self._file(chosen)
        self._remember(chosen, instead_of=remembered)
        return self._file(chosen)

    def _look_after_fallback(self) -> float:
        """Return for how long the remembered fallback's file has been missing."""
        remembered = None if self._fallback else self._remembered()
        if remembered is None or self._file(remembered).path.is_file():
            if self._missing_since_s is not None:
                log.info("Fallback network is back", name=remembered)
            self._missing_since_s = None
            return 0.0
        now_s = self._now()
        # ADDs and the look at the files are in two threads.
        since_s = self._missing_since_s
        if since_s is None:
            since_s = self._missing_since_s = now_s
            log.warning("Fallback network is missing", name=remembered, setting=_SETTING)
        return now_s - since_s

    def _remember(self, chosen: str, *, instead_of: str | None) -> None:
        self._memory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(self._memory, msgspec.json.encode(_Remembered(file=chosen)))
        if instead_of is None:
            log.info("Chose fallback network", name=chosen, setting=_SETTING)
            return
        self._missing_since_s = None
        log.warning(
            "Chose another fallback network for one that is gone",
            name=chosen,
            gone=instead_of,
            setting=_SETTING,
        )

    @property
    def _memory(self) -> Path:
        return self._paths.state / "fallback.json"

    def _remembered(self) -> str | None:
        try:
            return decode_foreign(self._memory.read_bytes(), _Remembered).file
        except (FileNotFoundError, msgspec.DecodeError):
            return None

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
