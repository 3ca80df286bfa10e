"""The OpenAPI 3.1 document of the HTTP API, from the same types that the code uses.

Fields are described by the ``Attributes`` of their class' docstring, parameters of lists by those
of ``ReservationQuery``. What each request may be answered with stands in ``operations``.
"""

import inspect
import re
from typing import Any, Final

import msgspec

from danm_api.errors import RateLimitedError
from danm_api.ipam_api import AUDIENCE, SERVICE_NAME, Problem, ReservationQuery
from danm_api.ipam_problem import CONTENT_TYPE, problem_of
from danm_api.names import SYSTEM_NAMESPACE
from ipam_svc.operations import OPERATIONS, REFUSALS, Operation

_USUAL_SECURITY: Final = "token"
_REF: Final = "#/components/schemas/{name}"
# A record of why is kept for those who build this; readers of the document have it not.
_FOR_BUILDERS: Final = re.compile(r"\s*\(DESIGN[^)]*\)")
_FIELD_LINE: Final = re.compile(r"^(\w+): (.*)$")

_DESCRIPTION: Final = f"""\
Addresses of DanmNets: reserve, release, look up, list, count.

Every request but the one for metrics needs a Kubernetes token for the audience `{AUDIENCE}`, and
the verb that its operation names on the virtual resource `danmnets/reservations` of the group
`danm.k8s.io` in the namespace: create to reserve, delete to release, get to look up and to count,
list to list.

A reserve holds all its addresses or none. Every *send* of a reserve carries an attempt, a number
that grows for its owner: after a send whose answer was lost send a larger one, and use no answer to
an earlier one. Fields that are not known are ignored in bodies and refused in queries.

A request with `X-Request-ID` (at most 128 letters, digits and `._:-`) has it in the log lines of
the replica that works on it, and one with `traceparent` (W3C Trace Context) is part of that trace.
"""


def openapi_document() -> dict[str, Any]:
    """Return the document."""
    types = sorted(
        {kind for each in OPERATIONS for kind in (each.request, each.answer) if kind is not None}
        | {Problem},
        key=lambda kind: kind.__name__,
    )
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    refs = dict(zip(types, schemas, strict=True))
    for kind in _with_parts(types):
        _describe(components[kind.__name__], kind)
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, refs)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "DANM IPAM",
            "version": "1",
            "summary": "Hands out the addresses of DanmNets, so that none is ever held twice.",
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": f"https://{SERVICE_NAME}.{SYSTEM_NAMESPACE}.svc"}],
        "security": [{_USUAL_SECURITY: []}],
        "tags": [{"name": name} for name in dict.fromkeys(each.tag for each in OPERATIONS)],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": {
                str(status): _refusal(status, what, refs[Problem])
                for status, what in REFUSALS.items()
            },
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": f"A Kubernetes token for the audience {AUDIENCE}, such as"
                    f" `kubectl create token my-tool --audience {AUDIENCE}` prints.",
                },
                "apiServerToken": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "A Kubernetes token for the API server, such as every Pod has.",
                },
            },
        },
    }


def _operation(operation: Operation, refs: dict[type, Any]) -> dict[str, Any]:
    parameters = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": what,
            "schema": {"type": "string", "pattern": pattern, "maxLength": most},
            "example": example,
        }
        for name, what, pattern, most, example in operation.path_parameters()
    ]
    if operation.queries:
        parameters += _query_parameters()
    headers = {}
    if operation.tagged:
        parameters.append(
            {
                "name": "If-None-Match",
                "in": "header",
                "required": False,
                "description": "The ETag of an earlier answer of the same replica.",
                "schema": {"type": "string"},
            }
        )
        headers["ETag"] = {
            "description": "Changes with the list, as this replica sees it.",
            "required": True,
            "schema": {"type": "string"},
        }
    done: dict[str, Any] = {"description": operation.done}
    if operation.answer is not None:
        done["content"] = {
            "application/json": {
                "schema": refs[operation.answer],
                "examples": {
                    name: {"value": msgspec.to_builtins(value)}
                    for name, value in operation.answers.items()
                },
            }
        }
    else:
        media_types = (operation.media_type, *operation.on_demand)
        done["content"] = {each: {"schema": {}} for each in media_types}
    if headers:
        done["headers"] = headers
    responses: dict[str, Any] = {"200": done}
    if operation.tagged:
        responses["304"] = {"description": "Nothing has changed.", "headers": headers}
    responses |= {
        str(status): {"$ref": f"#/components/responses/{status}"} for status in operation.refusals
    }
    made: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.description,
        "parameters": parameters,
        "responses": responses,
    }
    if operation.security != _USUAL_SECURITY:
        made["security"] = [{operation.security: []}]
    if operation.request is not None:
        made["requestBody"] = {
            "required": True,
            "content": {
                "application/json": {
                    "schema": refs[operation.request],
                    "examples": {
                        name: {"value": msgspec.to_builtins(value)}
                        for name, value in operation.requests.items()
                    },
                }
            },
        }
    return made


def _refusal(status: int, what: str, problem: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "description": what,
        "content": {CONTENT_TYPE: {"schema": problem}},
    }
    if status == 429:  # noqa: PLR2004  (Too Many Requests)
        example = problem_of(RateLimitedError("jane asks more than 1000 times a second"))
        made["content"][CONTENT_TYPE]["examples"] = {
            "problem": {"value": msgspec.to_builtins(example)}
        }
    if status in (429, 503):
        made["headers"] = {
            "Retry-After": {
                "description": "Seconds after which it is worth asking again.",
                "required": True,
                "schema": {"type": "integer", "minimum": 1},
            }
        }
    if status == 401:  # noqa: PLR2004  (Unauthorized)
        made["headers"] = {
            "WWW-Authenticate": {"required": True, "schema": {"type": "string", "const": "Bearer"}}
        }
    return made


def _query_parameters() -> list[dict[str, Any]]:
    described = _attributes(ReservationQuery)
    schema = msgspec.json.schema_components([ReservationQuery])[1]["ReservationQuery"]
    made = []
    for field in msgspec.structs.fields(ReservationQuery):
        own = _without_null(schema["properties"][field.encode_name])
        examples = own.pop("examples", [])
        own.pop("default", None)
        parameter = {
            "name": field.encode_name,
            "in": "query",
            "required": False,
            "description": described[field.name],
            "schema": own,
        }
        if examples:
            parameter["example"] = examples[0]
        made.append(parameter)
    return made


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a parameter that is given: it cannot be null."""
    kinds = [each for each in schema.pop("anyOf", []) if each != {"type": "null"}]
    return {**schema, **(kinds[0] if kinds else {})}


def _with_parts(types: list[type[msgspec.Struct]]) -> list[type[msgspec.Struct]]:
    """Return message types and all that they consist of."""
    found: list[type[msgspec.Struct]] = []
    for info in msgspec.inspect.multi_type_info(types):
        pending: list[Any] = [info]
        while pending:
            each = pending.pop()
            if isinstance(each, msgspec.inspect.StructType):
                if each.cls not in found:
                    found.append(each.cls)
                    pending += [field.type for field in each.fields]
            elif isinstance(each, msgspec.inspect.UnionType):
                pending += each.types
            elif isinstance(each, msgspec.inspect.ListType):
                pending.append(each.item_type)
            elif isinstance(each, msgspec.inspect.Metadata):
                pending.append(each.type)
    return found


def _describe(schema: dict[str, Any], kind: type[msgspec.Struct]) -> None:
    """Put the docstring of a class where readers of the document look."""
    schema["description"] = _summary(kind)
    described = _attributes(kind)
    for field in msgspec.structs.fields(kind):
        if field.name in described:
            schema["properties"][field.encode_name]["description"] = described[field.name]


def _summary(kind: type) -> str:
    text, _, _ = inspect.cleandoc(kind.__doc__ or "").partition("\n\nAttributes:")
    return _FOR_BUILDERS.sub("", text)


def _attributes(kind: type) -> dict[str, str]:
    """Return what a docstring says of each field."""
    _, _, text = inspect.cleandoc(kind.__doc__ or "").partition("\nAttributes:\n")
    found: dict[str, str] = {}
    name = ""
    for line in inspect.cleandoc(text).splitlines():
        begin = _FIELD_LINE.match(line)
        if begin is not None:
            name = begin[1]
            found[name] = begin[2]
        elif name:
            found[name] += f" {line.strip()}"
    return {name: _FOR_BUILDERS.sub("", what) for name, what in found.items()}
