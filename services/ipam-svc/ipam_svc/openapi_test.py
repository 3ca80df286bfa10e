"""The OpenAPI document."""

import json
from typing import Any

import jsonschema
import msgspec
import pytest

from danm_api.errors import DanmError
from danm_api.ipam_api import Problem, ReservationQuery
from danm_api.ipam_problem import HTTP_STATUS
from ipam_svc.openapi import openapi_document
from ipam_svc.operations import OPERATIONS, REFUSALS

_DOCUMENT = openapi_document()


def _nodes(node: Any) -> list[dict[str, Any]]:  # noqa: ANN401  (any JSON)
    """Return every object in a JSON value."""
    if isinstance(node, dict):
        return [node, *(each for value in node.values() for each in _nodes(value))]
    if isinstance(node, list):
        return [each for value in node for each in _nodes(value)]
    return []


def _operations() -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method, path, operation)
        for path, methods in _DOCUMENT["paths"].items()
        for method, operation in methods.items()
    ]


def test_document_is_whole() -> None:
    """It is JSON, and every reference leads to something that is there."""
    # SPEC I2
    document = json.loads(json.dumps(_DOCUMENT))
    assert document["openapi"].startswith("3.1")
    refs = [node["$ref"] for node in _nodes(document) if isinstance(node.get("$ref"), str)]
    assert refs
    for ref in refs:
        found = document
        for step in ref.removeprefix("#/").split("/"):
            found = found[step]


def test_every_parameter_is_described() -> None:
    """Each {name} of a path has its parameter, lists have those of their query; all have words."""
    query = {field.encode_name for field in msgspec.structs.fields(ReservationQuery)}
    for _, path, operation in _operations():
        named = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
        assert named == {part.strip("{}") for part in path.split("/") if part.startswith("{")}
        asked = {each["name"] for each in operation["parameters"] if each["in"] == "query"}
        assert asked == (query if path.endswith("/reservations") else set())
        assert all(each["description"] for each in operation["parameters"])


def test_every_field_that_callers_send_is_described() -> None:
    """Whoever writes a request finds a sentence or an example for each of its fields."""
    schemas = _DOCUMENT["components"]["schemas"]
    for name in ("ReserveRequest", "ReleaseRequest", "AttachmentRequest", "ExternalOwnerMessage"):
        for field, schema in schemas[name]["properties"].items():
            told = schema.keys() & {"description", "examples", "enum"}
            assert told, f"{name}.{field}"
    for schema in schemas.values():
        assert schema["description"]
        assert "Attributes:" not in schema["description"]
        assert "DESIGN" not in json.dumps(schema)


def test_every_operation_tells_how_it_is_refused() -> None:
    """Whoever asks may lack a token or ask too much; each refusal is a problem document."""
    used = set()
    for _, _, operation in _operations():
        assert {"200", "401", "429", "500", "503"} <= operation["responses"].keys()
        used |= operation["responses"].keys() - {"200", "304"}
    assert used == {str(status) for status in REFUSALS}
    for response in _DOCUMENT["components"]["responses"].values():
        (media,) = response["content"]
        assert media == "application/problem+json"
    assert len({operation["operationId"] for _, _, operation in _operations()}) == len(OPERATIONS)


def test_every_error_has_a_status_that_is_told() -> None:
    """What the service raises leads to a status of the document."""
    kinds: list[type[DanmError]] = list(HTTP_STATUS)
    assert {int(HTTP_STATUS[kind]) for kind in kinds} <= REFUSALS.keys()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
def test_examples_are_of_their_schema(operation: Any) -> None:  # noqa: ANN401  (Operation)
    """An example can be sent or received as it stands, and has no fault of form."""
    described = _DOCUMENT["paths"][operation.path][operation.method.lower()]
    contents = list(described["responses"]["200"]["content"].values())
    if operation.request is not None:
        contents += described["requestBody"]["content"].values()
        assert operation.requests
    for content in contents:
        whole = {**content["schema"], "components": _DOCUMENT["components"]}
        for example in content.get("examples", {}).values():
            jsonschema.validate(json.loads(json.dumps(example["value"])), whole)
    if operation.answer is not None:
        assert operation.answers


def test_problem_is_of_its_schema() -> None:
    """The form of refusals is the one that the code sends."""
    problem = Problem(type="t", title="x", status=400, detail="d")
    schema = {
        "$ref": "#/components/schemas/Problem",
        "components": _DOCUMENT["components"],
    }
    jsonschema.validate(msgspec.to_builtins(problem), schema)
