"""Label and field selectors as the API server understands them.

Pure. Source: Kubernetes documentation, "Labels and Selectors" and "Field Selectors".
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from danm_api.kube.api import RawObject

Predicate = Callable[[RawObject], bool]

# A comma separates requirements, except between the parentheses of a set.
_SEPARATOR: Final = re.compile(r",(?![^(]*\))")
_SET: Final = re.compile(r"^(?P<key>\S+)\s+(?P<op>in|notin)\s+\((?P<values>[^)]*)\)$")
_EQUALITY: Final = re.compile(r"^(?P<key>[^=!\s]+)\s*(?P<op>==|=|!=)\s*(?P<value>[^=!\s]*)$")
_EXISTS: Final = re.compile(r"^(?P<absent>!?)\s*(?P<key>[^=!\s()]+)$")

_FIELDS: Final = (
    "metadata.name",
    "metadata.namespace",
    "spec.nodeName",
    "type",
    "status.phase",
    # Of Events (events.k8s.io/v1).
    "regarding.kind",
    "regarding.name",
    "regarding.uid",
)

_LabelTest = Callable[[Mapping[str, str]], bool]


def matcher(*, label_selector: str, field_selector: str) -> Predicate:
    """Return the predicate of both selectors; an empty one selects everything.

    Raises:
        ValueError: A selector does not parse, or names a field that the fake does not know.
    """
    labels = [_label_test(text.strip()) for text in _requirements(label_selector)]
    fields = [_field_test(text.strip()) for text in _requirements(field_selector)]

    def matches(raw: RawObject) -> bool:
        own: Mapping[str, str] = raw.get("metadata", {}).get("labels") or {}
        return all(test(own) for test in labels) and all(test(raw) for test in fields)

    return matches


def _requirements(selector: str) -> list[str]:
    return _SEPARATOR.split(selector) if selector.strip() else []


def _label_test(text: str) -> _LabelTest:
    if match := _SET.match(text):
        key = match["key"]
        values = {value.strip() for value in match["values"].split(",")}
        if match["op"] == "in":
            return lambda labels: labels.get(key) in values
        # As in Kubernetes, an object without the label is not in the set.
        return lambda labels: labels.get(key) not in values
    if match := _EQUALITY.match(text):
        key, value = match["key"], match["value"]
        if match["op"] == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if match := _EXISTS.match(text):
        key, absent = match["key"], bool(match["absent"])
        return lambda labels: (key in labels) is not absent
    raise ValueError(f"label selector requirement {text!r} does not parse")


def _field_test(text: str) -> Predicate:
    match = _EQUALITY.match(text)
    if match is None:
        raise ValueError(f"field selector requirement {text!r} does not parse")
    path, value, negated = match["key"], match["value"], match["op"] == "!="
    if path not in _FIELDS:
        raise ValueError(f"field label {path!r} is not supported")
    keys = path.split(".")

    def test(raw: RawObject) -> bool:
        found: Any = raw
        for key in keys:
            found = found.get(key, "") if isinstance(found, dict) else ""
        return (found == value) is not negated

    return test
