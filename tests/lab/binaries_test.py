"""The recipes of the lab's programs."""

import pytest

from tests.lab import versions
from tests.lab.binaries import ALL_COMPONENTS, HELM, GoComponent

_RECIPES = (*ALL_COMPONENTS, HELM)


@pytest.mark.parametrize("component", _RECIPES, ids=lambda component: component.name)
def test_a_component_is_pinned(component: GoComponent) -> None:
    """Each component's module names its version, so that what is built is what is said."""
    assert component.key.startswith(f"{component.version}-")
    assert len(component.packages) == len(set(component.packages))


def test_components_have_names_of_their_own() -> None:
    """No two components share a directory of the cache."""
    names = [component.name for component in _RECIPES]

    assert sorted(set(names)) == sorted(names)
    assert versions.KUBERNETES.startswith("v1.")
