"""Tombstones: whole or not at all."""

from pathlib import Path

import pytest

from danm_cni.shim.tombstone import is_container_id, write_tombstone


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("0123456789abcdef" * 4, True, id="a runtime's id"),
        pytest.param("a_b.c-d", True, id="all characters"),
        pytest.param("", False, id="empty"),
        pytest.param("../etc/passwd", False, id="path"),
        pytest.param(".hidden", False, id="leading dot"),
        pytest.param("a/b", False, id="separator"),
        pytest.param("a" * 201, False, id="too long"),
        pytest.param("ä", False, id="not ASCII"),
    ],
)
def test_container_ids_are_plain_names(text: str, expected: bool) -> None:
    """An id that names a file can name no other file."""
    assert is_container_id(text) is expected


def test_a_tombstone_holds_the_frame(tmp_path: Path) -> None:
    """The daemon finds the whole request, in a directory that is made when missing."""  # SPEC C4
    directory = tmp_path / "lib" / "danm" / "tombstones"
    write_tombstone(str(directory), "c1", b"frame")
    write_tombstone(str(directory), "c1", b"frame again")
    assert [path.name for path in directory.iterdir()] == ["c1"]
    assert (directory / "c1").read_bytes() == b"frame again"


def test_a_disk_that_refuses_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    """Success is never told when nothing was kept."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="Not a directory"):
        write_tombstone(str(tmp_path / "file" / "tombstones"), "c1", b"frame")
    (tmp_path / "tombstones" / "c1").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        write_tombstone(str(tmp_path / "tombstones"), "c1", b"frame")
    assert [path.name for path in (tmp_path / "tombstones").iterdir()] == ["c1"]
