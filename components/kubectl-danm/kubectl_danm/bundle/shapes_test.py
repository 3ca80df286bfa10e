"""Which fields are kept."""

from typing import Any

import pytest

from danm_api.kube.api import EVENTS, PODS, SERVICES, Resource
from kubectl_danm.bundle.censor import REMOVED, Censor
from kubectl_danm.bundle.shapes import OWN_POD, SHAPES, Shape, environment_of, kept


@pytest.mark.parametrize("shape", [*SHAPES.values(), OWN_POD])
def test_what_nobody_has_listed_stays_out(shape: Shape) -> None:
    """Also what a later Kubernetes adds, at any depth that has a list."""
    raw: dict[str, Any] = {
        "kind": "Thing",
        "metadata": {"name": "a", "selfLink": "x", "annotations": {"other": "x"}},
        "data": {"x": "x"},
        "stringData": {"x": "x"},
    }
    assert kept(raw, shape, Censor()) == {
        "apiVersion": "",
        "kind": "Thing",
        "metadata": {"name": "a"},
    }


@pytest.mark.parametrize("resource", [PODS, SERVICES, EVENTS])
def test_another_form_than_expected_is_dropped(resource: Resource) -> None:
    """A text where an object belongs is not let through."""
    raw: dict[str, Any] = {
        "metadata": {},
        "spec": "x-text",
        "status": ["x-text"],
        "regarding": None,
    }
    assert "x-text" not in repr(kept(raw, SHAPES[resource.plural], Censor()))


def test_names_of_secrets_guard_what_stands_below() -> None:
    """Whatever type it is."""
    raw = {"metadata": {"labels": {"api-token": "x", "app": "y"}}, "regarding": {"secret": [1]}}
    assert kept(raw, SHAPES["events"], Censor()) == {
        "apiVersion": "",
        "kind": "",
        "metadata": {"labels": {"api-token": REMOVED, "app": "y"}},
        "regarding": {"secret": REMOVED},
    }


def test_values_of_the_environment_are_known() -> None:
    """Of all kinds of containers; references have none."""
    container = {"env": [{"name": "A", "value": "a"}, {"name": "B", "valueFrom": {}}]}
    pod = {"spec": {"containers": [container], "initContainers": [container, {}]}}
    assert environment_of(pod) == ["a", "a"]
    assert environment_of({}) == []
