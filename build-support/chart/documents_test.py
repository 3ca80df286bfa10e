"""The schema of the chart's values."""

from typing import Final

import jsonschema
import msgspec
import pytest
import yaml

from chart.__main__ import CHART
from chart.documents import app_version, schema_json, walk

SCHEMA: Final = msgspec.json.decode(schema_json())
LEAVES: Final = [value.path for value in walk() if not value.section]
# Of no value's type: a list in a list.
_WRONG: Final = [[7]]


def _nested(path: tuple[str, ...], value: object) -> object:
    for key in reversed(path):
        value = {key: value}
    return value


def _complaints(values: object) -> list[jsonschema.ValidationError]:
    """Return what the schema has against values, beside those that are missing."""
    found = jsonschema.Draft7Validator(SCHEMA).iter_errors(values)
    return [error for error in found if error.validator != "required"]


def test_the_usual_values_pass() -> None:
    """The schema is one of the values that come with it."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    jsonschema.validate(values, SCHEMA, jsonschema.Draft7Validator)


@pytest.mark.parametrize("path", LEAVES, ids=".".join)
def test_a_value_of_another_type_is_refused(path: tuple[str, ...]) -> None:
    """Each value's place is in the complaint."""
    complaints = _complaints(_nested(path, _WRONG))
    assert complaints
    assert all(tuple(error.absolute_path)[: len(path)] == path for error in complaints)


@pytest.mark.parametrize("path", LEAVES, ids=".".join)
def test_a_misspelt_value_is_refused(path: tuple[str, ...]) -> None:
    """Each section knows the names of its values, and no others."""
    misspelt = (*path[:-1], f"{path[-1]}s")
    (complaint,) = _complaints(_nested(misspelt, value=None))
    assert complaint.validator == "additionalProperties"
    assert misspelt[-1] in complaint.message
    assert tuple(complaint.absolute_path) == misspelt[:-1]


def test_the_release_is_the_newest_of_the_images() -> None:
    """Images have versions of their own; numbers are compared as such."""
    assert app_version({"a": "0.9.3", "b": "0.10.0", "c": "0.9.20"}) == "0.10.0"
