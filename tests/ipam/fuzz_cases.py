"""Requests made at random from the document of ipam-svc's API, or from its examples."""

from random import Random
from typing import Any, Final

import schemathesis
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode

from ipam_svc.openapi import openapi_document

# The names of the document's examples.
NAMESPACE: Final = "office"
NETWORK: Final = "lan"
NODE: Final = "node-1"
POD: Final = "web-0"
POD_UID: Final = "7d1f4e52-9c1d-4a53-8a54-0d2a63c0b1aa"
CONTAINER: Final = "8f2c1a"
ATTEMPT: Final = 1767225600000
# How likely a part of it becomes one that exists, where it was made at random and where it was an
# example, and one that is odd.
_WELL: Final = 0.7
_OTHERWISE: Final = 0.2
_ODDLY: Final = 0.01
# Who waits for less is told to try again, rightly.
_HURRY_S: Final = 2.0

_KNOWN: Final[dict[str, list[Any]]] = {
    "namespace": [NAMESPACE],
    "network": [NETWORK, "san", "small"],
    "node": [NODE],
    "name": [POD, "printer", *(f"tool-{number}" for number in range(8))],
    "uid": [POD_UID],
    "containerId": [CONTAINER],
    "interface": ["", "eth0", "eth1"],
    "ip": ["dynamic", "none", "10.0.0.7/24", "10.0.1.1/30"],
    "ip6": ["dynamic", "none", "2001:db8::7/64"],
    "attempt": [1, ATTEMPT, ATTEMPT + 1, 2**53 - 1],
    "address": ["10.0.0.1", "2001:db8::7"],
    "expires": ["2030-01-01T00:00:00Z", None],
}


# What no field is made for.
_ODD: Final[list[Any]] = [
    None,
    True,
    -1,
    2**64,
    1e308,
    "",
    "\x00",
    "ü" * 300,
    [],
    {},
    [[]],
    {"a": {}},
]


def _aimed(value: Any, rng: Random, well: float, name: str = "") -> Any:  # noqa: ANN401  (any JSON)
    """Return a JSON value with some parts replaced by what exists, and few by what is odd."""
    if rng.random() < _ODDLY:
        return rng.choice(_ODD)
    if isinstance(value, dict):
        return {key: _aimed(each, rng, well, key) for key, each in value.items()}
    if isinstance(value, list):
        return [_aimed(each, rng, well, name) for each in value]
    if name in _KNOWN and rng.random() < well:
        return rng.choice(_KNOWN[name])
    return value


def aim(case: Case[Any], rng: Random, well: float) -> Case[Any]:
    """Return a case of which some parts are others, which exist as a rule."""
    body = case.body
    if isinstance(body, dict | list):
        body = _aimed(body, rng, well)
    if isinstance(body, dict) and _is_hurried(body.get("timeoutS")):
        body["timeoutS"] = _HURRY_S
    aimed: Case[Any] = case.operation.Case(
        method=case.method,
        path_parameters={
            name: str(_aimed(value, rng, well, name))
            for name, value in case.path_parameters.items()
        },
        query={name: _aimed(value, rng, well, name) for name, value in case.query.items()},
        headers=dict(case.headers),
        body=body,
        media_type=case.media_type,
    )
    return aimed


def _is_hurried(timeout_s: object) -> bool:
    return isinstance(timeout_s, int | float) and 0 < timeout_s < _HURRY_S


def cases_of(
    path: str, method: str, mode: GenerationMode
) -> st.SearchStrategy[tuple[Case[Any], float]]:
    """Return cases, and how likely a part of each is to be replaced by one that exists."""
    schema = schemathesis.openapi.from_dict(openapi_document())
    schema.config.update(base_url="https://localhost")
    operation = schema[path][method]
    made = st.tuples(operation.as_strategy(generation_mode=mode), st.just(_WELL))
    examples = operation.get_strategies_from_examples()
    if mode is GenerationMode.NEGATIVE or not examples:
        return made
    given = st.tuples(st.one_of(examples), st.just(_OTHERWISE))
    return st.booleans().flatmap(lambda at_random: made if at_random else given)
