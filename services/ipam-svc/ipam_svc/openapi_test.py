"""The OpenAPI document."""

import json
from typing import Any

from ipam_svc.openapi import openapi_document


def _refs(node: Any) -> list[str]:  # noqa: ANN401  (any JSON)
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [ref for value in node.values() for ref in _refs(value)]
    if isinstance(node, list):
        return [ref for value in node for ref in _refs(value)]
    return []


def test_document_is_whole() -> None:
    """It is JSON, and every reference leads to a schema that is there."""
    # SPEC I2
    document = json.loads(json.dumps(openapi_document()))
    assert document["openapi"].startswith("3.1")
    refs = _refs(document)
    assert refs
    for ref in refs:
        assert ref.removeprefix("#/components/schemas/") in document["components"]["schemas"]


def test_every_path_parameter_is_described() -> None:
    """Each {name} of a path has its parameter."""
    for path, operations in openapi_document()["paths"].items():
        for operation in operations.values():
            named = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
            assert named == {part.strip("{}") for part in path.split("/") if part.startswith("{")}
