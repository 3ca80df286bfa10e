"""Files of an image seen through a directory."""

import hashlib
from pathlib import Path, PurePosixPath

import pytest

from sbom.files import inside, tree_digest


def test_links_stay_in_the_image(tmp_path: Path) -> None:
    """An absolute link is one of the image's root, not of the machine's."""
    (tmp_path / "usr" / "bin").mkdir(parents=True)
    (tmp_path / "usr" / "bin" / "real").write_text("x")
    (tmp_path / "bin").symlink_to("usr/bin")
    (tmp_path / "usr" / "bin" / "absolute").symlink_to("/bin/real")
    (tmp_path / "up").symlink_to("../../../usr/bin/absolute")
    for path in ("/bin/real", "/usr/bin/absolute", "/up"):
        assert inside(tmp_path, PurePosixPath(path)) == tmp_path / "usr" / "bin" / "real"
    with pytest.raises(FileNotFoundError, match="/bin/none"):
        inside(tmp_path, PurePosixPath("/bin/none"))


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    """They are no file."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(FileNotFoundError, match="too many links"):
        inside(tmp_path, PurePosixPath("/a"))


def test_a_tree_has_the_digest_that_people_can_compute(tmp_path: Path) -> None:
    """It is of what sha256sum prints; byte code and what is not there make no difference."""
    (tmp_path / "a.py").write_text("1")
    (tmp_path / "b.py").write_text("2")
    (tmp_path / "a.pyc").write_text("made here")
    paths = [PurePosixPath(f"/{name}") for name in ("b.py", "a.py", "a.pyc", "none.py", "a.py")]
    lines = "".join(
        f"{hashlib.sha256(text).hexdigest()}  {path}\n"
        for text, path in ((b"1", "/a.py"), (b"2", "/b.py"))
    )
    assert tree_digest(tmp_path, paths) == hashlib.sha256(lines.encode()).hexdigest()
