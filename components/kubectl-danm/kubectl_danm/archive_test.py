"""The archive: whole or not there."""

import resource
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kubectl_danm.archive import Archive
from kubectl_danm.bundle.censor import Censor

WRITTEN = datetime(2026, 1, 1, tzinfo=UTC)


def an_archive(path: Path) -> Archive:
    """Return one that knows a secret."""
    censor = Censor()
    censor.learn(["swordfish"])
    return Archive(path, top="top", written=WRITTEN, censor=censor)


def test_all_that_is_added_is_censored(tmp_path: Path) -> None:
    """Texts and JSON, wherever they come from; JSON stays JSON."""
    path = tmp_path / "a.tar.gz"
    with an_archive(path) as archive:
        assert not path.exists()
        archive.add_text("a.txt", "the swordfish")
        archive.add_json("b.json", {"token": 'x"y', "when": WRITTEN, "of": ["swordfish"]})
    with tarfile.open(path) as tar:
        text, data = (tar.extractfile(f"top/{name}") for name in ("a.txt", "b.json"))
        assert text is not None
        assert data is not None
        assert text.read() == b"the (removed)"
        assert data.read().decode() == (
            '{\n "token": "(removed)",\n "when": "2026-01-01T00:00:00Z",\n'
            ' "of": [\n  "(removed)"\n ]\n}\n'
        )
        assert tar.getmember("top/a.txt").mtime == WRITTEN.timestamp()


@pytest.fixture()
def _little_room() -> Iterator[None]:
    """Let no file of the process grow beyond a few bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("_little_room")
def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    """Also where it is the end that has no room."""
    archive = an_archive(tmp_path / "a.tar.gz")
    archive.__enter__()
    archive.add_text("a.txt", "short enough to be written at the end")
    with pytest.raises(OSError, match="File too large"):
        archive.__exit__(None, None, None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("_little_room")
def test_what_went_wrong_first_is_told(tmp_path: Path) -> None:
    """And not that there was no room either for what nobody wants any more."""
    archive = an_archive(tmp_path / "a.tar.gz")
    archive.__enter__()
    archive.add_text("a.txt", "short enough to be written at the end")
    archive.__exit__(ValueError, ValueError("half way"), None)
    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    """Not even a part under another name."""
    with pytest.raises(ValueError, match="half"), an_archive(tmp_path / "a.tar.gz"):
        raise ValueError("half way")
    assert list(tmp_path.iterdir()) == []
