"""Structural schemas in the form of CustomResourceDefinitions of v1. Pure.

Each function returns the JSON form of one kind of value. A description is required: it is what
``kubectl explain`` says.
"""

from collections.abc import Mapping, Sequence
from typing import Any

# The JSON form of a schema.
Schema = dict[str, Any]


def text(
    description: str,
    *,
    max_length: int | None = None,
    min_length: int | None = None,
    one_of: Sequence[str] = (),
    default: str | None = None,
    nullable: bool = False,
) -> Schema:
    """Describe a string."""
    return _schema(
        "string",
        description,
        maxLength=max_length,
        minLength=min_length,
        enum=list(one_of) or None,
        default=default,
        nullable=nullable or None,
    )


def moment(description: str) -> Schema:
    """Describe a time of RFC 3339."""
    return _schema("string", description, format="date-time")


def number(
    description: str,
    *,
    minimum: int | None = None,
    maximum: int | None = None,
    nullable: bool = False,
) -> Schema:
    """Describe a whole number of at most 64 bits; bounds are inclusive."""
    return _schema(
        "integer",
        description,
        format="int64",
        minimum=minimum,
        maximum=maximum,
        nullable=nullable or None,
    )


def flag(description: str, *, nullable: bool = False) -> Schema:
    """Describe a boolean."""
    return _schema("boolean", description, nullable=nullable or None)


def map_of_texts(description: str, *, nullable: bool = False) -> Schema:
    """Describe a map from any key to a string."""
    return _schema(
        "object",
        description,
        additionalProperties={"type": "string"},
        nullable=nullable or None,
    )


def list_of(
    items: Schema,
    description: str,
    *,
    max_items: int | None = None,
    map_keys: Sequence[str] = (),
    nullable: bool = False,
) -> Schema:
    """Describe a list: replaced as a whole, or merged by keys where there are any."""
    kind = {"x-kubernetes-list-type": "map" if map_keys else "atomic"}
    if map_keys:
        kind["x-kubernetes-list-map-keys"] = list(map_keys)  # type: ignore[assignment]
    return (
        _schema("array", description, items=items, maxItems=max_items, nullable=nullable or None)
        | kind
    )


def group(
    description: str,
    properties: Mapping[str, Schema],
    *,
    required: Sequence[str] = (),
    keep_unknown: bool = False,
    nullable: bool = False,
) -> Schema:
    """Describe an object with known keys; other keys are pruned unless ``keep_unknown``."""
    schema = _schema(
        "object",
        description,
        properties=dict(properties),
        required=list(required) or None,
        nullable=nullable or None,
    )
    if keep_unknown:
        schema["x-kubernetes-preserve-unknown-fields"] = True
    return schema


def _schema(kind: str, description: str, **rest: object) -> Schema:
    known = {key: value for key, value in rest.items() if value is not None}
    return {"description": description, "type": kind, **known}
