"""Patches of both forms, by the examples of their RFCs."""

from typing import Any

import pytest

from danm_api.testing.patches import apply_json_patch, merge


@pytest.mark.parametrize(
    ("target", "patch", "expected"),
    [
        pytest.param({"a": "b"}, {"a": "c"}, {"a": "c"}, id="replaces"),
        pytest.param({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}, id="adds"),
        pytest.param({"a": "b"}, {"a": None}, {}, id="removes"),
        pytest.param({"a": ["b"]}, {"a": ["c", "d"]}, {"a": ["c", "d"]}, id="replaces lists"),
        pytest.param({"a": {"b": 1, "c": 2}}, {"a": {"b": None}}, {"a": {"c": 2}}, id="nested"),
        pytest.param({}, {"a": {"b": {"c": None}}}, {"a": {"b": {}}}, id="null in what is new"),
        pytest.param({"a": 1}, {"a": {"b": 1}}, {"a": {"b": 1}}, id="object over a number"),
    ],
)
def test_merge_patches_merge(target: Any, patch: Any, expected: Any) -> None:  # noqa: ANN401
    """RFC 7396, appendix A."""
    assert merge(target, patch) == expected


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        pytest.param({"op": "add", "path": "/l/1", "value": 9}, [1, 9, 2], id="insert"),
        pytest.param({"op": "add", "path": "/l/-", "value": 9}, [1, 2, 9], id="append"),
        pytest.param({"op": "remove", "path": "/l/0"}, [2], id="remove"),
        pytest.param({"op": "replace", "path": "/l/0", "value": 9}, [9, 2], id="replace"),
        pytest.param({"op": "test", "path": "/l/0", "value": 1}, [1, 2], id="test"),
    ],
)
def test_json_patches_change_lists(operation: dict[str, Any], expected: list[int]) -> None:
    """RFC 6902, on lists."""
    target = {"l": [1, 2]}
    assert apply_json_patch(target, [operation]) == {"l": expected}
    assert target == {"l": [1, 2]}


def test_json_pointers_are_unescaped() -> None:
    """RFC 6901: a label's slash is written ~1."""
    target = {"labels": {"a/b": "x", "c~d": "y"}}
    operations = [
        {"op": "replace", "path": "/labels/a~1b", "value": "z"},
        {"op": "remove", "path": "/labels/c~0d"},
    ]
    assert apply_json_patch(target, operations) == {"labels": {"a/b": "z"}}


@pytest.mark.parametrize(
    "operation",
    [
        pytest.param({"op": "remove", "path": "/absent"}, id="absent"),
        pytest.param({"op": "replace", "path": "/l/7", "value": 1}, id="beyond"),
        pytest.param({"op": "test", "path": "/l/0", "value": 2}, id="failed test"),
        pytest.param({"op": "move", "path": "/l", "from": "/k"}, id="unknown"),
    ],
)
def test_operations_that_cannot_be_are_errors(operation: dict[str, Any]) -> None:
    """Nothing is skipped."""
    with pytest.raises(ValueError, match=r"does not exist|failed|not supported"):
        apply_json_patch({"l": [1]}, [operation])
