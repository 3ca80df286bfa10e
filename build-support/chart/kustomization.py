"""Reads the kustomizations below deploy/: as much of kustomize as they use, refusing the rest.

tests/deploy compares what comes of it with what ``kubectl kustomize`` makes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

import yaml

RawObject = dict[str, Any]
Identity = tuple[str, str]
"""Kind and name: no two objects of one kind have one name in deploy/."""

_FILE: Final = "kustomization.yaml"
_ALL: Final = frozenset({"apiVersion", "kind", "resources", "patches", "images"})
_COMPONENT: Final = frozenset({"apiVersion", "kind", "replicas"})


class UnknownKustomizationError(ValueError):
    """deploy/ uses something of kustomize that this generator does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An object, and the file below deploy/ that it stands in."""

    path: PurePosixPath
    raw: RawObject

    @property
    def identity(self) -> Identity:
        """What patches call it."""
        return identity(self.raw)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kustomized:
    """What a kustomization makes.

    Attributes:
        sources: Its objects, in the order of its resources; images have no tags yet.
        tags: The images' tags, of the kustomizations that it uses too.
    """

    sources: tuple[Source, ...]
    tags: Mapping[str, str]


def identity(raw: RawObject) -> Identity:
    """Return an object's kind and name."""
    return raw["kind"], raw["metadata"]["name"]


def read(deploy: Path, part: str = ".") -> Kustomized:
    """Return what the kustomization of a directory below deploy/ makes.

    Raises:
        UnknownKustomizationError: It uses what is not known here.
    """
    directory = deploy / part
    top = _load(directory, _ALL)
    sources = {source.identity: source for source in _sources(deploy, directory)}
    for patch in top.get("patches", ()):
        _apply(patch, directory, sources)
    return Kustomized(sources=tuple(sources.values()), tags=_tags(directory))


def read_replicas(deploy: Path, component: str) -> Mapping[str, int]:
    """Return how many replicas a component gives to the Deployments that it names."""
    raw = _load(deploy / component, _COMPONENT)
    return {each["name"]: each["count"] for each in raw["replicas"]}


def _load(directory: Path, known: frozenset[str]) -> dict[str, Any]:
    raw: dict[str, Any] = yaml.safe_load((directory / _FILE).read_text())
    if unknown := set(raw) - known:
        raise UnknownKustomizationError(f"{directory / _FILE}: {', '.join(sorted(unknown))}")
    return raw


def _tags(directory: Path) -> dict[str, str]:
    """Return the tags that a kustomization gives; it goes before those that it uses."""
    raw = _load(directory, _ALL)
    tags: dict[str, str] = {}
    for name in raw["resources"]:
        if (directory / name).is_dir():
            tags |= _tags(directory / name)
    images = raw.get("images", ())
    if any(set(image) != {"name", "newTag"} for image in images):
        raise UnknownKustomizationError(f"an image of {directory / _FILE}: {images}")
    return tags | {image["name"]: str(image["newTag"]) for image in images}


def _sources(deploy: Path, directory: Path) -> Iterator[Source]:
    for name in _load(directory, _ALL)["resources"]:
        path = (directory / name).resolve()
        if path.is_dir():
            yield from _sources(deploy, path)
            continue
        relative = PurePosixPath(path.relative_to(deploy.resolve()))
        for raw in yaml.safe_load_all(path.read_text()):
            yield Source(path=relative, raw=raw)


def _apply(patch: Mapping[str, Any], directory: Path, sources: dict[Identity, Source]) -> None:
    match patch:
        case {"patch": str(text), **rest} if not rest:
            changes = yaml.safe_load(text)
            if changes.get("$patch") != "delete":
                # Others would be merged, which nothing in deploy/ needs.
                raise UnknownKustomizationError(f"a patch of {directory / _FILE}: {changes}")
            del sources[identity(changes)]
        case {"patch": str(text), "target": {"kind": str(kind), "name": str(name)}}:
            source = sources[kind, name]
            raw = source.raw
            for operation in yaml.safe_load(text):
                raw = _operated(raw, operation)
            sources[kind, name] = Source(path=source.path, raw=raw)
        case _:
            raise UnknownKustomizationError(f"a patch of {directory / _FILE}: {patch}")


def _operated(raw: RawObject, operation: Mapping[str, Any]) -> RawObject:
    """Return the object after one operation of a JSON patch."""
    path = str(operation["path"]).split("/")[1:]
    if operation["op"] != "add" or path[-1] != "-":
        raise UnknownKustomizationError(f"an operation of a patch: {operation}")
    return dict(_appended(raw, path[:-1], operation["value"]))


def _appended(node: Any, path: list[str], value: object) -> Any:  # noqa: ANN401  (raw YAML)
    if not path:
        return [*node, value]
    step = int(path[0]) if isinstance(node, list) else path[0]
    changed = node.copy()
    changed[step] = _appended(node[step], path[1:], value)
    return changed
