"""Merge patches (RFC 7396) and JSON patches (RFC 6902), as far as DANM sends them.

Pure: neither function changes its arguments.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from danm_api.kube.api import JsonPatch, RawObject


def merge(target: Any, patch: Any) -> Any:  # noqa: ANN401  (JSON values)
    """Return ``target`` after a merge patch: null removes, objects merge, all else replaces."""
    if not isinstance(patch, Mapping):
        return deepcopy(patch)
    result = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def apply_json_patch(target: RawObject, operations: JsonPatch) -> RawObject:
    """Return ``target`` after the operations add, remove, replace and test.

    Raises:
        ValueError: An operation names a path that does not exist, a test fails, or it is unknown.
    """
    result = deepcopy(target)
    for operation in operations:
        tokens = [
            token.replace("~1", "/").replace("~0", "~")
            for token in str(operation["path"]).split("/")[1:]
        ]
        parent = _walk(result, tokens[:-1])
        _apply(parent, tokens[-1], operation)
    return result


def _walk(value: Any, tokens: list[str]) -> Any:  # noqa: ANN401  (JSON values)
    for token in tokens:
        try:
            value = value[int(token)] if isinstance(value, list) else value[token]
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise ValueError(f"the path's part {token!r} does not exist") from error
    return value


def _apply(parent: Any, token: str, operation: Mapping[str, Any]) -> None:  # noqa: ANN401
    kind = operation["op"]
    if kind == "add":
        value = deepcopy(operation["value"])
        if isinstance(parent, list):
            parent.insert(len(parent) if token == "-" else int(token), value)
        else:
            parent[token] = value
        return
    current = _walk(parent, [token])
    key = int(token) if isinstance(parent, list) else token
    if kind == "remove":
        del parent[key]
    elif kind == "replace":
        parent[key] = deepcopy(operation["value"])
    elif kind == "test":
        if current != operation["value"]:
            raise ValueError(f"the test of {operation['path']} failed")
    else:
        raise ValueError(f"the operation {kind!r} is not supported")
