"""The archive: whole or not there."""

import tarfile
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


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    """Not even a part under another name."""
    with pytest.raises(ValueError, match="half"), an_archive(tmp_path / "a.tar.gz"):
        raise ValueError("half way")
    assert list(tmp_path.iterdir()) == []
