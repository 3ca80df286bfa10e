"""The page of DANM's kinds of objects, of their definitions. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from danm_api.crd.definition import Column, Definition
from danm_api.crd.definitions import ALL
from danm_api.crd.schema import Schema
from danm_api.names import API_VERSION, GROUP
from reference.markdown import NOTE, cell, code, table

_HEAD: Final = f"""# Custom resources

{NOTE}

The kinds of the API group `{GROUP}`. `kubectl explain` tells the same. The API server refuses what
has another type or lies outside of the bounds, and what breaks the rules of one DanmNet that its
policy can judge; what lies between objects is the validator's, whose verdict is the condition
`Valid` ([specification](../specification.md), N).
A field with `null` may stand without a value, which is the same as leaving it out.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a kind.

    Attributes:
        path: Dotted, with ``[]`` behind lists.
        type: In a word or two.
        bounds: What the server checks beside the type.
        default: As JSON; empty for none.
        description: What it means.
    """

    path: str
    type: str
    bounds: str
    default: str
    description: str


def page() -> str:
    """Return the page in Markdown."""
    return "\n".join(_lines()).rstrip("\n") + "\n"


def _lines() -> Iterator[str]:
    yield _HEAD
    for definition in ALL:
        yield from _kind(definition)


def _kind(definition: Definition) -> Iterator[str]:
    yield f"## {definition.kind}\n"
    yield f"{cell(definition.schema['description'])}\n"
    names = ", ".join(
        code(each)
        for each in (definition.plural, definition.singular, *definition.short_names, "danm")
    )
    scope = "of a namespace" if definition.namespaced else "of the cluster"
    yield f"`apiVersion: {API_VERSION}`, `kind: {definition.kind}`; {scope}; `kubectl get` with"
    yield f"{names} (`danm` is the category of all kinds)."
    if definition.has_status:
        yield "`status` is a subresource: who writes the rest of the object does not write it."
    yield ""
    rows = [
        (code(each.path), each.type, cell(each.bounds), code(each.default), cell(each.description))
        for each in fields(definition.schema)
    ]
    yield from table(("field", "type", "bounds", "default", "meaning"), rows)
    yield "`kubectl get` shows:\n"
    yield from table(
        ("column", "of", "meaning"), [_column_row(column) for column in definition.columns]
    )


def _column_row(column: Column) -> tuple[str, str, str]:
    name = f"{column.name} (`-o wide`)" if column.wide else column.name
    return (name, code(column.path), cell(column.description))


def fields(schema: Schema, path: str = "") -> Iterator[Field]:
    """Yield all fields below a schema, parents before their children."""
    required = schema.get("required", ())
    for name, inner in schema.get("properties", {}).items():
        where = f"{path}.{name}" if path else name
        yield Field(
            path=where,
            type=_type(inner),
            bounds=", ".join(_bounds(inner, required=name in required)),
            default="" if "default" not in inner else str(inner["default"]),
            description=inner.get("description", ""),
        )
        if inner["type"] == "array":
            yield from fields(inner["items"], f"{where}[]")
        else:
            yield from fields(inner, where)


def _type(schema: Schema) -> str:
    match schema["type"]:
        case "array":
            return f"list of {_type(schema['items'])}s"
        case "object" if "additionalProperties" in schema:
            return f"map of {_type(schema['additionalProperties'])}s"
        case kind:
            return str(schema.get("format", kind) if kind == "string" else kind)


def _bounds(schema: Schema, *, required: bool) -> Iterator[str]:
    if required:
        yield "required"
    if "enum" in schema:
        yield "one of " + ", ".join(f'"{each}"' for each in schema["enum"])
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        yield f"{low} to {high}"
    elif low is not None:
        yield f"at least {low}"
    elif high is not None:
        yield f"at most {high}"
    if "minLength" in schema:
        yield f"at least {schema['minLength']} characters"
    if "maxLength" in schema:
        yield f"at most {schema['maxLength']} characters"
    if "maxItems" in schema:
        yield f"at most {schema['maxItems']} items"
    if schema.get("nullable"):
        yield "null"
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        yield "other keys are kept"
