"""The cache's promises."""

from pathlib import Path

import pytest

from tests.lab.cache import Cache, recipe_key


def test_a_component_is_built_once(tmp_path: Path) -> None:
    """The second request for the same recipe gets what the first one built."""
    cache = Cache(directory=tmp_path)
    built: list[Path] = []

    def build(target: Path) -> None:
        built.append(target)
        (target / "program").write_text("x")

    first = cache.obtain("etcd", "v1-a", build)
    second = cache.obtain("etcd", "v1-a", build)

    assert first == second
    assert (first / "program").read_text() == "x"
    assert len(built) == 1


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    """A directory that has its name is complete, whatever happened to a builder."""
    cache = Cache(directory=tmp_path)

    def build(target: Path) -> None:
        (target / "half").write_text("x")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        cache.obtain("etcd", "v1-a", build)

    assert [path.name for path in (tmp_path / "etcd").iterdir()] == [".lock"]


def test_what_a_dead_builder_left_goes(tmp_path: Path) -> None:
    """The next builder removes the partial directory of one that was killed."""
    stale = tmp_path / "etcd" / ".partial-abc"
    stale.mkdir(parents=True)

    Cache(directory=tmp_path).obtain("etcd", "v1-a", lambda _: None)

    assert not stale.exists()


def test_a_key_depends_on_each_ingredient() -> None:
    """Two recipes never share a directory, also where their ingredients join to equal bytes."""
    assert recipe_key("v1", b"ab", b"c") != recipe_key("v1", b"a", b"bc")
    assert recipe_key("v1", b"ab").startswith("v1-")
