"""What the administrator's CNI configuration files hold: plugins, versions, capabilities. Pure."""

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, Final

import msgspec

from danm_api.codec.json_text import decode_foreign
from danm_api.errors import InvalidNetworkError
from danm_api.model.cni import CniVersion
from danm_cni.delegate_config import (
    OWN_TYPE,
    PluginChain,
    PluginConfig,
    is_plain_name,
    require_plain_name,
)

# libcni reads these three.
SUFFIXES: Final = (".conflist", ".conf", ".json")
LIST_SUFFIX: Final = ".conflist"
# Of the plugins in a list's folder.
PLUGIN_SUFFIX: Final = ".conf"
_INLINED_ONLY: Final = "loadOnlyInlinedPlugins"
_NO_MORE: Final[Mapping[str, bytes]] = {}


def _keys(data: bytes, source: str) -> dict[str, Any]:
    try:
        return decode_foreign(data, dict[str, Any])
    except msgspec.DecodeError as error:
        raise InvalidNetworkError(f"{source} cannot be read: {error}") from error


def _is_list(keys: Mapping[str, Any], source: str) -> bool:
    # A single plugin under a list's name has always been taken for what it is.
    return "plugins" in keys or (source.endswith(LIST_SUFFIX) and "type" not in keys)


def plugin_folder(data: bytes, *, source: str) -> str | None:
    """Return the name of the folder beside a list's file whose plugins join its own.

    Source: CNI specification 1.1.0, section 1: unless ``loadOnlyInlinedPlugins`` is set. libcni
    looks for it beside the file, under the network's name.

    Returns:
        A plain file name; None where no folder counts.

    Raises:
        InvalidNetworkError: The file cannot be read.
    """
    keys = _keys(data, source)
    name = keys.get("name")
    if not _is_list(keys, source) or _is_set(keys, _INLINED_ONLY):
        return None
    return name if isinstance(name, str) and is_plain_name(name) else None


def file_chain(data: bytes, *, source: str, more: Mapping[str, bytes] = _NO_MORE) -> PluginChain:
    """Read a .conf or .conflist.

    Args:
        data: The file.
        source: Its name.
        more: The files of ``plugin_folder`` by their names, in order; each holds one plugin.

    Raises:
        InvalidNetworkError: It cannot be read, has no plugin, or calls DANM again.
    """
    keys = _keys(data, source)
    if _is_list(keys, source):
        joining = [_keys(each, f"{source}: {name}") for name, each in more.items()]
        chain = _list_chain(keys, source, joining)
    else:
        plugin = PluginConfig(type=str(keys.get("type", "")), keys=keys, exact=data)
        version = str(keys.get("cniVersion") or CniVersion.V0_1_0)
        chain = PluginChain(source=source, version=version, plugins=(plugin,))
    for plugin in chain.plugins:
        if plugin.type == OWN_TYPE:
            raise InvalidNetworkError(f"{source} calls the plugin danm, which would call itself")
        if not plugin.type:
            raise InvalidNetworkError(f"{source} has a plugin without a type")
        require_plain_name(plugin.type)
    return chain


def _version(keys: Mapping[str, Any]) -> str:
    """Return the newest of a configuration's versions that is known, as runtimes choose it.

    Source: CNI specification 1.1.0, section 1, "Version considerations".
    """
    single, several = keys.get("cniVersion"), keys.get("cniVersions")
    stated = [single, *several] if isinstance(several, list) else [single]
    known = [each for each in CniVersion if each.value in stated]
    return str(known[-1]) if known else str(single or CniVersion.V0_1_0)


def _list_chain(
    keys: Mapping[str, Any], source: str, joining: Sequence[Mapping[str, Any]]
) -> PluginChain:
    inlined = keys.get("plugins", [])
    if "plugins" not in keys and _is_set(keys, _INLINED_ONLY):
        raise InvalidNetworkError(f"{source} has {_INLINED_ONLY} and no plugins; name them there")
    if (
        not isinstance(inlined, list)
        or not all(isinstance(each, dict) for each in inlined)
        or ("plugins" in keys and not inlined)
    ):
        raise InvalidNetworkError(f"{source}: plugins must be a list of at least one object")
    listed: list[Mapping[str, Any]] = [*inlined, *joining]
    if not listed:
        raise InvalidNetworkError(
            f"{source} has no plugins, and there are none in the folder of its name beside it"
        )
    version = _version(keys)
    plugins = tuple(
        PluginConfig(
            type=str(each.get("type", "")),
            keys={**each, "cniVersion": version, "name": keys.get("name", "")},
        )
        for each in listed
    )
    return PluginChain(
        source=source,
        version=version,
        plugins=plugins,
        checks=not _is_set(keys, "disableCheck"),
        collects=not _is_set(keys, "disableGC"),
    )


def _is_set(keys: Mapping[str, Any], name: str) -> bool:
    """Say whether a flag is set; files in use have it as a text, too."""
    return keys.get(name) is True or str(keys.get(name)).lower() == "true"


def declared_capabilities(chain: PluginChain) -> dict[str, bool]:
    """Return what DANM's own configuration must declare so that the chain gets it (SPEC B2)."""
    declared: dict[str, bool] = {}
    for plugin in chain.plugins:
        capabilities = plugin.keys.get("capabilities")
        if isinstance(capabilities, dict):
            declared.update(
                {str(key): True for key, value in capabilities.items() if value is True}
            )
    return declared


def first_configuration(names: Sequence[str], *, own: str) -> str | None:
    """Return the file that a runtime would choose if DANM's were not there.

    Runtimes take the first in the order of names (SPEC B2).
    """
    candidates = [name for name in names if name != own and PurePath(name).suffix in SUFFIXES]
    return min(candidates, default=None)
