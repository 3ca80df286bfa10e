"""The object of raw requests."""

import json

import pytest

from tests.lab.bench.raw_object import SIZE, object_body, version_of


@pytest.mark.parametrize("version", ["", "7", "1234567"])
def test_object_has_its_size(version: str) -> None:
    """Whatever its name and version, an object is 1 KB, since that is what is promised."""
    body = object_body("some-name", "5", version=version)
    assert len(body) == SIZE
    assert json.loads(body)["metadata"].get("resourceVersion", "") == version


def test_version_is_read_from_an_answer() -> None:
    """What the server sends back says which version the next PUT is based on."""
    assert version_of(object_body("name", "", version="42")) == "42"
