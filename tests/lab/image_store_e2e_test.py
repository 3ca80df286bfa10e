"""The store of unpacked images has what was put into it last, and no more."""

from pathlib import Path

import pytest

from tests.lab.binaries import Binaries
from tests.lab.cache import Cache, default_cache_directory
from tests.lab.errors import BuildError
from tests.lab.image_store import ArchivedImage, ImageStore
from tests.lab.oci import write_program_image
from tests.lab.progress import Progress

_NAME = "localhost/test/program:1"


@pytest.fixture()
def store(tmp_path: Path) -> ImageStore:
    """An empty store, with the programs that this machine has."""
    progress = Progress()
    binaries = Binaries(Cache(directory=default_cache_directory()), progress)
    return ImageStore(Cache(directory=tmp_path / "cache"), binaries, progress)


def image(directory: Path, content: str, *, name: str = _NAME) -> ArchivedImage:
    """Return an image with one file that has this content."""
    program = directory / "program"
    program.write_text(content)
    archive = directory / f"{content}.tar"
    write_program_image(archive, name=name, program=program)
    return ArchivedImage(name=name, identity=content, archive=archive)


def content(store: ImageStore, name: str = _NAME) -> str:
    """Return what the store has as the content of an image's file."""
    (stored,), files = store.describe([name])
    return (files[stored.layers[-1].chain] / "program").read_text()


def snapshots(store: ImageStore) -> int:
    """Return how many layers take up space."""
    directory = store.root / "io.containerd.snapshotter.v1.overlayfs" / "snapshots"
    return len(list(directory.iterdir()))


def test_an_image_built_anew_and_back_again(store: ImageStore, tmp_path: Path) -> None:
    """A name means what was added last, an older content that comes back included."""
    old, new = image(tmp_path, "old"), image(tmp_path, "new")
    for given in (old, new, old):
        assert store.missing({given.name: given.identity}) == [given.name]
        store.add([given])
        assert store.missing({given.name: given.identity}) == []
        assert content(store) == given.identity


def test_collection_keeps_what_has_a_name(store: ImageStore, tmp_path: Path) -> None:
    """Layers of an image that was replaced go; what was added and not used yet stays."""
    other = image(tmp_path, "other", name="localhost/test/other:1")
    store.add([image(tmp_path, "old"), other])
    store.add([image(tmp_path, "new")])
    store.collect(many_layers=3)
    assert snapshots(store) == 3
    store.collect(many_layers=2)
    assert snapshots(store) == 2
    assert (content(store), content(store, other.name)) == ("new", "other")


def test_what_was_never_added_is_named(store: ImageStore, tmp_path: Path) -> None:
    """Asking for an image that the store lacks names it."""
    store.collect(many_layers=0)
    store.add([image(tmp_path, "some")])
    with pytest.raises(BuildError, match="localhost/test/absent:1"):
        store.describe(["localhost/test/absent:1"])
