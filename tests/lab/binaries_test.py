"""The recipes of the lab's programs."""

from pathlib import Path

import pytest

from tests.lab import versions
from tests.lab.binaries import HELM, NEWEST, OLDEST, RELEASES, GoComponent, lab_components

_RECIPES = (*lab_components(NEWEST), OLDEST.api_server, OLDEST.rest, HELM)


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


def test_a_release_is_built_of_its_own_version() -> None:
    """Each release's module requires the version that its programs are stamped with."""
    for minor, release in RELEASES.items():
        recipe = Path(__file__).parent / "go" / release.rest.module / "go.mod"
        assert f"require k8s.io/kubernetes {release.version}\n" in recipe.read_text()
        assert release.version.startswith(f"v{minor}.")
        assert f"gitVersion={release.version}" in release.api_server.linker_flags
        assert {each.version for each in lab_components(release)} >= {release.version}
