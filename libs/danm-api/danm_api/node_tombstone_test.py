"""Tombstones: whole or not at all."""

from pathlib import Path

import pytest

from danm_api.node_tombstone import attachment_name, is_interface_name, write_tombstone


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("eth0", True, id="usual"),
        pytest.param("a.b-c_d@e", True, id="odd and allowed"),
        pytest.param("", False, id="empty"),
        pytest.param("..", False, id="parent"),
        pytest.param("a/b", False, id="separator"),
        pytest.param("a:b", False, id="colon"),
        pytest.param("a b", False, id="space"),
        pytest.param("a" * 16, False, id="too long"),
    ],
)
def test_interface_names_are_parts_of_plain_names(text: str, expected: bool) -> None:
    """A name that is part of a file's can name no other file."""
    assert is_interface_name(text) is expected


def test_attachments_of_a_container_have_files_of_their_own() -> None:
    """Two interfaces of a container are two DELs."""
    assert attachment_name("c1", "eth0") != attachment_name("c1", "net1")
    assert attachment_name("c1", "eth0") == "c1:eth0"


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
