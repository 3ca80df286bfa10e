"""Chart.yaml, values.yaml and its schema. Pure."""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from chart.template import dumped
from chart.values import Entry, Section, Values

VERSION: Final = "0.1.0"
"""Of the chart itself: raised with each change of it, also where DANM stays what it is."""
KUBERNETES_MINIMUM: Final = "1.34"
"""As README.md says."""

_COMMENT_WIDTH: Final = 96
_WRITTEN: Final = "# Written by `python -m chart`: change build-support/chart or deploy/ instead.\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One value, or a section of values.

    Attributes:
        path: Its keys.
        meaning: With its unit.
        section: Whether it has values below it.
    """

    path: tuple[str, ...]
    meaning: str
    section: bool


def walk(section: type[Struct] = Values, above: tuple[str, ...] = ()) -> Iterator[Value]:
    """Yield all values, in the order of values.yaml; each section before those in it."""
    hints = get_type_hints(section, include_extras=True)
    for attribute, key in zip(
        section.__struct_fields__, section.__struct_encode_fields__, strict=True
    ):
        hint, meaning = hints[attribute], ""
        if get_origin(hint) is Annotated:
            hint, *more = get_args(hint)
            (meaning,) = (each.description or "" for each in more if isinstance(each, Meta))
        inner = _section_of(hint)
        path = (*above, key)
        yield Value(path=path, meaning=meaning, section=inner is not None)
        if inner is not None:
            yield from walk(inner, path)


def _section_of(hint: object) -> type[Struct] | None:
    if isinstance(hint, UnionType) or not isinstance(hint, type):
        return None
    return hint if issubclass(hint, Section) and not issubclass(hint, Entry) else None


def app_version(tags: Mapping[str, str]) -> str:
    """Return the release that the chart installs: the newest of the images' tags."""
    return max(tags.values(), key=lambda tag: [int(part) for part in re.findall(r"\d+", tag)])


def chart_yaml(tags: Mapping[str, str]) -> str:
    """Return Chart.yaml."""
    licenses = "Apache-2.0"
    return _WRITTEN + dumped(
        {
            "apiVersion": "v2",
            "name": "danm",
            "type": "application",
            "description": "Several networks for Kubernetes Pods",
            "version": VERSION,
            "appVersion": app_version(tags),
            # What providers append (v1.34.2-provider.1) would count as before the release.
            "kubeVersion": f">={KUBERNETES_MINIMUM}.0-0",
            "keywords": ["networking", "cni", "ipam", "ipvlan", "multi-network"],
            "annotations": {
                "artifacthub.io/license": licenses,
                "org.opencontainers.image.licenses": licenses,
            },
        }
    )


def values_yaml(values: Values) -> str:
    """Return values.yaml: each value with its meaning."""
    raw = msgspec.to_builtins(values)
    parts = [_WRITTEN]
    for value in walk():
        depth = "  " * (len(value.path) - 1)
        if len(value.path) == 1:
            parts.append("\n")
        comment = textwrap.wrap(value.meaning, _COMMENT_WIDTH - len(depth))
        parts += (f"{depth}# {line}\n" for line in comment)
        key = value.path[-1]
        if value.section:
            parts.append(f"{depth}{key}:\n")
        else:
            parts.append(textwrap.indent(dumped({key: value_at(raw, value.path)}), depth))
    return "".join(parts)


def schema_json() -> str:
    """Return values.schema.json: what is misspelt or of another type is refused by its name."""
    schema = msgspec.json.schema(Values)
    sections = {each.__name__ for each in _sections(Values)}
    for name, definition in schema["$defs"].items():
        properties = definition["properties"]
        for each in properties.values():
            each.pop("default", None)
        if name in sections:
            definition["required"] = [
                key for key, each in properties.items() if not _nullable(each)
            ]
    # Draft 7 is what every Helm since 3.0 understands.
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of danm"}
    return json.dumps(head | schema, indent=2) + "\n"


def _sections(section: type[Struct]) -> Iterator[type[Struct]]:
    yield section
    for hint in get_type_hints(section).values():
        if inner := _section_of(hint):
            yield from _sections(inner)


def _nullable(property_: Mapping[str, Any]) -> bool:
    return {"type": "null"} in property_.get("anyOf", ())


def value_at(raw: Any, path: tuple[str, ...]) -> Any:  # noqa: ANN401  (YAML)
    """Return what raw values have at a path."""
    for key in path:
        raw = raw[key]
    return raw
