"""CNI configurations of static types and of the fallback, read from the host (SPEC E2, B2)."""

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Final

from danm_api.errors import InvalidNetworkError
from danm_cni.delegate_config import PluginChain, require_plain_name
from danm_cni.netns import resolve_in_root
from danm_cni.plugin_files import (
    PLUGIN_SUFFIX,
    file_chain,
    first_configuration,
    plugin_folder,
)

_MAX_CONFIG_BYTES: Final = 1 << 20

# Static types and the fallback are looked up by these names, the list first (SPEC E2).
_CONFIG_SUFFIXES: Final = (".conflist", ".conf")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFile:
    """A CNI configuration on the host.

    Attributes:
        path: The file, all links followed.
        beside: Where it was found: there the folder of its plugins lies.
        root: The host's root directory, in which links lead on.
    """

    path: Path
    beside: Path
    root: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigDirectory:
    """The runtime's CNI configuration directory.

    Attributes:
        root: The host's root directory, in which links lead on.
        host_path: The directory, as the host names it.
        own: The name of DANM's own configuration, which is none of the others.
    """

    root: Path
    host_path: str
    own: str

    @property
    def path(self) -> Path:
        """Return the directory as danmd reaches it."""
        return resolve_in_root(self.root, self.host_path)

    def names(self) -> list[str]:
        """Return the names of the CNI configurations beside DANM's own, in order."""
        try:
            names = sorted(each.name for each in self.path.iterdir())
        except FileNotFoundError:
            return []
        return [each for each in names if first_configuration([each], own=self.own)]

    def file(self, name: str) -> ConfigFile:
        """Return a configuration's file; a link leads on in the host's root."""
        try:
            path = resolve_in_root(self.root, f"{self.host_path}/{name}")
        except OSError:
            # A link that leads nowhere: whoever reads it says so.
            path = self.path / name
        return ConfigFile(path=path, beside=self.path, root=self.root)

    def file_at(self, host_path: str) -> ConfigFile:
        """Return a configuration's file that may be in another directory of the host."""
        return ConfigFile(
            path=resolve_in_root(self.root, host_path),
            beside=resolve_in_root(self.root, str(PurePath(host_path).parent)),
            root=self.root,
        )


def load_static_chain(directory: Path, network_type: str, *, root: Path) -> PluginChain:
    """Read the configuration of a static type.

    Args:
        directory: Below the root.
        network_type: The file's name without its suffix.
        root: The host's root directory, in which links lead on.

    Raises:
        InvalidNetworkError: The name is not plain, there is no such file, or it is not usable.
    """
    require_plain_name(network_type)
    for suffix in _CONFIG_SUFFIXES:
        name = f"{network_type}{suffix}"
        try:
            path = _resolve(directory / name, root)
        except OSError as error:
            # What is too long for a name is not there either.
            if error.errno == errno.ENAMETOOLONG:
                continue
            raise InvalidNetworkError(f"{name} cannot be read: {error.strerror}") from error
        if path.exists():
            return load_chain(ConfigFile(path=path, beside=directory, root=root), source=name)
    raise InvalidNetworkError(
        f"NetworkType {network_type!r}: this node's CNI configuration directory has neither "
        f"{network_type}.conflist nor {network_type}.conf; install that plugin's configuration"
    )


def _resolve(path: Path, root: Path) -> Path:
    return resolve_in_root(root, f"/{path.relative_to(root)}")


def load_chain(file: ConfigFile, *, source: str = "") -> PluginChain:
    """Read a configuration, and what the folder of its name adds to it.

    Args:
        file: Where it is.
        source: What errors name; by default the file.

    Raises:
        InvalidNetworkError: It cannot be read, or is not usable.
    """
    source = source or file.path.name
    data = _read(file.path, source)
    paths = _joining_paths(file, data, source)
    more = {path.name: _read(path, f"{source}: {path.name}") for path in paths}
    return file_chain(data, source=source, more=more)


def paths_of(file: ConfigFile) -> Sequence[Path]:
    """Return all files that a configuration is made of.

    Raises:
        InvalidNetworkError: It cannot be read.
    """
    source = file.path.name
    return [file.path, *_joining_paths(file, _read(file.path, source), source)]


def _joining_paths(file: ConfigFile, data: bytes, source: str) -> Sequence[Path]:
    name = plugin_folder(data, source=source)
    if name is None:
        return ()
    folder = file.beside / name
    try:
        found = sorted(
            each.name
            for each in _resolve(folder, file.root).iterdir()
            if each.suffix == PLUGIN_SUFFIX
        )
        paths = [_resolve(folder / each, file.root) for each in found]
        return [each for each in paths if not each.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise InvalidNetworkError(f"{source}: {name} cannot be read: {error.strerror}") from error


def _read(path: Path, source: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise InvalidNetworkError(f"{source} cannot be read: {error.strerror}") from error
    if len(data) > _MAX_CONFIG_BYTES:
        raise InvalidNetworkError(f"{source} has more than {_MAX_CONFIG_BYTES} bytes")
    return data
