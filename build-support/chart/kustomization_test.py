"""What the generator reads of kustomizations."""

from pathlib import Path, PurePosixPath
from typing import Final

import pytest

from chart.kustomization import UnknownKustomizationError, read, read_replicas

_BASE: Final = """\
resources: [a.yaml, inner]
images: [{name: x/y, newTag: 0.1.0}]
"""
_OBJECTS: Final = """\
kind: A
metadata: {name: one}
spec: {list: [{of: [1]}]}
---
kind: B
metadata: {name: two}
rules: [1]
"""


def _write(deploy: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (deploy / name).mkdir(parents=True, exist_ok=True)
        (deploy / name / "kustomization.yaml").write_text(text)
    (deploy / "kustomization.yaml").write_text(_BASE)
    (deploy / "a.yaml").write_text(_OBJECTS)
    (deploy / "inner").mkdir(exist_ok=True)
    (deploy / "inner" / "kustomization.yaml").write_text(
        "resources: [c.yaml]\nimages: [{name: x/y, newTag: 9.9.9}, {name: x/z, newTag: 0.2.0}]\n"
    )
    (deploy / "inner" / "c.yaml").write_text("kind: C\nmetadata: {name: three}\n")
    return deploy


def test_resources_come_in_order_with_their_files(tmp_path: Path) -> None:
    """Directories are read where they are named."""
    found = read(_write(tmp_path))
    assert [(source.identity, source.path) for source in found.sources] == [
        (("A", "one"), PurePosixPath("a.yaml")),
        (("B", "two"), PurePosixPath("a.yaml")),
        (("C", "three"), PurePosixPath("inner/c.yaml")),
    ]


def test_tags_come_from_the_kustomizations_that_are_used(tmp_path: Path) -> None:
    """Each part has its own image's; an outer one goes before, as with kustomize."""
    assert read(_write(tmp_path)).tags == {"x/y": "0.1.0", "x/z": "0.2.0"}


def test_patches_add_and_delete(tmp_path: Path) -> None:
    """The two that deploy/ uses; what they patch stays as it was elsewhere."""
    _write(
        tmp_path,
        part="""\
resources: [../inner, ../a]
patches:
- target: {kind: A, name: one}
  patch: |
    - {op: add, path: /spec/list/0/of/-, value: 2}
- patch: |
    kind: C
    metadata: {name: three}
    $patch: delete
""",
        a="resources: [../a.yaml]",
    )
    one, two = (source.raw for source in read(tmp_path, "part").sources)
    assert one["spec"] == {"list": [{"of": [1, 2]}]}
    assert two["rules"] == [1]
    assert read(tmp_path).sources[0].raw["spec"] == {"list": [{"of": [1]}]}


def test_replicas_of_a_component(tmp_path: Path) -> None:
    """By the Deployments' names."""
    _write(tmp_path, few="kind: Component\nreplicas: [{name: a, count: 1}]\n")
    assert read_replicas(tmp_path, "few") == {"a": 1}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("resources: []\nnamePrefix: x\n", id="field"),
        pytest.param("resources: []\nimages: [{name: x/y, newName: z}]\n", id="image"),
        pytest.param("resources: [../a]\npatches: [{patch: x, options: {}}]\n", id="patch"),
        pytest.param(
            "resources: [../a]\npatches:\n- target: {kind: A, name: one}\n"
            "  patch: '[{op: remove, path: /spec}]'\n",
            id="operation",
        ),
        pytest.param(
            "resources: [../a]\npatches:\n"
            "- patch: '{kind: B, metadata: {name: two}, rules: [3]}'\n",
            id="merge",
        ),
        pytest.param("resources: [../a]\npatches: [{path: two.yaml}]\n", id="file"),
    ],
)
def test_what_is_not_known_is_refused(tmp_path: Path, text: str) -> None:
    """A chart that lacks what kustomize would do is never written."""
    _write(tmp_path, part=text, a="resources: [../a.yaml]")
    with pytest.raises(UnknownKustomizationError):
        read(tmp_path, "part")
